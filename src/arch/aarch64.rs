//! Registers of AArch64.

/// Where a signal arrived.
#[cfg(target_os = "linux")]
pub(crate) fn program_counter(context: *const libc::c_void) -> usize {
    let registers = unsafe { &(*context.cast::<libc::ucontext_t>()).uc_mcontext };
    registers.pc as usize
}

#[cfg(target_vendor = "apple")]
pub(crate) fn program_counter(context: *const libc::c_void) -> usize {
    let registers = unsafe { &(*(*context.cast::<libc::ucontext_t>()).uc_mcontext).__ss };
    registers.__pc as usize
}

/// The stack that it was on.
#[cfg(target_os = "linux")]
pub(crate) fn stack_pointer(context: *const libc::c_void) -> usize {
    let registers = unsafe { &(*context.cast::<libc::ucontext_t>()).uc_mcontext };
    registers.sp as usize
}

#[cfg(target_vendor = "apple")]
pub(crate) fn stack_pointer(context: *const libc::c_void) -> usize {
    let registers = unsafe { &(*(*context.cast::<libc::ucontext_t>()).uc_mcontext).__ss };
    registers.__sp as usize
}

/// Where it keeps the frame of its caller: compiled code has frames linked by this register.
#[cfg(target_os = "linux")]
pub(crate) fn frame_pointer(context: *const libc::c_void) -> usize {
    let registers = unsafe { &(*context.cast::<libc::ucontext_t>()).uc_mcontext };
    registers.regs[29] as usize
}

#[cfg(target_vendor = "apple")]
pub(crate) fn frame_pointer(context: *const libc::c_void) -> usize {
    let registers = unsafe { &(*(*context.cast::<libc::ucontext_t>()).uc_mcontext).__ss };
    registers.__fp as usize
}

/// Where a function may return to that has no frame, not yet or no more: the link register.
#[cfg(target_os = "linux")]
pub(crate) fn return_addresses(context: *const libc::c_void, _: [usize; 2]) -> [usize; 2] {
    let registers = unsafe { &(*context.cast::<libc::ucontext_t>()).uc_mcontext };
    [registers.regs[30] as usize; 2]
}

#[cfg(target_vendor = "apple")]
pub(crate) fn return_addresses(context: *const libc::c_void, _: [usize; 2]) -> [usize; 2] {
    let registers = unsafe { &(*(*context.cast::<libc::ucontext_t>()).uc_mcontext).__ss };
    [registers.__lr as usize; 2]
}

/// Which of the two it is for an instruction of the function that begins at `start`; none if there is a frame.
///
/// # Safety
/// Both are addresses of code.
pub(crate) unsafe fn without_frame(pc: usize, start: usize) -> Option<usize> {
    // stp x29, x30, [sp, ...]! and ret
    const PUSH_FRAME: (u32, u32) = (0xffc0_7fff, 0xa980_7bfd);
    const RET: u32 = 0xd65f_03c0;
    let word = |at: usize| unsafe { (at as *const u32).read() };
    let framed = word(start) & PUSH_FRAME.0 == PUSH_FRAME.1;
    (!framed || pc - start < 8 || word(pc) == RET).then_some(0)
}
