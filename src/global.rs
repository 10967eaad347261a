//! Globals: variables of an instance, or of the store.

use crate::bytes::wasmergo_bytes;
use crate::error::{Error, wasmergo_error_kind};
use crate::r#extern::{Item, wasmergo_extern};
use crate::guard::{fallible, guard};
use crate::store::wasmergo_store;
use crate::types;
use std::ptr;
use wasmer_types::{GlobalType, Mutability};
use wasmer_vm::{InternalStoreHandle, VMExtern, VMGlobal};

/// Makes a global that is zero or null.
///
/// # Safety
/// `out` is valid; the caller holds the store.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wasmergo_global_new(
    store: &wasmergo_store,
    value_type: u8,
    mutable: bool,
    out: *mut *const wasmergo_extern,
) -> wasmergo_bytes {
    fallible(|| {
        let mutability = if mutable {
            Mutability::Var
        } else {
            Mutability::Const
        };
        let global = VMGlobal::new(GlobalType::new(types::value(value_type)?, mutability));
        let handle = InternalStoreHandle::new(unsafe { &mut *store.objects.get() }, global);
        unsafe { out.write(store.keep(Item::Other(VMExtern::Global(handle)))) };
        Ok(())
    })
}

/// The slot in which the global's value lies, as long as its store lives; null if `global` is none. It may be read and
/// written while the store is held.
///
/// # Safety
/// The caller holds the store.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wasmergo_global_slot(global: &wasmergo_extern) -> *mut u64 {
    guard(|| match global.item {
        Item::Other(VMExtern::Global(handle)) => {
            Ok(handle.get(unsafe { global.objects() }).vmglobal().as_ptr())
        }
        _ => Err(Error::new(wasmergo_error_kind::Internal, "not a global")),
    })
    .map_or(ptr::null_mut(), |slot| slot.cast())
}
