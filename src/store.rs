//! Stores: what instances share. A store is used by one call chain at a time; the Go side's gate sees to it.

use crate::abi::{Abi, Kinds};
use crate::bytes::wasmergo_bytes;
use crate::error::{Error, wasmergo_error_kind};
use crate::r#extern::{Item, wasmergo_extern};
use crate::function::Call;
use crate::guard::{fallible, infallible};
use crate::host::HostFunction;
use crate::instance::wasmergo_instance;
use crate::interrupt::Interruption;
use crate::meter::Meter;
use crate::program;
use crate::queue::Queue;
use crate::resource;
use crate::signature::SignatureTable;
use crate::statistics::Statistics;
use crate::{host, live, stack};
use std::cell::{Cell, OnceCell, RefCell, UnsafeCell};
use std::collections::HashMap;
use std::mem::MaybeUninit;
use std::sync::{Mutex, MutexGuard};
use wasmer_types::FunctionType;
use wasmer_vm::{StoreObjects, VMCallerCheckedAnyfunc, VMContext};

/// Slots of the scratch area; each holds one value (16 bytes).
pub const WASMERGO_SCRATCH_SLOTS: usize = 2048;

/// Field order is drop order: objects point into instances, instances into the code of modules.
#[allow(non_camel_case_types)]
pub struct wasmergo_store {
    /// How host functions find their Go side.
    pub(crate) id: u64,
    pub(crate) objects: UnsafeCell<StoreObjects>,
    /// Of functions that belong to no instance of the Go side.
    pub(crate) statistics: Statistics,
    #[allow(clippy::vec_box)] // the Go side holds their addresses
    pub(crate) instances: RefCell<Vec<Box<wasmergo_instance>>>,
    /// How much of the stack was in use when the exceptions were thrown, added up.
    pub(crate) backtraces: Cell<usize>,
    /// What kinds of code there are.
    pub(crate) has: Cell<Kinds>,
    /// What references lead to in place of these functions; see `tier.rs`.
    pub(crate) stand_ins: RefCell<HashMap<*const wasmergo_extern, *const wasmergo_extern>>,
    /// The instances by their contexts.
    pub(crate) contexts: RefCell<HashMap<usize, *const wasmergo_instance>>,
    pub(crate) queue: Queue,
    /// The host functions without Go of the instance that is being linked.
    pub(crate) natives: RefCell<Vec<*const HostFunction>>,
    pub(crate) signatures: RefCell<SignatureTable>,
    /// Bytes of stack for guests; 0 until the first instance brings its engine's limit.
    stack_limit: Cell<usize>,
    /// Exports are looked up without holding the store.
    externs: Mutex<Externs>,
    /// The error of the last failed call, until the Go side fetches it.
    pub(crate) error: RefCell<Option<Error>>,
    /// What guests have used up.
    pub(crate) meter: Meter,
    /// The innermost running call; null if there is none.
    pub(crate) call: Cell<*const Call>,
    pub(crate) interruption: Interruption,
    /// What programs have read.
    pub(crate) bytes: program::Bytes,
    /// The first two slots of the scratch area: the status of a call; the thread on which a host function runs right now, 0
    /// if none does; the number of the outermost call that runs, 0 if none does; the number that the next call is to have.
    pub(crate) status: *mut u64,
    /// Not initialized: most of it is never touched.
    _scratch: Box<[MaybeUninit<u128>]>,
}

#[derive(Default)]
struct Externs {
    #[allow(clippy::vec_box)] // the Go side holds their addresses
    all: Vec<Box<wasmergo_extern>>,
    /// The functions by code and context.
    functions: HashMap<(usize, usize), *const wasmergo_extern>,
}

impl Externs {
    fn keep(
        &mut self,
        store: &wasmergo_store,
        item: Item,
        statistics: *const Statistics,
    ) -> *const wasmergo_extern {
        let kept = Box::new(wasmergo_extern {
            store,
            item,
            statistics,
            ty: OnceCell::new(),
            _live: live::Extern::new(),
        });
        let address: *const wasmergo_extern = &*kept;
        self.all.push(kept);
        address
    }
}

impl wasmergo_store {
    fn externs(&self) -> MutexGuard<'_, Externs> {
        self.externs
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// Hands an extern to the Go side; it lives as long as the store.
    pub fn keep(&self, item: Item) -> *const wasmergo_extern {
        self.externs().keep(self, item, &self.statistics)
    }

    /// The same for a function, which is one extern however it was come by.
    pub fn keep_function(
        &self,
        callee: VMCallerCheckedAnyfunc,
        statistics: *const Statistics,
    ) -> *const wasmergo_extern {
        let mut externs = self.externs();
        let key = (callee.func_ptr as usize, unsafe { callee.vmctx.host_env }
            as usize);
        if let Some(known) = externs.functions.get(&key) {
            return *known;
        }
        let import = OnceCell::new();
        let item = Item::Function { callee, import };
        let kept = externs.keep(self, item, statistics);
        externs.functions.insert(key, kept);
        kept
    }

    /// The function that the callee is to the host, if it is known there.
    pub fn known_function(
        &self,
        callee: &VMCallerCheckedAnyfunc,
    ) -> Option<*const wasmergo_extern> {
        let key = (callee.func_ptr as usize, unsafe { callee.vmctx.host_env }
            as usize);
        self.externs().functions.get(&key).copied()
    }

    /// From now on the callee is this extern to the host.
    pub fn stand_for(&self, callee: &VMCallerCheckedAnyfunc, function: *const wasmergo_extern) {
        let key = (callee.func_ptr as usize, unsafe { callee.vmctx.host_env }
            as usize);
        self.externs().functions.insert(key, function);
    }

    /// Frees the instances after the first `kept`, which nobody can have come to know.
    pub fn discard_instances(&self, kept: usize) {
        for instance in self.instances.borrow_mut().drain(kept..).rev() {
            let context = unsafe { (*instance.vm()).vmctx_ptr() } as usize;
            self.contexts.borrow_mut().remove(&context);
            // Another instance may come to lie in the same place.
            let functions = &mut self.externs().functions;
            functions.retain(|(_, of), _| *of != context);
        }
    }

    /// The type of a function of this store.
    pub fn signature(&self, callee: &VMCallerCheckedAnyfunc) -> Result<FunctionType, Error> {
        self.signatures
            .borrow()
            .get(callee.type_signature_hash)
            .cloned()
            .ok_or_else(|| {
                Error::new(
                    wasmergo_error_kind::Internal,
                    "a function of an unknown type",
                )
            })
    }

    /// How the function is called: by what compiled the instance that it belongs to.
    pub fn abi(&self, callee: &VMCallerCheckedAnyfunc) -> Abi {
        self.instance_of(unsafe { callee.vmctx.vmctx })
            .map_or(Abi::System, |instance| instance.module.abi)
    }

    /// Where calls of the function are counted. The caller holds the store.
    pub fn statistics_of(&self, callee: &VMCallerCheckedAnyfunc) -> *const Statistics {
        if host::is_host(callee) {
            return &self.statistics;
        }
        self.instance_of(unsafe { callee.vmctx.vmctx })
            .map_or(&self.statistics, |instance| instance.statistics())
    }

    /// The instance with this context.
    pub fn instance_of(&self, context: *mut VMContext) -> Option<&wasmergo_instance> {
        let found = self.contexts.borrow().get(&(context as usize)).copied()?;
        // The store keeps it where it is.
        Some(unsafe { &*found })
    }

    /// The number of the call that begins.
    pub fn number(&self) -> u64 {
        unsafe { self.status.add(3).read() }
    }

    pub fn stack_limit(&self) -> usize {
        self.stack_limit.get()
    }

    /// Sets the bytes of stack for guests, if they are not set yet.
    pub fn limit_stack(&self, size: usize) {
        if self.stack_limit.get() == 0 {
            self.stack_limit.set(stack::round(size));
        }
    }
}

/// Makes a store; owned by the caller. `scratch` gets the address of `WASMERGO_SCRATCH_SLOTS` slots, which live as long
/// as the store: the first two are for the calls themselves, the others for arguments and results. `stack_size` bounds the
/// stack of guests; 0 leaves that to the engine of the first instance. `meter` gets the address of the store's meter:
/// `remaining`, `instructions`, two cells of the guests' own, what the host has charged, and whether there is code that counts.
///
/// # Safety
/// `out`, `scratch` and `meter` are valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wasmergo_store_new(
    id: u64,
    stack_size: u64,
    out: *mut *mut wasmergo_store,
    scratch: *mut *mut u64,
    meter: *mut *mut u64,
) -> wasmergo_bytes {
    fallible(|| {
        resource::check()?;
        let mut slots = Box::new_uninit_slice(WASMERGO_SCRATCH_SLOTS);
        let status: *mut u64 = slots.as_mut_ptr().cast();
        unsafe { status.write_bytes(0, 4) };
        let mut store = Box::new(wasmergo_store {
            id,
            objects: UnsafeCell::default(),
            statistics: Statistics::default(),
            instances: RefCell::default(),
            backtraces: Cell::new(0),
            has: Cell::default(),
            stand_ins: RefCell::default(),
            contexts: RefCell::default(),
            queue: Queue::default(),
            natives: RefCell::default(),
            signatures: RefCell::default(),
            stack_limit: Cell::new(0),
            externs: Mutex::default(),
            error: RefCell::default(),
            meter: Meter::new(),
            call: Cell::new(std::ptr::null()),
            interruption: unsafe { Interruption::new(status.add(2).cast()) },
            bytes: program::Bytes::default(),
            status,
            _scratch: slots,
        });
        if stack_size != 0 {
            store.limit_stack(stack_size as usize);
        }
        unsafe {
            scratch.write(store.status);
            meter.write((&raw mut store.meter).cast());
            out.write(Box::into_raw(store));
        }
        Ok(())
    })
}

/// Frees the store with all that was made in it. No call of it may be running, except one given up with
/// `wasmergo_store_abandon`.
#[unsafe(no_mangle)]
pub extern "C" fn wasmergo_store_delete(store: Option<Box<wasmergo_store>>) {
    infallible(|| drop(store));
}

/// Fetches the error of a call that failed; the caller owns it.
#[unsafe(no_mangle)]
pub extern "C" fn wasmergo_store_error(store: &wasmergo_store) -> wasmergo_bytes {
    let error = crate::guard::guard(|| Ok(store.error.borrow_mut().take()));
    error
        .ok()
        .flatten()
        .map_or(wasmergo_bytes::NONE, |error| error.encode())
}

/// Gives up the innermost running call of the store, whose frames the goroutine leaves without returning
/// (runtime.Goexit in a host function). The thread's trap handler is as it was before that call.
///
/// # Safety
/// Called on the thread of that call, below its host function. Nothing of the store runs afterwards but outer calls
/// that are given up too.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wasmergo_store_abandon(store: &wasmergo_store) -> wasmergo_bytes {
    fallible(|| {
        let Some(call) = (unsafe { store.call.get().as_ref() }) else {
            return Ok(());
        };
        store.call.set(call.outer);
        if call.outer.is_null() {
            store.interruption.end();
        }
        unsafe { call.abandon() }
    })
}
