//! Registers of x86-64.

/// The program counter and stack pointer at which a signal arrived.
#[cfg(target_os = "linux")]
pub(crate) fn registers(context: *const libc::c_void) -> (usize, usize) {
    let registers = unsafe { &(*context.cast::<libc::ucontext_t>()).uc_mcontext.gregs };
    (
        registers[libc::REG_RIP as usize] as usize,
        registers[libc::REG_RSP as usize] as usize,
    )
}

#[cfg(target_vendor = "apple")]
pub(crate) fn registers(context: *const libc::c_void) -> (usize, usize) {
    let registers = unsafe { &(*(*context.cast::<libc::ucontext_t>()).uc_mcontext).__ss };
    (registers.__rip as usize, registers.__rsp as usize)
}
