//! Access to registers: one file an architecture.

#[cfg(target_arch = "aarch64")]
mod aarch64;
#[cfg(target_arch = "x86_64")]
mod x86_64;

#[cfg(target_arch = "aarch64")]
pub(crate) use aarch64::{
    frame_pointer, program_counter, return_addresses, stack_pointer, without_frame,
};
#[cfg(target_arch = "x86_64")]
pub(crate) use x86_64::{
    frame_pointer, program_counter, return_addresses, stack_pointer, without_frame,
};
