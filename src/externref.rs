//! References to values of the host. A guest holds the number of a value, the Go side a table of the values by number.
//! What the guest's tables and globals still hold can be found here whenever no guest runs.

use crate::guard::guard;
use crate::store::wasmergo_store;
use crate::table;
use wasmer_types::Type;
use wasmer_vm::{StoreObject, StoreObjects, VMExceptionObj, VMTable};

/// Sets a bit in `held` for each value that guests hold: that of number 1 is the lowest of the first word. Numbers beyond
/// `len` words are left out.
///
/// # Safety
/// `held` holds `len` words; the caller holds the store, and none of its guests runs.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wasmergo_store_externrefs(
    store: &wasmergo_store,
    held: *mut u64,
    len: usize,
) {
    let held = match len {
        0 => return,
        _ => unsafe { std::slice::from_raw_parts_mut(held, len) },
    };
    let found = guard(|| {
        let mut hold = |number: u64| {
            let bit = number.wrapping_sub(1);
            if let Some(word) = held.get_mut((bit / 64) as usize) {
                *word |= 1 << (bit % 64);
            }
        };
        let objects = unsafe { &mut *store.objects.get() };
        drop_exceptions(objects);
        for table in VMTable::list(objects) {
            if table.ty().ty == Type::ExternRef {
                for index in 0..table.get_runtime_size() {
                    table
                        .get(index)
                        .map(table::reference)
                        .into_iter()
                        .for_each(&mut hold);
                }
            }
        }
        for global in objects.iter_globals() {
            if global.ty().ty == Type::ExternRef {
                hold(unsafe { global.vmglobal().as_ref().val.externref } as u64);
            }
        }
        for exception in VMExceptionObj::list(objects) {
            let types = exception.tag().get(objects).signature.params();
            let values = unsafe { exception.payload().as_ref() };
            for (ty, value) in types.iter().zip(values) {
                if *ty == Type::ExternRef {
                    hold(unsafe { value.externref } as u64);
                }
            }
        }
        Ok(())
    });
    if found.is_err() {
        held.fill(u64::MAX); // nothing is let go
    }
}

/// Frees the exceptions of a store in which no guest runs: wasmer itself keeps them as long as the store.
#[inline(always)]
pub(crate) fn forget_exceptions(objects: &mut StoreObjects) {
    if !VMExceptionObj::list(objects).is_empty() {
        drop_exceptions(objects);
    }
}

/// A guest can keep an exception beyond its call in a global only; while one does, all stay.
#[cold]
pub(crate) fn drop_exceptions(objects: &mut StoreObjects) {
    let held = objects.iter_globals().any(|global| {
        global.ty().ty == Type::ExceptionRef
            && unsafe { global.vmglobal().as_ref().val.exnref } != 0
    });
    if !held {
        VMExceptionObj::list_mut(objects).clear();
    }
}
