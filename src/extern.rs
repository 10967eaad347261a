//! Externs: the functions, memories, tables and globals of a store, as imports and exports pass them on.

use crate::error::Error;
use crate::host;
use crate::store::wasmergo_store;
use std::cell::OnceCell;
use std::ptr::NonNull;
use wasmer_vm::{
    InternalStoreHandle, MaybeInstanceOwned, StoreObjects, VMCallerCheckedAnyfunc, VMExtern,
    VMFunction, VMFunctionKind,
};

/// A function, memory, table, global or tag. Owned by its store and freed with it: there is nothing to delete.
#[allow(non_camel_case_types)]
pub struct wasmergo_extern {
    pub(crate) store: *const wasmergo_store,
    pub(crate) item: Item,
}

pub(crate) enum Item {
    /// A function: what a call needs, and what a link needs, made when it is first needed.
    Function {
        callee: VMCallerCheckedAnyfunc,
        import: OnceCell<InternalStoreHandle<VMFunction>>,
    },
    Other(VMExtern),
}

impl wasmergo_extern {
    /// The item as an import.
    ///
    /// # Safety
    /// The caller holds the store.
    pub unsafe fn import(&self) -> Result<VMExtern, Error> {
        Ok(match &self.item {
            Item::Function { callee, import } => match import.get() {
                Some(handle) => VMExtern::Function(*handle),
                None => {
                    let handle = unsafe { self.function(callee)? };
                    VMExtern::Function(*import.get_or_init(|| handle))
                }
            },
            Item::Other(VMExtern::Function(handle)) => VMExtern::Function(*handle),
            Item::Other(VMExtern::Memory(handle)) => VMExtern::Memory(*handle),
            Item::Other(VMExtern::Table(handle)) => VMExtern::Table(*handle),
            Item::Other(VMExtern::Global(handle)) => VMExtern::Global(*handle),
            Item::Other(VMExtern::Tag(handle)) => VMExtern::Tag(*handle),
        })
    }

    unsafe fn function(
        &self,
        callee: &VMCallerCheckedAnyfunc,
    ) -> Result<InternalStoreHandle<VMFunction>, Error> {
        let store = unsafe { &*self.store };
        let function = VMFunction {
            anyfunc: MaybeInstanceOwned::Instance(NonNull::from(callee)),
            kind: VMFunctionKind::Static,
            signature: store.signature(callee)?,
            // By the type of the data wasmer tells compiled functions from the host's.
            host_data: match host::is_host(callee) {
                true => Box::new(true),
                false => Box::new(()),
            },
        };
        Ok(InternalStoreHandle::new(
            unsafe { self.objects() },
            function,
        ))
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
