//! What a reset puts an instance back to.

use crate::bytes::wasmergo_bytes;
use crate::error::{Error, wasmergo_error_kind};
use crate::externref;
use crate::function::{WASMERGO_FAILED, WASMERGO_OK};
use crate::guard::{fallible, guard};
use crate::instance::wasmergo_instance;
use crate::snapshot::{Reasons, shared};
use crate::state::{State, masked};
use crate::table::reference;
use wasmer_types::Type;

/// Keeps the present state for resets. `untouched` says that none of its code has run but a start function.
///
/// # Safety
/// The caller holds the store, and none of its code runs.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wasmergo_instance_keep(
    instance: &wasmergo_instance,
    untouched: bool,
) -> wasmergo_bytes {
    fallible(|| {
        let mut reasons = Reasons::default();
        shared(&instance.module, &mut reasons);
        let references = instance.own_globals().any(|(ty, cell)| {
            let host = matches!(ty, Type::ExternRef | Type::ExceptionRef);
            host && masked(ty, unsafe { cell.as_ref() }.val) != 0
        });
        let mut tables = instance.own_tables();
        let references = references
            || tables.any(|(_, table)| {
                let all = 0..table.get_runtime_size();
                table.ty().ty == Type::ExternRef
                    && all
                        .into_iter()
                        .any(|at| table.get(at).map(reference) != Some(0))
            });
        if references {
            reasons.add(|| "it holds references to values of the host, or exceptions".into());
        }
        reasons.result()?;
        let untouched = untouched && instance.module.notes.start.is_none();
        let state = State::of(instance, untouched);
        instance.kept.replace(Some(Box::new(state)));
        Ok(())
    })
}

/// Puts the instance back to the state that was kept, else to what an instance of the module begins with, without its start
/// function. If that fails, other than with an error of kind `State`, it is in no state to be used.
///
/// # Safety
/// The caller holds the store, none of its code runs, and nobody uses its memories.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wasmergo_instance_reset(instance: &wasmergo_instance) -> wasmergo_bytes {
    fallible(|| unsafe { instance.reset() })
}

/// Resets an instance that has its store for itself, for another use, and returns as `wasmergo_function_call` does. An error of kind `State`
/// says that it cannot be, as when something was made in the store since.
///
/// # Safety
/// As of `wasmergo_instance_reset`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wasmergo_instance_recycle(instance: &wasmergo_instance) -> u32 {
    let store = instance.store();
    let done = guard(|| {
        if !instance.is_alone() {
            let message = "something was made in its store";
            return Err(Error::new(wasmergo_error_kind::State, message));
        }
        unsafe { instance.reset()? };
        externref::forget_exceptions(instance.objects());
        Ok(())
    });
    store.error.replace(done.err());
    match store.error.borrow().is_none() {
        true => WASMERGO_OK,
        false => WASMERGO_FAILED,
    }
}

impl wasmergo_instance {
    unsafe fn reset(&self) -> Result<(), Error> {
        match &*self.kept.borrow() {
            Some(kept) => unsafe { kept.apply(self) },
            None => {
                let mut reasons = Reasons::default();
                shared(&self.module, &mut reasons);
                if self.module.notes.start.is_some() {
                    reasons.add(|| "what the start function did was not kept".into());
                }
                reasons.result()?;
                unsafe { self.begin_anew() }
            }
        }
    }
}
