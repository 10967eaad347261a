//! References to values of the host. A guest holds the number of a value, the Go side a table of the values by number.
//! What the guest's tables and globals still hold can be found here whenever no guest runs.

use crate::bytes::{Encoder, wasmergo_bytes};
use crate::guard::guard;
use crate::store::wasmergo_store;
use crate::table;
use wasmer_types::Type;
use wasmer_vm::{StoreObject, StoreObjects, VMExceptionObj, VMTable};

/// Exceptions that are kept before it is looked whether any of them is still needed.
const EXCEPTIONS: usize = 1024;

/// The numbers of the values that guests hold, each at least once, after a count (u32) as u64.
///
/// # Safety
/// The caller holds the store, and none of its guests runs.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wasmergo_store_externrefs(store: &wasmergo_store) -> wasmergo_bytes {
    guard(|| {
        let objects = unsafe { &mut *store.objects.get() };
        drop_exceptions(objects);
        let mut held = Vec::new();
        for table in VMTable::list(objects) {
            if table.ty().ty == Type::ExternRef {
                let elements = (0..table.get_runtime_size()).filter_map(|index| table.get(index));
                held.extend(elements.map(table::reference).filter(|number| *number != 0));
            }
        }
        for global in objects.iter_globals() {
            if global.ty().ty == Type::ExternRef {
                held.push(unsafe { global.vmglobal().as_ref().val.externref } as u64);
            }
        }
        for exception in VMExceptionObj::list(objects) {
            let types = exception.tag().get(objects).signature.params();
            let values = unsafe { exception.payload().as_ref() };
            for (ty, value) in types.iter().zip(values) {
                if *ty == Type::ExternRef {
                    held.push(unsafe { value.externref } as u64);
                }
            }
        }
        let mut out = Encoder::default();
        out.u32(held.len() as u32);
        held.iter().for_each(|number| out.u64(*number));
        Ok(out.finish())
    })
    .unwrap_or(wasmergo_bytes::NONE)
}

/// Frees the exceptions of a store in which no guest runs, if there are many: wasmer itself keeps them as long as the
/// store.
#[inline(always)]
pub(crate) fn limit_exceptions(objects: &mut StoreObjects) {
    if VMExceptionObj::list(objects).len() > EXCEPTIONS {
        drop_exceptions(objects);
    }
}

/// A guest can keep an exception beyond its call in a global only; while one does, all stay.
#[cold]
fn drop_exceptions(objects: &mut StoreObjects) {
    let held = objects.iter_globals().any(|global| {
        global.ty().ty == Type::ExceptionRef
            && unsafe { global.vmglobal().as_ref().val.exnref } != 0
    });
    if !held {
        VMExceptionObj::list_mut(objects).clear();
    }
}
