//! Linking: a module's imports, as its code calls and refers to them, and what becomes of a store when it fails.

use crate::abi::Kinds;
use crate::error::{Error, wasmergo_error_kind};
use crate::r#extern::{Import, Reference};
use crate::first_memory;
use crate::host::{self, wasmergo_import};
use crate::instance::wasmergo_instance;
use crate::module::Compiled;
use crate::results;
use crate::store::wasmergo_store;
use std::ptr;
use wasmer_types::{FunctionIndex, ImportIndex};
use wasmer_vm::{
    InternalStoreHandle, StoreObject, VMCallerCheckedAnyfunc, VMExceptionObj, VMExtern, VMFunction,
    VMGlobal, VMInstance, VMMemory, VMTable, VMTag,
};

/// Links an instance; also gives what calls of its imported functions need.
pub(crate) unsafe fn link(
    store: &wasmergo_store,
    module: &Compiled,
    imports: &[wasmergo_import],
) -> Result<(VMInstance, Vec<VMCallerCheckedAnyfunc>), Error> {
    let types = || module.info().signatures.values();
    store.signatures.borrow_mut().insert_all(types())?;
    if module.shares_references {
        store.signatures.borrow_mut().claim(types(), module.abi)?;
    }
    store.has.get().check(Kinds::of(module, imports))?;
    let resolved = unsafe { resolve(store, module, imports)? };
    let externs: Vec<_> = resolved.iter().map(|(item, _)| clone(item)).collect();
    let objects = unsafe { &mut *store.objects.get() };
    module.make_images();
    let mut instance = unsafe {
        module
            .artifact
            .instantiate(&module.tunables, &externs, objects)?
    };
    unsafe { first_memory::link(&instance, module.info()) };
    if module.metered {
        unsafe { store.meter.connect(&instance, module.info()) };
    }
    let mut imported = Vec::new();
    for ((item, reference), import) in resolved.into_iter().zip(imports) {
        let VMExtern::Function(handle) = item else {
            continue;
        };
        let index = imported.len() as u32;
        let anyfunc = unsafe { handle.get(&*store.objects.get()) }
            .anyfunc
            .as_ptr();
        let mut adapters = module.notes.results.iter();
        if let Some(import) = adapters.find(|import| import.function == index) {
            unsafe { results::connect(anyfunc.as_ref(), import, &mut instance, objects)? };
        }
        // The code's own calls have their address already.
        match reference {
            Reference::Forwarder if module.notes.references.contains(&index) => {
                let ty = module.notes.function_type(module.info(), index);
                let forwarder = module.forwarder(ty)?;
                let (instance, natives) =
                    wasmergo_instance::create_unbound(store, forwarder, &[*import])?;
                store.natives.borrow_mut().extend(natives);
                let forwarder = unsafe { &*instance }.callee(FunctionIndex::from_u32(1));
                unsafe { anyfunc.write(forwarder) };
            }
            Reference::Function(callee) => unsafe { anyfunc.write(callee) },
            _ => {}
        }
        imported.push(unsafe { *anyfunc.as_ref() });
    }
    Ok((instance, imported))
}

fn clone(item: &VMExtern) -> VMExtern {
    match item {
        VMExtern::Function(handle) => VMExtern::Function(*handle),
        VMExtern::Memory(handle) => VMExtern::Memory(*handle),
        VMExtern::Table(handle) => VMExtern::Table(*handle),
        VMExtern::Global(handle) => VMExtern::Global(*handle),
        VMExtern::Tag(handle) => VMExtern::Tag(*handle),
    }
}

/// How much a store has: what came after it goes when an instantiation fails.
#[derive(Clone, Copy)]
pub(crate) struct State {
    objects: [usize; 5],
    pub exceptions: usize,
    pub instances: usize,
    signatures: usize,
}

impl State {
    pub fn of(store: &wasmergo_store) -> Self {
        let objects = unsafe { &*store.objects.get() };
        Self {
            objects: [
                VMFunction::list(objects).len(),
                VMTable::list(objects).len(),
                VMMemory::list(objects).len(),
                VMGlobal::list(objects).len(),
                VMTag::list(objects).len(),
            ],
            exceptions: VMExceptionObj::list(objects).len(),
            instances: store.instances.borrow().len(),
            signatures: store.signatures.borrow().mark(),
        }
    }

    /// Exceptions aside, which nobody may hold any more.
    pub fn same(&self, other: &Self) -> bool {
        self.objects == other.objects
            && self.instances == other.instances
            && self.signatures == other.signatures
    }

    pub fn restore(&self, store: &wasmergo_store) {
        store.discard_instances(self.instances);
        let objects = unsafe { &mut *store.objects.get() };
        let [functions, tables, memories, globals, tags] = self.objects;
        VMFunction::list_mut(objects).truncate(functions);
        VMTable::list_mut(objects).truncate(tables);
        VMMemory::list_mut(objects).truncate(memories);
        VMGlobal::list_mut(objects).truncate(globals);
        VMTag::list_mut(objects).truncate(tags);
        store.signatures.borrow_mut().restore(self.signatures);
    }
}

unsafe fn resolve(
    store: &wasmergo_store,
    module: &Compiled,
    imports: &[wasmergo_import],
) -> Result<Vec<Import>, Error> {
    let info = module.info();
    if imports.len() != info.imports.len() {
        let message = format!(
            "{} imports for a module that has {}",
            imports.len(),
            info.imports.len()
        );
        return Err(Error::new(wasmergo_error_kind::Internal, message));
    }
    let mut resolved = Vec::with_capacity(imports.len());
    for (import, index) in imports.iter().zip(info.imports.values()) {
        resolved.push(match (unsafe { import.item.as_ref() }, index) {
            (Some(item), ImportIndex::Function(index))
                if ptr::eq(item.store, store) && module.notes.has_results(*index) =>
            {
                with_results(store, module, *index, item.callee()?)
            }
            (Some(item), _) if ptr::eq(item.store, store) => unsafe { item.import(module.abi)? },
            (Some(_), _) => {
                return Err(Error::new(
                    wasmergo_error_kind::Link,
                    "an import belongs to another store",
                ));
            }
            (None, ImportIndex::Function(index)) => {
                let ty = module.notes.function_type(info, index.as_u32());
                let function = host::new(store, ty, import)?;
                if module.notes.has_results(*index) {
                    let callee = unsafe {
                        *function
                            .get(&*store.objects.get())
                            .anyfunc
                            .as_ptr()
                            .as_ref()
                    };
                    with_results(store, module, *index, callee)
                } else {
                    let reference = Reference::to_host(module.abi, ty);
                    (VMExtern::Function(function), reference)
                }
            }
            (None, _) => {
                return Err(Error::new(
                    wasmergo_error_kind::Internal,
                    "only functions can be made by number",
                ));
            }
        });
    }
    Ok(resolved)
}

/// The adapter for an import that the compiler could not import as it is.
fn with_results(
    store: &wasmergo_store,
    module: &Compiled,
    index: FunctionIndex,
    callee: VMCallerCheckedAnyfunc,
) -> Import {
    let ty = module.notes.function_type(module.info(), index.as_u32());
    let reference = match host::is_host(&callee) || store.abi(&callee) != module.abi {
        true => Reference::Forwarder,
        false => Reference::Function(callee),
    };
    let function = results::adapter(callee, ty);
    let handle = InternalStoreHandle::new(unsafe { &mut *store.objects.get() }, function);
    (VMExtern::Function(handle), reference)
}
