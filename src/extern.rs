//! Externs: the functions, memories, tables and globals of a store, as imports and exports pass them on.

use crate::store::wasmergo_store;
use wasmer_types::ExportIndex;
use wasmer_vm::{StoreObjects, VMCallerCheckedAnyfunc, VMExtern, VMInstance};

/// A function, memory, table, global or tag. Owned by its store and freed with it: there is nothing to delete.
#[allow(non_camel_case_types)]
pub struct wasmergo_extern {
    pub(crate) store: *const wasmergo_store,
    pub(crate) item: Item,
}

pub(crate) enum Item {
    /// An exported function: what a call needs, and where a link finds it.
    Function {
        callee: VMCallerCheckedAnyfunc,
        instance: *mut VMInstance,
        index: ExportIndex,
    },
    Other(VMExtern),
}

impl wasmergo_extern {
    /// The item as an import. Of a function, wasmer makes its own object only here: calls need none.
    ///
    /// # Safety
    /// The caller holds the store.
    pub unsafe fn import(&self) -> VMExtern {
        match &self.item {
            Item::Function {
                instance, index, ..
            } => unsafe { (**instance).lookup_by_declaration(*index) },
            Item::Other(VMExtern::Function(handle)) => VMExtern::Function(*handle),
            Item::Other(VMExtern::Memory(handle)) => VMExtern::Memory(*handle),
            Item::Other(VMExtern::Table(handle)) => VMExtern::Table(*handle),
            Item::Other(VMExtern::Global(handle)) => VMExtern::Global(*handle),
            Item::Other(VMExtern::Tag(handle)) => VMExtern::Tag(*handle),
        }
    }

    /// # Safety
    /// The caller holds the store, and lets go of the objects before any guest runs.
    #[allow(clippy::mut_from_ref)]
    pub unsafe fn objects(&self) -> &mut StoreObjects {
        unsafe { &mut *(*self.store).objects.get() }
    }
}

/// The present size of a memory in pages, or of a table in elements; 0 for others.
///
/// # Safety
/// The caller holds the store.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wasmergo_extern_size(item: &wasmergo_extern) -> u64 {
    crate::guard::infallible(|| {
        let objects = unsafe { item.objects() };
        match &item.item {
            Item::Other(VMExtern::Memory(handle)) => handle.get(objects).get_runtime_size().into(),
            Item::Other(VMExtern::Table(handle)) => handle.get(objects).get_runtime_size().into(),
            _ => 0,
        }
    })
}
