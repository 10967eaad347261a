//! Stores: what instances share. A store is used by one call chain at a time; the Go side's gate sees to it.

use crate::bytes::wasmergo_bytes;
use crate::error::Error;
use crate::r#extern::{Item, wasmergo_extern};
use crate::function::Call;
use crate::guard::{fallible, infallible};
use crate::instance::wasmergo_instance;
use crate::signature::SignatureTable;
use crate::tunables::GuestTunables;
use std::cell::{Cell, RefCell, UnsafeCell};
use std::mem::MaybeUninit;
use std::sync::Mutex;
use wasmer_compiler::Tunables;
use wasmer_types::{MemoryType, Pages};
use wasmer_vm::{InternalStoreHandle, StoreObjects, VMExtern};

/// Slots of the scratch area; each holds one value (16 bytes).
pub const WASMERGO_SCRATCH_SLOTS: usize = 2048;

/// Field order is drop order: objects point into instances, instances into the code of modules.
#[allow(non_camel_case_types)]
pub struct wasmergo_store {
    /// How host functions find their Go side.
    pub(crate) id: u64,
    pub(crate) objects: UnsafeCell<StoreObjects>,
    #[allow(clippy::vec_box)] // the Go side holds their addresses
    pub(crate) instances: RefCell<Vec<Box<wasmergo_instance>>>,
    pub(crate) signatures: RefCell<SignatureTable>,
    /// Exports are looked up without holding the store.
    #[allow(clippy::vec_box)] // the Go side holds their addresses
    externs: Mutex<Vec<Box<wasmergo_extern>>>,
    /// The error of the last failed call, until the Go side fetches it.
    pub(crate) error: RefCell<Option<Error>>,
    /// The innermost running call; null if there is none.
    pub(crate) call: Cell<*const Call>,
    /// The first slot of the scratch area, for the status of a call.
    pub(crate) status: *mut u64,
    /// Not initialized: most of it is never touched.
    scratch: Box<[MaybeUninit<u128>]>,
}

impl wasmergo_store {
    /// Hands an extern to the Go side; it lives as long as the store.
    pub fn keep(&self, item: Item) -> *const wasmergo_extern {
        let kept = Box::new(wasmergo_extern { store: self, item });
        let address: *const wasmergo_extern = &*kept;
        self.externs
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner())
            .push(kept);
        address
    }
}

/// Makes a store; owned by the caller. `scratch` gets the address of `WASMERGO_SCRATCH_SLOTS` slots, which live as long
/// as the store: the first for the status of calls, the others for arguments and results.
///
/// # Safety
/// `out` and `scratch` are valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wasmergo_store_new(
    id: u64,
    out: *mut *mut wasmergo_store,
    scratch: *mut *mut u64,
) -> wasmergo_bytes {
    fallible(|| {
        let mut store = Box::new(wasmergo_store {
            id,
            objects: UnsafeCell::default(),
            instances: RefCell::default(),
            signatures: RefCell::default(),
            externs: Mutex::default(),
            error: RefCell::default(),
            call: Cell::new(std::ptr::null()),
            status: std::ptr::null_mut(),
            scratch: Box::new_uninit_slice(WASMERGO_SCRATCH_SLOTS),
        });
        store.status = store.scratch.as_mut_ptr().cast();
        unsafe {
            scratch.write(store.status);
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

/// Makes a memory in the store.
///
/// # Safety
/// `out` is valid; the caller holds the store.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wasmergo_store_memory(
    store: &wasmergo_store,
    min: u32,
    max: u32,
    out: *mut *const wasmergo_extern,
) -> wasmergo_bytes {
    fallible(|| {
        let ty = MemoryType::new(Pages(min), Some(Pages(max)), false);
        let memory = GuestTunables.create_host_memory(&ty, &GuestTunables.memory_style(&ty))?;
        let handle = InternalStoreHandle::new(unsafe { &mut *store.objects.get() }, memory);
        unsafe { out.write(store.keep(Item::Other(VMExtern::Memory(handle)))) };
        Ok(())
    })
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
        unsafe { call.abandon() }
    })
}
