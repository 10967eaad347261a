//! Registers of x86-64.

/// Where a signal arrived.
#[cfg(target_os = "linux")]
pub(crate) fn program_counter(context: *const libc::c_void) -> usize {
    let registers = unsafe { &(*context.cast::<libc::ucontext_t>()).uc_mcontext.gregs };
    registers[libc::REG_RIP as usize] as usize
}

#[cfg(target_vendor = "apple")]
pub(crate) fn program_counter(context: *const libc::c_void) -> usize {
    let registers = unsafe { &(*(*context.cast::<libc::ucontext_t>()).uc_mcontext).__ss };
    registers.__rip as usize
}

/// The stack that it was on.
#[cfg(target_os = "linux")]
pub(crate) fn stack_pointer(context: *const libc::c_void) -> usize {
    let registers = unsafe { &(*context.cast::<libc::ucontext_t>()).uc_mcontext.gregs };
    registers[libc::REG_RSP as usize] as usize
}

#[cfg(target_vendor = "apple")]
pub(crate) fn stack_pointer(context: *const libc::c_void) -> usize {
    let registers = unsafe { &(*(*context.cast::<libc::ucontext_t>()).uc_mcontext).__ss };
    registers.__rsp as usize
}

/// Where it keeps the frame of its caller: compiled code has frames linked by this register.
#[cfg(target_os = "linux")]
pub(crate) fn frame_pointer(context: *const libc::c_void) -> usize {
    let registers = unsafe { &(*context.cast::<libc::ucontext_t>()).uc_mcontext.gregs };
    registers[libc::REG_RBP as usize] as usize
}

#[cfg(target_vendor = "apple")]
pub(crate) fn frame_pointer(context: *const libc::c_void) -> usize {
    let registers = unsafe { &(*(*context.cast::<libc::ucontext_t>()).uc_mcontext).__ss };
    registers.__rbp as usize
}

/// Where a function may return to that has no frame, not yet or no more: what the two words on top of the stack hold.
pub(crate) fn return_addresses(_: *const libc::c_void, top: [usize; 2]) -> [usize; 2] {
    top
}

/// Which of the two it is for an instruction of the function that begins at `start`; none if there is a frame.
///
/// # Safety
/// Both are addresses of code.
pub(crate) unsafe fn without_frame(pc: usize, start: usize) -> Option<usize> {
    const PUSH_RBP: u8 = 0x55;
    const RET: u8 = 0xc3;
    let byte = |at: usize| unsafe { (at as *const u8).read() };
    match pc - start {
        _ if byte(start) != PUSH_RBP => Some(0),
        0 => Some(0),
        1 => Some(1),
        _ if byte(pc) == RET => Some(0),
        _ => None,
    }
}
