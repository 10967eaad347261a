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
