//! Externs: the functions, memories, tables and globals of a store, as imports and exports pass them on.

use crate::abi::{self, Abi};
use crate::error::{Error, wasmergo_error_kind};
use crate::statistics::Statistics;
use crate::store::wasmergo_store;
use crate::{host, live};
use std::cell::OnceCell;
use std::ptr::NonNull;
use wasmer_types::FunctionType;
use wasmer_vm::{
    InternalStoreHandle, MaybeInstanceOwned, StoreObjects, VMCallerCheckedAnyfunc, VMExtern,
    VMFunction, VMFunctionKind,
};

/// A function, memory, table, global or tag. Owned by its store and freed with it: there is nothing to delete.
#[allow(non_camel_case_types)]
pub struct wasmergo_extern {
    pub(crate) store: *const wasmergo_store,
    pub(crate) item: Item,
    /// Where calls of a function are counted.
    pub(crate) statistics: *const Statistics,
    /// The type of a function, once it was needed.
    pub(crate) ty: OnceCell<Box<FunctionType>>,
    pub(crate) _live: live::Extern,
}

pub(crate) enum Item {
    /// A function: what a call needs, and what a link needs, made when it is first needed.
    Function {
        callee: VMCallerCheckedAnyfunc,
        import: OnceCell<InternalStoreHandle<VMFunction>>,
    },
    Other(VMExtern),
}

/// An import, and what references to it lead to.
pub(crate) type Import = (VMExtern, Reference);

/// What references to an imported function lead to, so that the module's code can follow them.
pub(crate) enum Reference {
    /// What is imported.
    Same,
    /// This function, in whose place an adapter is imported.
    Function(VMCallerCheckedAnyfunc),
    /// A function made by the module's compiler that calls the import.
    Forwarder,
}

impl Reference {
    pub fn to_host(importer: Abi, ty: &FunctionType) -> Self {
        match importer == Abi::Singlepass && abi::differs(ty) {
            true => Self::Forwarder,
            false => Self::Same,
        }
    }

    fn to_compiled(
        importer: Abi,
        callee_abi: Abi,
        callee: &VMCallerCheckedAnyfunc,
        ty: &FunctionType,
    ) -> Self {
        match !importer.differs(callee_abi, ty) {
            true => Self::Function(*callee),
            false => Self::Forwarder,
        }
    }
}

/// How a module's code comes to an imported function.
enum Way {
    /// The function itself, made once for all importers.
    Itself,
    /// The same, under a record of its own, because references must lead elsewhere.
    Record,
    Adapter,
    /// A trampoline of the module to a host function.
    Host,
}

impl Way {
    fn to(
        importer: Abi,
        callee: &VMCallerCheckedAnyfunc,
        store: &wasmergo_store,
        ty: &FunctionType,
    ) -> Self {
        if host::is_host(callee) {
            return Self::Host;
        }
        let abi = store.abi(callee);
        match (importer.can_import(abi, ty), !importer.differs(abi, ty)) {
            (false, _) => Self::Adapter,
            (true, true) => Self::Itself,
            (true, false) => Self::Record,
        }
    }
}

impl wasmergo_extern {
    /// The function's type.
    pub fn function_type(&self) -> Result<&FunctionType, Error> {
        if let Some(known) = self.ty.get() {
            return Ok(known);
        }
        let ty = unsafe { &*self.store }.signature(&self.callee()?)?;
        Ok(self.ty.get_or_init(|| Box::new(ty)))
    }

    /// Where what a call of the function needs lies: the function as a reference; 0 for others.
    pub fn callee_address(&self) -> usize {
        match &self.item {
            Item::Function { callee, .. } => std::ptr::from_ref(callee) as usize,
            Item::Other(_) => 0,
        }
    }

    /// What a call of the function needs.
    pub fn callee(&self) -> Result<VMCallerCheckedAnyfunc, Error> {
        match &self.item {
            Item::Function { callee, .. } => Ok(*callee),
            Item::Other(_) => Err(Error::new(wasmergo_error_kind::Internal, "not a function")),
        }
    }

    /// The item as an import of a module. Of a function that the module's code would call wrongly it is an adapter.
    ///
    /// # Safety
    /// The caller holds the store.
    pub unsafe fn import(&self, importer: Abi) -> Result<Import, Error> {
        let same = |item| (item, Reference::Same);
        Ok(match &self.item {
            Item::Function { callee, import } => {
                let store = unsafe { &*self.store };
                let ty = store.signature(callee)?;
                let (reference, function) = match Way::to(importer, callee, store, &ty) {
                    Way::Itself => {
                        let handle = import.get_or_init(|| self.itself(callee, ty));
                        return Ok(same(VMExtern::Function(*handle)));
                    }
                    // Its data is another's. Of the type () it would be taken for a compiled function.
                    Way::Host => (
                        Reference::to_host(importer, &ty),
                        abi::dynamic(*callee, ty, Box::new(true)),
                    ),
                    Way::Adapter => (
                        Reference::to_compiled(importer, store.abi(callee), callee, &ty),
                        abi::adapter(*callee, ty),
                    ),
                    Way::Record => (Reference::Forwarder, abi::compiled(*callee, ty)),
                };
                let handle = InternalStoreHandle::new(unsafe { self.objects() }, function);
                (VMExtern::Function(handle), reference)
            }
            Item::Other(VMExtern::Function(handle)) => same(VMExtern::Function(*handle)),
            Item::Other(VMExtern::Memory(handle)) => same(VMExtern::Memory(*handle)),
            Item::Other(VMExtern::Table(handle)) => same(VMExtern::Table(*handle)),
            Item::Other(VMExtern::Global(handle)) => same(VMExtern::Global(*handle)),
            Item::Other(VMExtern::Tag(handle)) => same(VMExtern::Tag(*handle)),
        })
    }

    /// Makes what `import` makes once for all importers: the function itself.
    ///
    /// # Safety
    /// The caller holds the store.
    pub unsafe fn prepare_import(&self, importer: Abi) -> Result<(), Error> {
        let Item::Function { callee, import } = &self.item else {
            return Ok(());
        };
        let store = unsafe { &*self.store };
        let ty = store.signature(callee)?;
        if let Way::Itself = Way::to(importer, callee, store, &ty) {
            import.get_or_init(|| self.itself(callee, ty));
        }
        Ok(())
    }

    fn itself(
        &self,
        callee: &VMCallerCheckedAnyfunc,
        signature: FunctionType,
    ) -> InternalStoreHandle<VMFunction> {
        let function = VMFunction {
            anyfunc: MaybeInstanceOwned::Instance(NonNull::from(callee)),
            kind: VMFunctionKind::Static,
            signature,
            host_data: Box::new(()),
        };
        InternalStoreHandle::new(unsafe { self.objects() }, function)
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
