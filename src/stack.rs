//! The stacks that guests run on, from the upper end: what a guest may use; the reserve; the guard; wasmer's guard page.
//!
//! The guard: Singlepass reserves space for the results of blocks, and for a call's arguments and results, without touching
//! it, and that can be more than wasmer's page. A guest could step over it, into memory of somebody else. The guard is larger
//! than any such step, which `frame.rs` sees to, and within the bounds in which wasmer takes a fault for a stack overflow.
//!
//! The reserve: functions of the engine that a guest calls (table.get, memory.copy, ...) run on the guest's stack. When
//! they raise a trap they collect a backtrace, under locks of the process. If the stack ended there, wasmer would throw
//! their frames away with the locks held, and every later trap would wait for ever. So compiled code faults at the reserve
//! as at the guard, but the engine's own code gets it, until it returns to the guest.

use crate::function::Call;
use crate::resource::has_room_for_stacks;
use crate::thread::stack_pointer;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::ops::Range;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use wasmer_types::TrapCode;
use wasmer_vm::libcalls::wasmer_vm_raise_trap;
use wasmer_vm::{TrapHandlerFn, VMConfig, drain_stack_pool};

/// More than any frame that is entered without touching its pages. It is address space only.
pub(crate) const GUARD: usize = 1 << 20;

/// More than what the engine does on a guest's stack takes, backtraces above all.
const RESERVE: usize = 128 << 10;

/// The least that guests of an engine may use.
const MIN: usize = 64 << 10;

/// The stack for calls that run no guest.
pub(crate) static VM_CONFIG: VMConfig = VMConfig {
    wasm_stack_size: Some(size(MIN)),
};

/// What wasmer allocates above its own guard page so that a guest may use `limit` bytes.
pub(crate) const fn size(limit: usize) -> usize {
    limit + RESERVE + GUARD
}

/// A limit as it can be had: whole pages.
pub(crate) fn round(limit: usize) -> usize {
    limit.max(MIN).next_multiple_of(64 << 10)
}

/// What a leaf function may use of a guest's stack; see `foreign`. The reserve lies below.
const LEAF: usize = 64 << 10;

/// Whether the guest's stack that this runs on has room for a leaf function.
#[inline(always)]
pub(crate) fn has_room_for_leaf(call: &Call) -> bool {
    stack_pointer() >= call.stack.get().wrapping_sub(call.limit).wrapping_add(LEAF)
}

/// Guards the stack that this runs on for guests that may use `limit` bytes of it, and returns its upper end. Called on
/// the guest's stack before any guest code, within a page of its upper end.
///
/// wasmer gives out any stack that is large enough: another engine's limit may have been in force on it. So the mark, that
/// guard and reserve are in place, tells for which limit they are. It lies where every stack has a word: in the lowest one
/// of the smallest limit. Of a new stack it is zero; a guest that overwrites it has them set again, and cannot forge it.
#[inline(always)]
pub(crate) fn guard(limit: usize) -> usize {
    let end = (stack_pointer() | 4095) + 1;
    if unsafe { ((end - MIN) as *const usize).read_volatile() } != mark(limit) {
        guard_new(end, limit);
    }
    end
}

#[inline(always)]
fn mark(limit: usize) -> usize {
    SECRET.load(Ordering::Relaxed) ^ limit
}

/// Random, set once before any guest runs.
static SECRET: AtomicUsize = AtomicUsize::new(0);

/// Stacks guarded since the cache was emptied last.
static GUARDED: AtomicUsize = AtomicUsize::new(0);

/// wasmer keeps every stack that was ever in use at the same time. Here the unused ones go when so many were guarded, and
/// when calls that were nested so deep have ended.
const CACHED: usize = 256;
pub(crate) const NESTED: u32 = 32;

/// Frees the unused stacks, but for one on each other thread.
#[cold]
pub(crate) fn drain() {
    GUARDED.store(0, Ordering::Relaxed);
    drain_stack_pool();
}

#[cold]
fn guard_new(end: usize, limit: usize) {
    if has_room_for_stacks().is_err() {
        drain(); // others need the room more
        if let Err(error) = has_room_for_stacks() {
            panic!("{error}");
        }
    }
    let bottom = end - size(limit);
    let access = libc::PROT_READ | libc::PROT_WRITE;
    // The guard of a smaller limit may be anywhere above, that of a larger one below.
    if !protect(end - limit, limit - MIN, access)
        || !protect(bottom, GUARD + RESERVE, libc::PROT_NONE)
    {
        panic!("cannot guard a stack: {}", std::io::Error::last_os_error());
    }
    unsafe { ((end - MIN) as *mut usize).write_volatile(mark(limit)) };
    if GUARDED.fetch_add(1, Ordering::Relaxed) >= CACHED {
        drain();
    }
}

fn protect(from: usize, len: usize, access: libc::c_int) -> bool {
    len == 0 || unsafe { libc::mprotect(from as *mut _, len, access) == 0 }
}

/// Frees a stack whose call was given up. wasmer has lost it.
///
/// # Safety
/// `end` came from `guard`, and nothing will run on the stack any more. Of a stack that wasmer made for a larger limit
/// the rest stays: address space that was never touched, or is the guard.
pub(crate) unsafe fn free(end: usize, limit: usize) {
    if end != 0 {
        let page = unsafe { libc::sysconf(libc::_SC_PAGESIZE) } as usize;
        unsafe { libc::munmap((end - size(limit) - page) as *mut _, size(limit) + page) };
    }
}

/// What comes before the guest goes on: closes the reserve of the running call's stack, if it is open, and ends the guest if
/// its call is to end.
#[inline(always)]
pub(crate) fn resume() {
    if let Some(call) = Call::current() {
        resume_call(call);
    }
}

/// The same for who knows the running call.
#[inline(always)]
pub(crate) fn resume_call(call: &Call) {
    if call.reserve_open.get() {
        call.reserve_open.set(false);
        close_reserve(call.stack.get(), call.limit);
    }
    call.check_interruption();
}

/// Ends the guest if the reserve is open: what comes next is a guest's code again, and the reserve is not for it.
#[inline(always)]
pub(crate) fn check() {
    if Call::current().is_some_and(|call| call.reserve_open.get()) {
        unsafe { wasmer_vm_raise_trap(TrapCode::StackOverflow) }
    }
}

/// Closes the reserve of a stack after its call.
#[cold]
pub(crate) fn close_reserve(end: usize, limit: usize) {
    protect(end - limit - RESERVE, RESERVE, libc::PROT_NONE);
}

/// What wasmer asks first when a signal arrives during a call.
pub(crate) fn trap_handler() -> Option<*const TrapHandlerFn<'static>> {
    let handler: &'static TrapHandlerFn<'static> = &on_signal;
    Some(handler)
}

/// Opens the reserve to the engine's code, and has the instruction tried again. Runs in a signal handler: it neither
/// allocates nor locks. The code may be on the guest's stack, or on the thread's own and return to the guest's.
fn on_signal(
    signal: libc::c_int,
    info: *const libc::siginfo_t,
    context: *const libc::c_void,
) -> bool {
    if signal != libc::SIGSEGV && signal != libc::SIGBUS {
        return false;
    }
    let Some(call) = Call::current() else {
        return false;
    };
    let end = call.stack.get();
    if end == 0 || call.reserve_open.get() {
        return false;
    }
    let reserve = end - call.limit - RESERVE..end - call.limit;
    let address = unsafe { (*info).si_addr() } as usize;
    if !reserve.contains(&address) || !is_native(crate::arch::program_counter(context)) {
        return false;
    }
    let opened = protect(reserve.start, RESERVE, libc::PROT_READ | libc::PROT_WRITE);
    call.reserve_open.set(opened);
    opened
}

/// Whether the code is of the program or its libraries, rather than made by a compiler here.
fn is_native(pc: usize) -> bool {
    NATIVE
        .get()
        .is_some_and(|native| native.iter().any(|range| range.contains(&pc)))
}

/// The code that was there when the first engine was made.
static NATIVE: OnceLock<Vec<Range<usize>>> = OnceLock::new();

/// Looks up what the signal handler needs to know, and makes the secret. Called before any guest runs.
pub(crate) fn prepare() {
    NATIVE.get_or_init(|| {
        let random = RandomState::new().build_hasher().finish();
        SECRET.store(random as usize | 1 << 63, Ordering::Relaxed);
        native_code()
    });
}

#[cfg(target_os = "linux")]
fn native_code() -> Vec<Range<usize>> {
    unsafe extern "C" fn visit(
        info: *mut libc::dl_phdr_info,
        _: usize,
        out: *mut libc::c_void,
    ) -> libc::c_int {
        let (info, out) = unsafe { (&*info, &mut *out.cast::<Vec<Range<usize>>>()) };
        let headers = unsafe { crate::bytes::borrow(info.dlpi_phdr, info.dlpi_phnum.into()) };
        let code = headers
            .iter()
            .filter(|header| header.p_type == libc::PT_LOAD && header.p_flags & libc::PF_X != 0);
        out.extend(code.map(|header| {
            let start = (info.dlpi_addr + header.p_vaddr) as usize;
            start..start + header.p_memsz as usize
        }));
        0
    }
    let mut code: Vec<Range<usize>> = Vec::new();
    unsafe { libc::dl_iterate_phdr(Some(visit), (&raw mut code).cast()) };
    code
}

#[cfg(not(target_os = "linux"))]
fn native_code() -> Vec<Range<usize>> {
    Vec::new()
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    /// The mapping that begins at an address, as (end, permissions).
    fn mapping_at(start: usize) -> Option<(usize, String)> {
        mappings(|low, _| low == start)
    }

    /// The mapping that holds an address.
    fn mapping_over(address: usize) -> Option<(usize, String)> {
        mappings(|low, high| (low..high).contains(&address))
    }

    fn mappings(wanted: impl Fn(usize, usize) -> bool) -> Option<(usize, String)> {
        let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
        maps.lines().find_map(|line| {
            let (range, rest) = line.split_once(' ')?;
            let (low, high) = range.split_once('-')?;
            let low = usize::from_str_radix(low, 16).ok()?;
            let high = usize::from_str_radix(high, 16).ok()?;
            wanted(low, high).then(|| (high, rest[..4].to_string()))
        })
    }

    fn guarded(limit: usize) -> usize {
        let config = VMConfig {
            wasm_stack_size: Some(size(limit)),
        };
        unsafe { wasmer_vm::catch_traps(None, &config, move || guard(limit)) }.unwrap()
    }

    #[test]
    fn the_lowest_part_of_a_stack_is_inaccessible_at_the_limit_in_force() {
        prepare();
        std::thread::spawn(|| {
            for limit in [1 << 20, 1 << 20, 64 << 10, 16 << 20, 64 << 10, 1 << 20] {
                let end = guarded(limit);
                assert_eq!(guarded(limit), end, "the next call gets the same stack");
                let (top, access) =
                    mapping_at(end - limit).expect("the accessible part is a mapping");
                assert!(top >= end && access.starts_with("rw"), "{access}");
                for below in [end - limit - 4096, end - limit - RESERVE - GUARD] {
                    let (_, access) = mapping_over(below).expect("the guard is a mapping");
                    assert!(access.starts_with("---"), "{access}");
                }
            }
        })
        .join()
        .unwrap();
    }
}
