//! Instances: a module's code with its imports, memories, tables and globals in a store.

use crate::abi::Kinds;
use crate::builtin;
use crate::bytes::{borrow, wasmergo_bytes};
use crate::error::{Error, wasmergo_error_kind};
use crate::r#extern::{Item, wasmergo_extern};
use crate::function::{enter, run};
use crate::guard::{fallible, guard};
use crate::host::{HostFunction, wasmergo_import};
use crate::linear::GuestMemory;
use crate::link::{State, link};
use crate::module::{Compiled, wasmergo_module};
use crate::state::State as Kept;
use crate::statistics::Statistics;
use crate::store::wasmergo_store;
use crate::{externref, first_memory, initial, stack, thread};
use std::cell::{Cell, RefCell, UnsafeCell};
use std::collections::HashSet;
use std::ptr;
use std::sync::Arc;
use wasmer_compiler::ArtifactCreate;
use wasmer_types::entity::EntityRef;
use wasmer_types::{
    DataIndex, DataInitializerLike, DataInitializerLocationLike, ElemIndex, ExportIndex,
    FunctionIndex, GlobalIndex, InitExpr, MemoryIndex, RawValue, TrapCode,
};
use wasmer_vm::{
    StoreObjects, Trap, VMCallerCheckedAnyfunc, VMExtern, VMFunctionContext, VMInstance,
};

/// An instance. Owned by its store and freed with it: there is nothing to delete.
#[allow(non_camel_case_types)]
pub struct wasmergo_instance {
    store: *const wasmergo_store,
    /// What the store had before, and has with it.
    before: State,
    after: State,
    instance: UnsafeCell<VMInstance>,
    pub(crate) statistics: Statistics,
    /// The Go side knows it: else its calls are counted as the store's.
    pub(crate) counted: Cell<bool>,
    /// The segments that were dropped.
    pub(crate) dropped: RefCell<HashSet<ElemIndex>>,
    pub(crate) dropped_data: RefCell<HashSet<DataIndex>>,
    /// What a reset puts it back to, if it was kept.
    pub(crate) kept: RefCell<Option<Box<Kept>>>,
    /// The imported functions, ready to be called: an export may be one of them.
    imported: Vec<VMCallerCheckedAnyfunc>,
    /// Where calls of those are counted.
    imported_statistics: Vec<*const Statistics>,
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
        unsafe {
            (*instance).counted.set(true);
            out.write(instance);
        }
        Ok(())
    })
}

impl wasmergo_instance {
    /// Links an instance and gives it to the store. The caller holds the store.
    pub fn create(
        store: &wasmergo_store,
        module: Arc<Compiled>,
        imports: &[wasmergo_import],
    ) -> Result<*const Self, Error> {
        let (instance, natives) = Self::create_unbound(store, module, imports)?;
        for native in natives {
            unsafe { (*native).bind(&*instance) };
        }
        Ok(instance)
    }

    /// The same, with the host functions that have yet to be given a memory.
    pub fn create_unbound(
        store: &wasmergo_store,
        module: Arc<Compiled>,
        imports: &[wasmergo_import],
    ) -> Result<(*const Self, Vec<*const HostFunction>), Error> {
        if let Some(why) = &module.foreign {
            return Err(Error::new(wasmergo_error_kind::Unsupported, why));
        }
        thread::find_trap_handler();
        store.limit_stack(module.limits.stack_size as usize);
        for import in imports {
            if let Some(item) = unsafe { import.item.as_ref() } {
                // What is made once for all importers must not go with this one.
                unsafe { item.prepare_import(module.abi)? };
            }
        }
        let before = State::of(store);
        let outer = store.natives.take(); // an instance may be made for another one
        let linked = unsafe { link(store, &module, imports) };
        let natives = store.natives.replace(outer);
        let (instance, imported) = linked.inspect_err(|_| before.restore(store))?;
        let kinds = Kinds::of(&module, imports);
        store.has.set(store.has.get().with(kinds));
        builtin::install(&instance);
        let mut after = State::of(store);
        after.instances += 1; // this one
        let instance = Box::new(Self {
            store,
            before,
            after,
            instance: UnsafeCell::new(instance),
            statistics: Statistics::default(),
            counted: Cell::new(false),
            dropped: RefCell::default(),
            dropped_data: RefCell::default(),
            kept: RefCell::default(),
            imported_statistics: imported
                .iter()
                .map(|callee| store.statistics_of(callee))
                .collect(),
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
        Ok((address, natives))
    }

    /// The export with this position in the module's list of exports.
    pub fn export(&self, position: usize) -> Option<*const wasmergo_extern> {
        let index = self.module.exports.get(position)?;
        let store = unsafe { &*self.store };
        Some(match index {
            ExportIndex::Function(function) => {
                store.keep_function(self.callee(*function), self.statistics_of(*function))
            }
            _ => {
                let instance = unsafe { &mut *self.instance.get() };
                store.keep(Item::Other(instance.lookup_by_declaration(*index)))
            }
        })
    }

    /// Where calls of its own functions are counted.
    pub fn statistics(&self) -> &Statistics {
        match self.counted.get() {
            true => &self.statistics,
            false => &self.store().statistics,
        }
    }

    fn statistics_of(&self, function: FunctionIndex) -> *const Statistics {
        match self.imported_statistics.get(function.index()) {
            Some(statistics) => *statistics,
            None => self.statistics(),
        }
    }

    /// A reference to the function.
    pub(crate) fn reference(&self, function: FunctionIndex) -> usize {
        let store = unsafe { &*self.store };
        let function =
            unsafe { &*store.keep_function(self.callee(function), self.statistics_of(function)) };
        function.callee_address()
    }

    /// What a call of the function needs: from the module and this instance alone, which nobody changes.
    pub(crate) fn callee(&self, index: FunctionIndex) -> VMCallerCheckedAnyfunc {
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

    /// Whether nothing was made in its store since.
    pub(crate) fn is_alone(&self) -> bool {
        State::of(self.store()).same(&self.after)
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
    pub(crate) unsafe fn initialize(&self) -> Result<(), Error> {
        let instance = unsafe { &mut *self.instance.get() };
        let initialized = unsafe { instance.finish_instantiation(&stack::VM_CONFIG, None, &[]) };
        let elements = self
            .initialize_elements()
            .and(initialized.map_err(Error::from));
        let (info, initial) = (self.module.info(), &self.module.tunables.initial);
        if elements.is_err() {
            // Others may have references to its functions by now, and it has no data yet.
            for memory in initial.memories() {
                let memory = self.memory(info.memory_index(memory))?;
                unsafe { memory.reset(None, memory.pages)? };
            }
            return elements;
        }
        for (number, data) in self.module.artifact.data_initializers().enumerate() {
            let location = data.location();
            let index = first_memory::index(info, location.memory_index());
            let memory = self.memory(index)?;
            if initial.has(number) && memory.image.is_some() && !info.is_imported_memory(index) {
                continue;
            }
            let offset = self.constant(&location.offset_expr())?;
            let memory = unsafe { memory.definition.as_ptr().as_ref() };
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

    #[allow(clippy::mut_from_ref)] // the store's holder is the only one
    fn memory(&self, index: MemoryIndex) -> Result<&mut GuestMemory, Error> {
        let instance = unsafe { &mut *self.instance.get() };
        match instance.lookup_by_declaration(ExportIndex::Memory(index)) {
            VMExtern::Memory(handle) => Ok(GuestMemory::of(handle.get_mut(self.objects()))),
            _ => Err(Error::new(wasmergo_error_kind::Internal, "not a memory")),
        }
    }

    /// Evaluates a constant expression of type i32.
    pub(crate) fn constant(&self, expression: &InitExpr) -> Result<u32, Error> {
        let malformed = || Error::new(wasmergo_error_kind::Internal, "not a constant expression");
        initial::evaluate(expression, |index| self.global(index)).ok_or_else(malformed)
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
    run(store, &instance.statistics, |call| -> Result<(), Error> {
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
