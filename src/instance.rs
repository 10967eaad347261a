//! Instances: a module's code with its imports, memories, tables and globals in a store.

use crate::builtin;
use crate::bytes::{borrow, wasmergo_bytes};
use crate::error::{Error, wasmergo_error_kind};
use crate::r#extern::{Import, Item, Reference, wasmergo_extern};
use crate::function::{enter, run};
use crate::guard::{fallible, guard};
use crate::host::{self, wasmergo_import};
use crate::module::{Compiled, wasmergo_module};
use crate::store::wasmergo_store;
use crate::{externref, results, stack, thread};
use std::cell::{RefCell, UnsafeCell};
use std::collections::HashSet;
use std::ptr;
use std::sync::Arc;
use wasmer_compiler::ArtifactCreate;
use wasmer_types::entity::EntityRef;
use wasmer_types::{
    DataIndex, DataInitializerLike, DataInitializerLocationLike, ElemIndex, ExportIndex,
    FunctionIndex, GlobalIndex, ImportIndex, InitExpr, InitExprOp, RawValue, TrapCode,
};
use wasmer_vm::{
    InternalStoreHandle, LinearMemory, StoreObject, StoreObjects, Trap, VMCallerCheckedAnyfunc,
    VMExceptionObj, VMExtern, VMFunction, VMFunctionContext, VMGlobal, VMInstance, VMMemory,
    VMTable, VMTag,
};

/// An instance. Owned by its store and freed with it: there is nothing to delete.
#[allow(non_camel_case_types)]
pub struct wasmergo_instance {
    store: *const wasmergo_store,
    /// What the store had before, and has with it.
    before: State,
    after: State,
    instance: UnsafeCell<VMInstance>,
    /// The segments that were dropped.
    pub(crate) dropped: RefCell<HashSet<ElemIndex>>,
    pub(crate) dropped_data: RefCell<HashSet<DataIndex>>,
    /// The imported functions, ready to be called: an export may be one of them.
    imported: Vec<VMCallerCheckedAnyfunc>,
    /// Last, so that the code outlives the instance.
    pub(crate) module: Arc<Compiled>,
}

/// Links an instance; its exports can be used, its data and start function have yet to come. `imports` is in the
/// order of the module's.
///
/// # Safety
/// `imports` holds `len` elements of the same store, `out` is valid; the caller holds the store.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wasmergo_instance_new(
    store: &wasmergo_store,
    module: &wasmergo_module,
    imports: *const wasmergo_import,
    len: usize,
    out: *mut *const wasmergo_instance,
) -> wasmergo_bytes {
    fallible(|| {
        let imports = unsafe { borrow(imports, len) };
        let instance = wasmergo_instance::create(store, module.compiled.clone(), imports)?;
        unsafe { out.write(instance) };
        Ok(())
    })
}

unsafe fn link(
    store: &wasmergo_store,
    module: &Compiled,
    imports: &[wasmergo_import],
) -> Result<(VMInstance, Vec<VMCallerCheckedAnyfunc>), Error> {
    let types = || module.info().signatures.values();
    store.signatures.borrow_mut().insert_all(types())?;
    if module.shares_references {
        store.signatures.borrow_mut().claim(types(), module.abi)?;
    }
    store.has.borrow().check(module)?;
    let resolved = unsafe { resolve(store, module, imports)? };
    let externs: Vec<_> = resolved.iter().map(|(item, _)| clone(item)).collect();
    let objects = unsafe { &mut *store.objects.get() };
    let mut instance = unsafe {
        module
            .artifact
            .instantiate(&module.tunables, &externs, objects)?
    };
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
                let instance = wasmergo_instance::create(store, forwarder, &[*import])?;
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
struct State {
    objects: [usize; 5],
    exceptions: usize,
    instances: usize,
    signatures: usize,
}

impl State {
    fn of(store: &wasmergo_store) -> Self {
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
    fn same(&self, other: &Self) -> bool {
        self.objects == other.objects
            && self.instances == other.instances
            && self.signatures == other.signatures
    }

    fn restore(&self, store: &wasmergo_store) {
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
                let function = host::new(store, ty, import.function);
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

impl wasmergo_instance {
    /// Links an instance and gives it to the store. The caller holds the store.
    pub fn create(
        store: &wasmergo_store,
        module: Arc<Compiled>,
        imports: &[wasmergo_import],
    ) -> Result<*const Self, Error> {
        thread::find_trap_handler();
        store.limit_stack(module.limits.stack_size as usize);
        for import in imports {
            if let Some(item) = unsafe { import.item.as_ref() } {
                // What is made once for all importers must not go with this one.
                unsafe { item.prepare_import(module.abi)? };
            }
        }
        let before = State::of(store);
        let linked = unsafe { link(store, &module, imports) };
        let (instance, imported) = linked.inspect_err(|_| before.restore(store))?;
        store.has.borrow_mut().add(&module);
        builtin::install(&instance);
        let mut after = State::of(store);
        after.instances += 1; // this one
        let instance = Box::new(Self {
            store,
            before,
            after,
            instance: UnsafeCell::new(instance),
            dropped: RefCell::default(),
            dropped_data: RefCell::default(),
            imported,
            module,
        });
        let address: *const Self = &*instance;
        let context = unsafe { (*instance.vm()).vmctx_ptr() };
        store
            .contexts
            .borrow_mut()
            .insert(context as usize, address);
        store.instances.borrow_mut().push(instance);
        Ok(address)
    }

    /// The export with this position in the module's list of exports.
    pub fn export(&self, position: usize) -> Option<*const wasmergo_extern> {
        let index = self.module.exports.get(position)?;
        let store = unsafe { &*self.store };
        Some(match index {
            ExportIndex::Function(function) => store.keep_function(self.callee(*function)),
            _ => {
                let instance = unsafe { &mut *self.instance.get() };
                store.keep(Item::Other(instance.lookup_by_declaration(*index)))
            }
        })
    }

    /// A reference to the function.
    pub(crate) fn reference(&self, function: FunctionIndex) -> usize {
        let store = unsafe { &*self.store };
        let function = unsafe { &*store.keep_function(self.callee(function)) };
        function.callee_address()
    }

    /// What a call of the function needs: from the module and this instance alone, which nobody changes.
    fn callee(&self, index: FunctionIndex) -> VMCallerCheckedAnyfunc {
        let info = self.module.info();
        let Some(local) = info.local_func_index(index) else {
            return self.imported[index.index()];
        };
        let signature = info.functions[index];
        let artifact = &self.module.artifact;
        VMCallerCheckedAnyfunc {
            func_ptr: artifact.finished_functions()[local].0,
            type_signature_hash: artifact.signatures()[signature],
            vmctx: VMFunctionContext {
                vmctx: unsafe { (*self.instance.get()).vmctx_ptr() },
            },
            call_trampoline: artifact.finished_function_call_trampolines()[signature],
        }
    }

    pub(crate) fn vm(&self) -> *mut VMInstance {
        self.instance.get()
    }

    pub(crate) fn store(&self) -> &wasmergo_store {
        unsafe { &*self.store }
    }

    /// The objects of its store, which the caller holds.
    #[allow(clippy::mut_from_ref)]
    pub(crate) fn objects(&self) -> &mut StoreObjects {
        unsafe { &mut *(*self.store).objects.get() }
    }

    /// Copies the element segments, then the data segments, to their places.
    ///
    /// wasmer takes the offset of a data segment for a signed number: so it is given none, and no start function, which
    /// it would run too early.
    unsafe fn initialize(&self) -> Result<(), Error> {
        let instance = unsafe { &mut *self.instance.get() };
        let initialized = unsafe { instance.finish_instantiation(&stack::VM_CONFIG, None, &[]) };
        self.initialize_elements()?;
        initialized?;
        for data in self.module.artifact.data_initializers() {
            let location = data.location();
            let offset = self.constant(&location.offset_expr())?;
            let memory = ExportIndex::Memory(location.memory_index());
            let VMExtern::Memory(memory) = instance.lookup_by_declaration(memory) else {
                return Err(Error::new(wasmergo_error_kind::Internal, "not a memory"));
            };
            let memory = unsafe { memory.get(self.objects()).vmmemory().as_ref() };
            let bytes: &[u8] = data.data();
            let end = (offset as usize).checked_add(bytes.len());
            if end.is_none_or(|end| end > memory.current_length) {
                return Err(Trap::lib(TrapCode::HeapAccessOutOfBounds).into());
            }
            let target = memory.base.wrapping_add(offset as usize);
            unsafe { ptr::copy_nonoverlapping(bytes.as_ptr(), target, bytes.len()) };
        }
        Ok(())
    }

    /// Evaluates a constant expression of type i32.
    pub(crate) fn constant(&self, expression: &InitExpr) -> Result<u32, Error> {
        let malformed = || Error::new(wasmergo_error_kind::Internal, "not a constant expression");
        let mut values: Vec<i32> = Vec::new();
        for operation in expression.ops() {
            let operator: fn(i32, i32) -> i32 = match operation {
                InitExprOp::I32Const(value) => {
                    values.push(*value);
                    continue;
                }
                InitExprOp::GlobalGetI32(index) => {
                    let value = self.global(*index).ok_or_else(malformed)?;
                    values.push(unsafe { value.i32 });
                    continue;
                }
                InitExprOp::I32Add => i32::wrapping_add,
                InitExprOp::I32Sub => i32::wrapping_sub,
                InitExprOp::I32Mul => i32::wrapping_mul,
                _ => return Err(malformed()),
            };
            let (right, left) = (values.pop(), values.pop());
            values.push(operator(
                left.ok_or_else(malformed)?,
                right.ok_or_else(malformed)?,
            ));
        }
        values.pop().map(|value| value as u32).ok_or_else(malformed)
    }

    pub(crate) fn global(&self, index: GlobalIndex) -> Option<RawValue> {
        let instance = unsafe { &mut *self.instance.get() };
        match instance.lookup_by_declaration(ExportIndex::Global(index)) {
            VMExtern::Global(handle) => unsafe {
                Some(handle.get(self.objects()).vmglobal().as_ref().val)
            },
            _ => None,
        }
    }
}

/// Initializes tables and memories and runs the start function. Returns as `wasmergo_function_call` does. An instance
/// that failed stays in its store: others may hold its functions. See `wasmergo_instance_discard`.
///
/// # Safety
/// Called once, before any other use; the caller holds the store.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wasmergo_instance_start(instance: &wasmergo_instance) -> u32 {
    let store = unsafe { &*instance.store };
    run(store, |call| -> Result<(), Error> {
        unsafe { instance.initialize()? };
        let Some(start) = instance.module.notes.start else {
            return Ok(());
        };
        let callee = instance.callee(FunctionIndex::from_u32(start));
        unsafe { enter(call, &callee, ptr::null_mut()) }.map_err(Error::from)
    })
}

/// Frees an instance that failed to start, if no other code can have come to hold its functions, and nothing was made in
/// the store since. Tells whether it did.
///
/// # Safety
/// The Go side has nothing of the instance but what it gives up; the caller holds the store.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wasmergo_instance_discard(instance: *const wasmergo_instance) -> bool {
    crate::guard::infallible(|| {
        let (store, before, after, gives_away) = {
            let instance = unsafe { &*instance };
            let store = unsafe { &*instance.store };
            let gives_away = instance.module.gives_references();
            (store, instance.before, instance.after, gives_away)
        };
        if gives_away || !State::of(store).same(&after) {
            return false;
        }
        if State::of(store).exceptions > before.exceptions && store.call.get().is_null() {
            externref::drop_exceptions(unsafe { &mut *store.objects.get() });
        }
        if State::of(store).exceptions > before.exceptions {
            return false; // they refer to its tags
        }
        before.restore(store);
        true
    })
}

/// The export with this position in the module's list of exports; null if there is none. Functions may be looked up
/// by any thread at any time.
///
/// # Safety
/// If the export is no function, the caller holds the store.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wasmergo_instance_export(
    instance: &wasmergo_instance,
    position: usize,
) -> *const wasmergo_extern {
    let found = guard(|| Ok(instance.export(position)));
    found.ok().flatten().unwrap_or(ptr::null())
}
