//! The stacks that guests run on. wasmer puts one inaccessible page below each, but Singlepass reserves the space for a
//! call's arguments and results in one step, and that can be larger than a page: a guest could step over it, into memory
//! of somebody else. So the lowest part of each stack is made inaccessible too: larger than any such step, and still
//! within the bounds in which wasmer takes a fault for a stack overflow.

use crate::thread::stack_pointer;
use wasmer_vm::{VMConfig, catch_traps};

/// More than the largest frame that is entered without touching its pages: 1,000 parameters and 1,000 results of 16 bytes.
const GUARD: usize = 64 << 10;

/// What wasmer allocates above its own guard page.
const SIZE: usize = (1 << 20) + GUARD;

/// The stack for every call.
pub(crate) static VM_CONFIG: VMConfig = VMConfig {
    wasm_stack_size: Some(SIZE),
};

/// In the lowest accessible word of a stack: its guard is in place. Of a new stack the word is zero; a guest that
/// overwrites it has the guard set again.
const GUARDED: usize = 0x6775_6172_6465_6421;

/// Puts the guard below the stack that this runs on, the first time, and returns the stack's upper end. Called on the
/// guest's stack before any guest code, within a page of its upper end.
#[inline(always)]
pub(crate) fn guard() -> usize {
    let end = (stack_pointer() | 4095) + 1;
    let mark = (end - SIZE + GUARD) as *mut usize;
    if unsafe { mark.read_volatile() } != GUARDED {
        unsafe { guard_new(end, mark) };
    }
    end
}

#[cold]
unsafe fn guard_new(end: usize, mark: *mut usize) {
    unsafe {
        if libc::mprotect((end - SIZE) as *mut _, GUARD, libc::PROT_NONE) != 0 {
            panic!("cannot guard a stack: {}", std::io::Error::last_os_error());
        }
        mark.write_volatile(GUARDED);
    }
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
            let (top, access) =
                mapping_at(end - SIZE + GUARD).expect("the accessible part is a mapping");
            assert!(top >= end && access.starts_with("rw"), "{access}");
            assert!(
                mapping_at(end - SIZE + GUARD - 4096).is_none(),
                "no accessible page below"
            );
        })
        .join()
        .unwrap();
    }
}
