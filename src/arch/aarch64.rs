//! Registers of AArch64.

/// The program counter and stack pointer at which a signal arrived.
#[cfg(target_os = "linux")]
pub(crate) fn registers(context: *const libc::c_void) -> (usize, usize) {
    let registers = unsafe { &(*context.cast::<libc::ucontext_t>()).uc_mcontext };
    (registers.pc as usize, registers.sp as usize)
}

#[cfg(target_vendor = "apple")]
pub(crate) fn registers(context: *const libc::c_void) -> (usize, usize) {
    let registers = unsafe { &(*(*context.cast::<libc::ucontext_t>()).uc_mcontext).__ss };
    (registers.__pc as usize, registers.__sp as usize)
}
