//! The stacks that guests run on, from the upper end: what a guest may use; the reserve; the guard; wasmer's guard page.
//!
//! The guard: Singlepass reserves the space for a call's arguments and results in one step, and that can be larger than
//! wasmer's page. A guest could step over it, into memory of somebody else. The guard is larger than any such step, and
//! within the bounds in which wasmer takes a fault for a stack overflow.
//!
//! The reserve: functions of the engine that a guest calls (table.get, memory.copy, ...) run on the guest's stack. When
//! they raise a trap they collect a backtrace, under locks of the process. If the stack ended there, wasmer would throw
//! their frames away with the locks held, and every later trap would wait for ever. So compiled code faults at the reserve
//! as at the guard, but the engine's own code gets it, for the rest of the call.

use crate::function::Call;
use crate::thread::stack_pointer;
use std::ops::Range;
use std::sync::OnceLock;
use wasmer_vm::{TrapHandlerFn, VMConfig, catch_traps};

/// More than the largest frame that is entered without touching its pages: 1,000 parameters and 1,000 results of 16 bytes.
const GUARD: usize = 64 << 10;

/// More than what the engine does on a guest's stack takes, backtraces above all.
const RESERVE: usize = 128 << 10;

/// What wasmer allocates above its own guard page.
const SIZE: usize = (1 << 20) + RESERVE + GUARD;

/// The stack for every call.
pub(crate) static VM_CONFIG: VMConfig = VMConfig {
    wasm_stack_size: Some(SIZE),
};

/// In the lowest word that a guest may use: guard and reserve are in place. Of a new stack the word is zero; a guest that
/// overwrites it has them set again.
const GUARDED: usize = 0x6775_6172_6465_6421;

/// Guards the stack that this runs on, the first time, and returns its upper end. Called on the guest's stack before any
/// guest code, within a page of its upper end.
#[inline(always)]
pub(crate) fn guard() -> usize {
    let end = (stack_pointer() | 4095) + 1;
    if unsafe { (lowest(end) as *const usize).read_volatile() } != GUARDED {
        guard_new(end);
    }
    end
}

/// The lowest address that a guest may use.
fn lowest(end: usize) -> usize {
    end - SIZE + GUARD + RESERVE
}

#[cold]
fn guard_new(end: usize) {
    if !protect(end - SIZE, GUARD + RESERVE, libc::PROT_NONE) {
        panic!("cannot guard a stack: {}", std::io::Error::last_os_error());
    }
    unsafe { (lowest(end) as *mut usize).write_volatile(GUARDED) };
}

fn protect(from: usize, len: usize, access: libc::c_int) -> bool {
    unsafe { libc::mprotect(from as *mut _, len, access) == 0 }
}

/// Guards the stack that the next call on this thread gets, for calls that wasmer makes itself. Returns its upper end.
pub(crate) fn guard_next() -> Result<usize, wasmer_vm::Trap> {
    unsafe { catch_traps(None, &VM_CONFIG, guard) }
}

/// Frees a stack whose call was given up. wasmer has lost it.
///
/// # Safety
/// `end` came from `guard`, and nothing will run on the stack any more.
pub(crate) unsafe fn free(end: usize) {
    if end != 0 {
        let page = unsafe { libc::sysconf(libc::_SC_PAGESIZE) } as usize;
        unsafe { libc::munmap((end - SIZE - page) as *mut _, SIZE + page) };
    }
}

/// Closes the reserve of a stack after its call.
#[cold]
pub(crate) fn close_reserve(end: usize) {
    protect(end - SIZE + GUARD, RESERVE, libc::PROT_NONE);
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
    let reserve = end - SIZE + GUARD..lowest(end);
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

/// Looks up what the signal handler needs to know.
pub(crate) fn prepare() {
    NATIVE.get_or_init(native_code);
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
        let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
        maps.lines().find_map(|line| {
            let (range, rest) = line.split_once(' ')?;
            let (low, high) = range.split_once('-')?;
            let low = usize::from_str_radix(low, 16).ok()?;
            (low == start).then(|| {
                (
                    usize::from_str_radix(high, 16).unwrap(),
                    rest[..4].to_string(),
                )
            })
        })
    }

    #[test]
    fn the_lowest_part_of_a_stack_is_inaccessible() {
        std::thread::spawn(|| {
            let end = guard_next().unwrap();
            assert_eq!(
                guard_next().unwrap(),
                end,
                "the next call gets the same stack"
            );
            let (top, access) = mapping_at(lowest(end)).expect("the accessible part is a mapping");
            assert!(top >= end && access.starts_with("rw"), "{access}");
            assert!(
                mapping_at(lowest(end) - 4096).is_none(),
                "no accessible page below"
            );
        })
        .join()
        .unwrap();
    }
}
