//! Access to registers: one file an architecture.

#[cfg(target_arch = "aarch64")]
mod aarch64;
#[cfg(target_arch = "x86_64")]
mod x86_64;

#[cfg(target_arch = "aarch64")]
pub(crate) use aarch64::{program_counter, stack_pointer};
#[cfg(target_arch = "x86_64")]
pub(crate) use x86_64::{program_counter, stack_pointer};
