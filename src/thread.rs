//! What the border must know of the thread it runs on: how much of its stack is left, and where wasmer keeps the
//! pointer to the trap handler of the running call.

use crate::error::{Error, wasmergo_error_kind};
use crate::stack::VM_CONFIG;
use std::cell::{Cell, OnceCell};
use std::ops::Range;
use std::sync::Once;
use std::sync::atomic::{AtomicIsize, Ordering};
use wasmer_vm::{catch_traps, on_host_stack};

/// A call is refused when less is left: room for wasmer and for the way to Go.
const RESERVE: usize = 256 << 10;

thread_local! {
    /// Where the thread's stack counts as used up; everything does until it is known.
    static LIMIT: Cell<usize> = const { Cell::new(usize::MAX) };
    /// The bounds of the stack, once they were asked for: the system reads a file for those of the main thread.
    static BOUNDS: OnceCell<Range<usize>> = const { OnceCell::new() };
}

/// The bounds of the thread's own stack.
fn stack() -> Range<usize> {
    BOUNDS.with(|bounds| {
        bounds
            .get_or_init(|| os_stack().unwrap_or(0..usize::MAX))
            .clone()
    })
}

#[cfg(target_os = "linux")]
fn os_stack() -> Option<Range<usize>> {
    unsafe {
        let mut attributes = std::mem::zeroed();
        if libc::pthread_getattr_np(libc::pthread_self(), &mut attributes) != 0 {
            return None;
        }
        let (mut low, mut size) = (std::ptr::null_mut(), 0);
        let found = libc::pthread_attr_getstack(&attributes, &mut low, &mut size) == 0;
        libc::pthread_attr_destroy(&mut attributes);
        found.then(|| low as usize..low as usize + size)
    }
}

#[cfg(target_vendor = "apple")]
fn os_stack() -> Option<Range<usize>> {
    unsafe {
        let this = libc::pthread_self();
        let high = libc::pthread_get_stackaddr_np(this) as usize;
        Some(high - libc::pthread_get_stacksize_np(this)..high)
    }
}

#[inline(always)]
pub(crate) fn stack_pointer() -> usize {
    let here = 0u8;
    std::ptr::from_ref(std::hint::black_box(&here)) as usize
}

/// Whether the frame that asks lies on the thread's own stack, where alone Go code may run.
pub(crate) fn on_own_stack() -> bool {
    stack().contains(&stack_pointer())
}

/// Whether the thread's stack is nearly used up by nested calls.
#[inline(always)]
pub(crate) fn exhausted() -> bool {
    stack_pointer() < LIMIT.get() && below_limit()
}

#[cold]
fn below_limit() -> bool {
    LIMIT.set(stack().start.saturating_add(RESERVE));
    stack_pointer() < LIMIT.get()
}

/// An id of the calling thread, unique among live threads.
#[unsafe(no_mangle)]
pub extern "C" fn wasmergo_thread_id() -> usize {
    id()
}

pub(crate) fn id() -> usize {
    LIMIT.with(|limit| std::ptr::from_ref(limit) as usize)
}

/// Distance from `LIMIT` to wasmer's private thread-local pointer to the running call's trap handler. Both lie in the
/// same module's block, so it is the same on every thread.
static TRAP_HANDLER: AtomicIsize = AtomicIsize::new(UNKNOWN);

/// The same for wasmer's private pointer to the way from a guest's stack to the thread's own; it is null while code runs there.
static YIELDER: AtomicIsize = AtomicIsize::new(UNKNOWN);

/// The pointer has not been looked for, or cannot be found on this platform.
const UNKNOWN: isize = 0;

/// Finds both pointers by experiment, once a process: during a call exactly one word of the thread-local block points
/// into the frames of that call, and is null before and after; exactly one to the upper end of the guest's stack.
pub(crate) fn find_trap_handler() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        TRAP_HANDLER.store(search().unwrap_or(UNKNOWN), Ordering::Relaxed);
        YIELDER.store(search_yielder().unwrap_or(UNKNOWN), Ordering::Relaxed);
    });
}

fn search() -> Option<isize> {
    let block = thread_local_block()?;
    // What is called here may be a part of this frame, or of the caller's, in any order.
    let high = stack_pointer() + (16 << 10);
    let words = block.clone().step_by(size_of::<usize>());
    let read = |at: usize| unsafe { (at as *const usize).read_volatile() };
    let before: Vec<usize> = words.clone().filter(|at| read(*at) == 0).collect();
    let during = unsafe {
        let before = before.clone();
        let scan = move || {
            on_host_stack(|| {
                let frames = stack_pointer()..high;
                before
                    .iter()
                    .copied()
                    .filter(|at| frames.contains(&read(*at)))
                    .collect::<Vec<_>>()
            })
        };
        catch_traps(None, &VM_CONFIG, scan).ok()?
    };
    let after: Vec<usize> = during.into_iter().filter(|at| read(*at) == 0).collect();
    match after[..] {
        [only] => Some(only as isize - id() as isize),
        _ => None,
    }
}

fn search_yielder() -> Option<isize> {
    let words = thread_local_block()?.step_by(size_of::<usize>());
    let read = |at: usize| unsafe { (at as *const usize).read_volatile() };
    let before: Vec<usize> = words.filter(|at| read(*at) == 0).collect();
    let scan = move || {
        let here = stack_pointer();
        let frames = here..(here | 4095) + 1;
        let mut found = before;
        found.retain(|at| frames.contains(&read(*at)));
        on_host_stack(|| found.retain(|at| read(*at) == 0));
        found
    };
    let mut found = unsafe { catch_traps(None, &VM_CONFIG, scan).ok()? };
    found.retain(|at| read(*at) == 0);
    match found[..] {
        [only] => Some(only as isize - id() as isize),
        _ => None,
    }
}

/// This module's thread-local block on the calling thread.
#[cfg(target_os = "linux")]
fn thread_local_block() -> Option<Range<usize>> {
    struct Search {
        inside: usize,
        found: Option<Range<usize>>,
    }
    unsafe extern "C" fn visit(
        info: *mut libc::dl_phdr_info,
        _: usize,
        search: *mut libc::c_void,
    ) -> libc::c_int {
        let (info, search) = unsafe { (&*info, &mut *search.cast::<Search>()) };
        let headers = unsafe { crate::bytes::borrow(info.dlpi_phdr, info.dlpi_phnum.into()) };
        let start = info.dlpi_tls_data as usize;
        let block = headers.iter().find(|header| header.p_type == libc::PT_TLS);
        if let (Some(block), true) = (block, start != 0) {
            let range = start..start + block.p_memsz as usize;
            if range.contains(&search.inside) {
                search.found = Some(
                    range.start.next_multiple_of(size_of::<usize>())
                        ..range.end & !(size_of::<usize>() - 1),
                );
            }
        }
        0
    }
    let mut search = Search {
        inside: id(),
        found: None,
    };
    unsafe { libc::dl_iterate_phdr(Some(visit), (&raw mut search).cast()) };
    search.found
}

#[cfg(not(target_os = "linux"))]
fn thread_local_block() -> Option<Range<usize>> {
    None
}

#[inline(always)]
fn slot() -> Option<*mut usize> {
    match TRAP_HANDLER.load(Ordering::Relaxed) {
        UNKNOWN => None,
        distance => Some(id().wrapping_add_signed(distance) as *mut usize),
    }
}

/// Where wasmer keeps the way from the guest's stack that this runs on; none if that is not known.
#[inline(always)]
pub(crate) fn yielder() -> Option<*mut usize> {
    match YIELDER.load(Ordering::Relaxed) {
        UNKNOWN => None,
        distance => Some(id().wrapping_add_signed(distance) as *mut usize),
    }
}

/// Where wasmer keeps its pointers to the trap handler, and to the way from a guest's stack.
#[inline(always)]
pub(crate) fn slots() -> Option<(*mut usize, *mut usize)> {
    Some((slot()?, yielder()?))
}

/// The trap handler of the call that runs on this thread; null (0) outside of calls.
#[inline(always)]
pub(crate) fn trap_handler() -> usize {
    slot().map_or(0, |slot| unsafe { slot.read_volatile() })
}

/// # Safety
/// The frames of the handlers further in are never returned to.
pub(crate) unsafe fn restore_trap_handler(handler: usize) -> Result<(), Error> {
    let slot = slot().ok_or_else(|| {
        Error::new(
            wasmergo_error_kind::Unsupported,
            "runtime.Goexit in a host function is not supported on this platform",
        )
    })?;
    unsafe { slot.write_volatile(handler) };
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_own_stack_is_known_and_not_exhausted() {
        assert!(on_own_stack());
        assert!(!exhausted());
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn the_trap_handler_is_found_and_null_outside_of_calls() {
        find_trap_handler();
        assert!(slot().is_some());
        std::thread::spawn(|| assert_eq!(trap_handler(), 0))
            .join()
            .unwrap();
        let during = unsafe { catch_traps(None, &VM_CONFIG, || on_host_stack(trap_handler)) };
        assert_ne!(during.unwrap(), 0);
        assert_eq!(trap_handler(), 0);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn the_way_to_the_own_stack_is_known_on_the_guests_alone() {
        find_trap_handler();
        let read = || yielder().map(|slot| unsafe { slot.read() });
        std::thread::spawn(move || {
            assert_eq!(read(), Some(0));
            let during = move || (read(), on_host_stack(read), read());
            let (before, between, after) =
                unsafe { catch_traps(None, &VM_CONFIG, during) }.unwrap();
            assert!(before.is_some_and(|way| way != 0) && before == after);
            assert_eq!(between, Some(0));
            assert_eq!(read(), Some(0));
        })
        .join()
        .unwrap();
    }
}
