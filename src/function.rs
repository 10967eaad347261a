//! Calls: the hot path.

use crate::bytes::{Encoder, wasmergo_bytes};
use crate::error::{Error, wasmergo_error_kind};
use crate::r#extern::{Item, wasmergo_extern};
use crate::guard;
use crate::kept_stack::{self, End, Target};
use crate::meter::WASMERGO_TRAP_COST_LIMIT;
use crate::statistics::{self, Statistics};
use crate::store::wasmergo_store;
use crate::{externref, stack, thread, tier, types};
use std::cell::Cell;
use std::panic::{self, AssertUnwindSafe};
use wasmer_types::{RawValue, TrapCode};
use wasmer_vm::{Trap, VMCallerCheckedAnyfunc, VMConfig, catch_traps};

/// The call succeeded.
pub const WASMERGO_OK: u32 = 0;
/// The call failed; `wasmergo_store_error` has the error.
pub const WASMERGO_FAILED: u32 = 1;
/// A host function failed; the Go side has the error.
pub const WASMERGO_HOST_FAILED: u32 = 2;
/// The call was stopped by `wasmergo_store_interrupt`; the Go side knows why.
pub const WASMERGO_INTERRUPTED: u32 = 3;

/// A running call, on the stack of its thread: what a signal handler must know, and what is needed to give it up.
pub(crate) struct Call {
    /// The thread's trap handler outside of the call; see `thread`.
    pub trap_handler: usize,
    /// The call of the same store that this one is nested in.
    pub outer: *const Call,
    /// The call on the same thread that this one is nested in.
    around: *const Call,
    /// How deep it is nested on its thread.
    depth: u32,
    store: *const wasmergo_store,
    /// Where it is counted.
    statistics: *const Statistics,
    /// Times are measured of it, or of one that it is nested in on its thread.
    pub measured: bool,
    /// The Go side's number for it, unique in its store.
    pub number: u64,
    /// It is being stopped; see `interrupt`.
    pub interrupted: Cell<bool>,
    /// Bytes of stack that its guest may use.
    pub limit: usize,
    /// The upper end of the stack that its guest runs on; 0 until it runs.
    pub stack: Cell<usize>,
    /// The reserve of that stack is open; see `stack`.
    pub reserve_open: Cell<bool>,
    /// Where on the thread's own stack there is room for what its guest calls, 0 until that is known, and where wasmer keeps the
    /// way there. See `outside`.
    pub outside: Cell<(usize, *mut usize)>,
}

thread_local! {
    /// The innermost running call of the thread; null if there is none.
    static CURRENT: Cell<*const Call> = const { Cell::new(std::ptr::null()) };
}

impl Call {
    /// The innermost running call of the thread.
    pub fn current<'a>() -> Option<&'a Call> {
        unsafe { CURRENT.get().as_ref() }
    }

    /// Whether a host function runs on this thread, or waits for a guest that it has called.
    pub fn in_host_function() -> bool {
        Self::current().is_some_and(|call| unsafe { call.store().status.add(1).read() } != 0)
    }

    /// The store that it runs in.
    pub fn store(&self) -> &wasmergo_store {
        unsafe { &*self.store }
    }

    /// The guest's stack, with what lies below it that is not the guest's; empty until it runs.
    pub fn stack_range(&self) -> std::ops::Range<usize> {
        let end = self.stack.get();
        end.saturating_sub(stack::size(self.limit))..end
    }

    /// The call on the same thread that this one is nested in.
    pub fn around(&self) -> Option<&Call> {
        unsafe { self.around.as_ref() }
    }

    pub fn statistics(&self) -> &Statistics {
        unsafe { &*self.statistics }
    }

    /// Undoes what the call did to its thread.
    ///
    /// # Safety
    /// Nothing of the call will run any more.
    pub unsafe fn abandon(&self) -> Result<(), Error> {
        if self.measured {
            statistics::end(self);
        }
        CURRENT.set(self.around);
        unsafe {
            thread::restore_trap_handler(self.trap_handler)?;
            kept_stack::abandon(self);
            stack::free(self.stack.get(), self.limit);
        }
        Ok(())
    }
}

/// Runs guest code of the store, counted where the statistics say; the body notes the guest's stack. The way of a call that
/// succeeds is kept short: errors are made on another.
#[inline(always)]
pub(crate) fn run<E>(
    store: &wasmergo_store,
    statistics: &Statistics,
    body: impl FnOnce(*const Call) -> Result<(), E>,
) -> u32
where
    Error: From<E>,
{
    if thread::exhausted() {
        return too_deep(store);
    }
    let around = CURRENT.get();
    let call = Call {
        trap_handler: thread::trap_handler(),
        outer: store.call.get(),
        around,
        depth: unsafe { around.as_ref() }.map_or(0, |around| around.depth + 1),
        store,
        statistics,
        measured: statistics.measured()
            || unsafe { around.as_ref() }.is_some_and(|around| around.measured),
        number: store.number(),
        interrupted: Cell::new(false),
        limit: store.stack_limit(),
        stack: Cell::new(0),
        reserve_open: Cell::new(false),
        outside: Cell::new((0, std::ptr::null_mut())),
    };
    if call.outer.is_null() {
        store.interruption.begin(call.number);
    } else if call.is_requested() {
        return WASMERGO_INTERRUPTED; // a host function calls although its guest is to end
    }
    store.call.set(&call);
    CURRENT.set(&call);
    if call.measured {
        statistics::begin(&call);
    }
    let result = panic::catch_unwind(AssertUnwindSafe(|| body(&call)));
    if call.reserve_open.replace(false) {
        stack::close_reserve(call.stack.get(), call.limit);
    }
    let delivered = !store.queue.is_pending() || deliver(store, &call);
    if call.measured {
        statistics::end(&call);
    }
    store.call.set(call.outer);
    CURRENT.set(call.around);
    if call.outer.is_null() {
        store.interruption.end();
    }
    if call.depth == stack::NESTED {
        stack::drain();
    }
    if call.outer.is_null() {
        externref::forget_exceptions(unsafe { &mut *store.objects.get() });
    }
    match result {
        _ if !delivered => {
            store.meter.take_exceeded();
            WASMERGO_HOST_FAILED
        }
        Ok(Ok(())) => WASMERGO_OK,
        Ok(Err(_)) if call.interrupted.get() => {
            store.meter.take_exceeded(); // it may have been about to end for this
            WASMERGO_INTERRUPTED
        }
        Ok(Err(error)) => failed(store, error.into()),
        Err(payload) => failed(store, guard::caught(payload)),
    }
}

/// Gives Go what the guest has queued. The guest's stack is wasmer's again: who abandons the call now must leave it.
#[cold]
fn deliver(store: &wasmergo_store, call: &Call) -> bool {
    call.stack.set(0);
    store.queue.deliver_all(call)
}

#[cold]
fn too_deep(store: &wasmergo_store) -> u32 {
    let message = "host and guest call each other too deeply for the thread's stack";
    failed(store, Error::new(wasmergo_error_kind::Depth, message))
}

#[cold]
fn failed(store: &wasmergo_store, mut error: Error) -> u32 {
    if error.kind == wasmergo_error_kind::Host {
        return WASMERGO_HOST_FAILED;
    }
    if error.trap_code == TrapCode::UnreachableCodeReached as u32 && store.meter.take_exceeded() {
        error.trap_code = WASMERGO_TRAP_COST_LIMIT;
    }
    store.error.replace(Some(error));
    WASMERGO_FAILED
}

/// Calls a function. `values` are 16-byte slots, arguments in, results out. The status goes to the first slot of the
/// store's scratch area: a function without a result is a cheaper crossing, since cgo need not look where Go's stack has
/// moved to. Both parameters are addresses, as numbers: cgo would otherwise check whether they are Go pointers.
///
/// # Safety
/// `function` is the address of a `wasmergo_extern` that is a function; `values` that of slots for the larger of its
/// parameters and results. The caller holds the store.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wasmergo_function_call(function: usize, values: usize) {
    let function = unsafe { &*(function as *const wasmergo_extern) };
    let store = unsafe { &*function.store };
    let Item::Function { callee, .. } = &function.item else {
        return unsafe { store.status.write(WASMERGO_FAILED.into()) };
    };
    let statistics = unsafe { &*function.statistics };
    statistics.count_call();
    let status = run(store, statistics, |call| unsafe {
        enter(call, callee, values as *mut RawValue)
    });
    unsafe { store.status.write(status.into()) };
}

/// Runs a function on a guest's stack.
#[inline(always)]
pub(crate) unsafe fn enter(
    call: *const Call,
    callee: &VMCallerCheckedAnyfunc,
    values: *mut RawValue,
) -> Result<(), Trap> {
    let invoke = |_: &Call| unsafe { invoke(callee, values) };
    unsafe { on_stack(call, invoke) }
}

/// Calls a function, on a guest's stack: wasmer's `wasmer_call_trampoline`, which is not inlined here.
///
/// # Safety
/// `values` are slots for the larger of its parameters and results.
#[inline(always)]
pub(crate) unsafe fn invoke(callee: &VMCallerCheckedAnyfunc, values: *mut RawValue) {
    unsafe { (callee.call_trampoline)(callee.vmctx.vmctx, callee.func_ptr, values) }
}

/// Runs the body of a call on a guest's stack. It may call guests, one after the other.
///
/// The closure is moved to the guest's stack: one address is cheaper to move than what it leads to, which stays where it is
/// as long as the call runs.
///
/// # Safety
/// The body has nothing to drop, and neither has what it does while a guest runs: a trap drops its frames.
#[inline(always)]
pub(crate) unsafe fn on_stack<B: Fn(&Call)>(call: *const Call, body: B) -> Result<(), Trap> {
    unsafe fn start<B: Fn(&Call)>(call: &Call, body: *const ()) {
        call.stack.set(stack::guard(call.limit));
        unsafe { (*body.cast::<B>())(call) }
    }
    let target = Target {
        call,
        start: start::<B>,
        body: (&raw const body).cast(),
        end: Cell::new(None),
    };
    if unsafe { kept_stack::run(&target) } {
        return match target.end.take() {
            None | Some(End::Nothing) => Ok(()),
            Some(End::Trap(trap)) => Err(trap),
            Some(End::Panic(payload)) => panic::resume_unwind(payload),
        };
    }
    unsafe { on_new_stack(&target) }
}

/// The same on a stack of its own, which wasmer makes for the one call.
unsafe fn on_new_stack(target: *const Target) -> Result<(), Trap> {
    let config = VMConfig {
        wasm_stack_size: Some(stack::size(unsafe { (*(*target).call).limit })),
    };
    let body = move || unsafe { ((*target).start)(&*(*target).call, (*target).body) };
    unsafe { catch_traps(stack::trap_handler(), &config, body) }
}

/// The function as a reference: what a slot, a table or a global of its store holds.
///
/// # Safety
/// `out` is valid; the caller holds the store.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wasmergo_function_reference(
    function: &wasmergo_extern,
    out: *mut u64,
) -> wasmergo_bytes {
    guard::fallible(|| {
        let Item::Function { callee, .. } = &function.item else {
            return Err(Error::new(wasmergo_error_kind::Internal, "not a function"));
        };
        let store = unsafe { &*function.store };
        let ty = store.signature(callee)?;
        let stand_in = unsafe { tier::stand_in(store, function, callee, &ty)? };
        let callee = match stand_in.map(|stand_in| unsafe { &(*stand_in).item }) {
            Some(Item::Function { callee, .. }) => callee,
            _ => callee,
        };
        let mut signatures = store.signatures.borrow_mut();
        signatures.claim([&ty].into_iter(), store.abi(callee))?;
        unsafe { out.write(std::ptr::from_ref(callee) as u64) };
        Ok(())
    })
}

/// The function that a reference of this store stands for: the same extern each time. Null if the reference is null.
///
/// # Safety
/// The reference came from this store; the caller holds it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wasmergo_function_of(
    store: &wasmergo_store,
    reference: usize,
) -> *const wasmergo_extern {
    let found = guard::guard(|| {
        let callee = reference as *const VMCallerCheckedAnyfunc;
        Ok(
            unsafe { callee.as_ref() }.map_or(std::ptr::null(), |callee| {
                store.keep_function(*callee, store.statistics_of(callee))
            }),
        )
    });
    found.unwrap_or(std::ptr::null())
}

/// The function's type: parameters, results.
///
/// # Safety
/// The caller holds the function's store.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wasmergo_function_type(function: &wasmergo_extern) -> wasmergo_bytes {
    let found = guard::guard(|| {
        let Item::Function { callee, .. } = &function.item else {
            return Err(Error::new(wasmergo_error_kind::Internal, "not a function"));
        };
        let store = unsafe { &*function.store };
        let mut out = Encoder::default();
        types::encode_function(&mut out, &store.signature(callee)?);
        Ok(out.finish())
    });
    found.unwrap_or(wasmergo_bytes::NONE)
}

/// Does nothing: what a crossing costs, for benchmarks.
#[unsafe(no_mangle)]
pub extern "C" fn wasmergo_nothing() {}
