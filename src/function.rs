//! Calls: the hot path.

use crate::error::{Error, wasmergo_error_kind};
use crate::r#extern::{Item, wasmergo_extern};
use crate::guard::guard;
use crate::store::wasmergo_store;
use crate::thread;
use wasmer_vm::{Trap, VMConfig, wasmer_call_trampoline};

/// The stack that guest code runs on: wasmer's default size.
pub(crate) static VM_CONFIG: VMConfig = VMConfig {
    wasm_stack_size: None,
};

/// The call succeeded.
pub const WASMERGO_OK: u32 = 0;
/// The call failed; `wasmergo_store_error` has the error.
pub const WASMERGO_FAILED: u32 = 1;
/// A host function failed; the Go side has the error.
pub const WASMERGO_HOST_FAILED: u32 = 2;

/// A running call, on the stack of its thread: what is needed to give it up.
pub(crate) struct Call {
    /// The thread's trap handler outside of the call; see `thread`.
    pub trap_handler: usize,
    /// The call of the same store that this one is nested in.
    pub outer: *const Call,
}

/// Runs guest code of the store.
pub(crate) fn run(store: &wasmergo_store, body: impl FnOnce() -> Result<(), Error>) -> u32 {
    if thread::exhausted() {
        let message = "call stack exhausted: host and guest call each other too deeply";
        store
            .error
            .replace(Some(Error::new(wasmergo_error_kind::Depth, message)));
        return WASMERGO_FAILED;
    }
    let call = Call {
        trap_handler: thread::trap_handler(),
        outer: store.call.get(),
    };
    store.call.set(&call);
    let result = guard(body);
    store.call.set(call.outer);
    match result {
        Ok(()) => WASMERGO_OK,
        Err(error) if error.kind == wasmergo_error_kind::Host => WASMERGO_HOST_FAILED,
        Err(error) => {
            store.error.replace(Some(error));
            WASMERGO_FAILED
        }
    }
}

/// Calls a function. `values` are 16-byte slots, arguments in, results out. Both parameters are addresses, as numbers:
/// cgo would otherwise check on each call whether they are Go pointers.
///
/// # Safety
/// `function` is the address of a `wasmergo_extern` that is a function; `values` that of slots for the larger of its
/// parameters and results. The caller holds the store.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wasmergo_function_call(function: usize, values: usize) -> u32 {
    let target = unsafe { &*(function as *const wasmergo_extern) };
    let Item::Function { callee, .. } = &target.item else {
        return WASMERGO_FAILED;
    };
    run(unsafe { &*target.store }, || {
        let result: Result<(), Trap> = unsafe {
            wasmer_call_trampoline(
                None,
                &VM_CONFIG,
                callee.vmctx,
                callee.call_trampoline,
                callee.func_ptr,
                values as *mut u8,
            )
        };
        result.map_err(Error::from)
    })
}

/// Does nothing: what a crossing costs, for benchmarks.
#[unsafe(no_mangle)]
pub extern "C" fn wasmergo_nothing() {}
