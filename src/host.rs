//! Host functions: from compiled code, over the wasm stack and back onto the thread's own, into Go.

use crate::abi;
use crate::bytes::{borrow, wasmergo_bytes};
use crate::engine::wasmergo_engine;
use crate::error::{Error, wasmergo_error_kind};
use crate::r#extern::{Item, wasmergo_extern};
use crate::foreign::{self, Foreign};
use crate::function::Call;
use crate::guard::fallible;
use crate::instance::wasmergo_instance;
use crate::native::{self, Native, wasmergo_native};
use crate::queue::{self, Queued};
use crate::store::wasmergo_store;
use crate::{outside, stack, statistics, thread};
use std::ffi::c_void;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use wasmer_types::{FunctionType, RawValue, Type};
use wasmer_vm::{
    InternalStoreHandle, VMCallerCheckedAnyfunc, VMContext, VMDynamicFunctionContext, VMFunction,
    VMFunctionBody, VMFunctionContext, VMSignatureHash, on_host_stack, raise_user_trap,
};

/// The Go side's only entry. `values` are 16-byte slots: arguments in, results out; of narrow values only the low
/// bytes count. Returns 0, or 1 when the guest must not go on.
#[allow(non_camel_case_types)]
pub type wasmergo_host_callback =
    unsafe extern "C" fn(store: u64, function: u32, values: *mut u64) -> u32;

static CALLBACK: AtomicUsize = AtomicUsize::new(0);
static CHECK_STACK: AtomicBool = AtomicBool::new(false);

/// Sets the Go side's entry; called once, before any instance exists.
#[unsafe(no_mangle)]
pub extern "C" fn wasmergo_host_set_callback(callback: wasmergo_host_callback) {
    CALLBACK.store(callback as usize, Ordering::Relaxed);
}

/// From now on each entry to Go asserts that it happens on the thread's own stack: Go code on any other corrupts it.
#[unsafe(no_mangle)]
pub extern "C" fn wasmergo_host_check_stack(check: bool) {
    CHECK_STACK.store(check, Ordering::Relaxed);
}

/// Unwinds the guest; the Go side keeps what happened.
#[derive(Debug)]
pub(crate) struct HostFailure;

impl fmt::Display for HostFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("host function failed")
    }
}

impl std::error::Error for HostFailure {}

pub(crate) struct HostFunction {
    /// It lives longer.
    store: *const wasmergo_store,
    pub function: u32,
    native: Option<Native>,
    foreign: Option<Foreign>,
    queued: Option<Queued>,
    /// What compiled code calls, once it has paid.
    entry: *const VMFunctionBody,
    /// What a call costs.
    cost: u64,
}

impl HostFunction {
    /// Gives what runs without Go the memory of the instance that imports it.
    pub fn bind(&self, instance: &wasmergo_instance) {
        let memory = native::memory_of(instance);
        if let Some(native) = &self.native {
            native.bind(memory);
        }
        if let Some(foreign) = &self.foreign {
            foreign.bind(memory);
        }
        if let Some(queued) = &self.queued {
            queued.bind(memory);
        }
    }

    /// How it is queued, if its entry says so.
    #[inline(always)]
    pub fn queued(&self) -> &Queued {
        unsafe { self.queued.as_ref().unwrap_unchecked() }
    }

    /// The call that the guest runs in which has called this.
    #[inline(always)]
    pub fn running(&self) -> &Call {
        // The innermost one of the store: no guest code runs outside of one.
        unsafe { &*(*self.store).call.get() }
    }

    /// The native function that it is, if its entry says so.
    #[inline(always)]
    pub fn foreign(&self) -> &Foreign {
        unsafe { self.foreign.as_ref().unwrap_unchecked() }
    }
}

pub(crate) type Context = VMDynamicFunctionContext<HostFunction>;
type Entry = unsafe extern "C-unwind" fn(&Context, *mut RawValue);

/// Makes a function of the store that calls Go. Compiled code reaches it through a trampoline of the importing module,
/// which lays the arguments out in slots: so any signature works, and this code is made once.
pub(crate) fn new(
    store: &wasmergo_store,
    ty: &FunctionType,
    import: &wasmergo_import,
) -> Result<InternalStoreHandle<VMFunction>, Error> {
    if let (1.., Some(why)) = (import.pointer, foreign::refused(ty)) {
        return Err(Error::new(wasmergo_error_kind::Unsupported, why));
    }
    let foreign =
        (import.pointer != 0).then(|| Foreign::new(import.pointer, import.data, import.leaf, ty));
    let queued = import.queued.then(|| Queued::new(ty, import.bytes));
    let entry = match (&foreign, &queued) {
        (Some(foreign), _) => foreign.entry(ty),
        (_, Some(_)) => {
            store.queue.prepare();
            queue::enter as *const VMFunctionBody
        }
        _ => enter_go as *const VMFunctionBody,
    };
    let context = Box::new(Context {
        address: match import.cost {
            0 => entry,
            _ => enter_charged as *const VMFunctionBody,
        },
        ctx: HostFunction {
            store,
            function: import.function,
            native: Native::new(import.native, import.start),
            foreign,
            queued,
            entry,
            cost: import.cost,
        },
    });
    let ctx = &context.ctx;
    if ctx.native.is_some() || ctx.foreign.is_some() || ctx.queued.is_some() {
        store.natives.borrow_mut().push(&context.ctx);
    }
    let anyfunc = VMCallerCheckedAnyfunc {
        // Filled in at linking with the importing module's trampoline.
        func_ptr: std::ptr::null(),
        type_signature_hash: VMSignatureHash::new(ty.signature_hash()),
        vmctx: VMFunctionContext {
            host_env: std::ptr::from_ref(&*context).cast_mut().cast::<c_void>(),
        },
        call_trampoline: enter_directly,
    };
    let function = abi::dynamic(anyfunc, ty.clone(), context);
    let objects = unsafe { &mut *store.objects.get() };
    Ok(InternalStoreHandle::new(objects, function))
}

/// Called by compiled code, on the wasm stack: nothing may be allocated here, and no destructor may be pending when
/// the guest is unwound.
unsafe extern "C-unwind" fn enter_go(context: &Context, values: *mut RawValue) {
    let host = &context.ctx;
    let call = host.running();
    if let Some(native) = &host.native
        && unsafe { native.call(values) }
    {
        call.statistics().count_host_call();
        return stack::resume_call(call);
    }
    let arguments = [
        std::ptr::from_ref(host) as usize,
        values as usize,
        std::ptr::from_ref(call) as usize,
        0,
        0,
        0,
    ];
    if unsafe { outside::call(call, call_go, arguments) } != 0 {
        fail();
    }
    stack::resume_call(call);
}

/// Before a native function.
#[inline(always)]
pub(crate) fn enter(host: &HostFunction) -> &Call {
    let call = host.running();
    call.statistics().count_host_call();
    if call.measured {
        measure(|| statistics::begin_host(call));
    }
    call
}

#[cold]
#[inline(never)]
fn measure(clock: impl FnOnce()) {
    on_host_stack(clock);
}

/// After a native function.
#[inline(always)]
pub(crate) fn leave(call: &Call) {
    if call.measured {
        measure(|| statistics::end_host(call));
    }
    stack::resume_call(call);
}

#[cold]
pub(crate) fn fail() -> ! {
    let failure = on_host_stack(|| Box::new(HostFailure));
    unsafe { raise_user_trap(failure) }
}

/// The same for a host function that costs something.
unsafe extern "C-unwind" fn enter_charged(context: &Context, values: *mut RawValue) {
    let host = &context.ctx;
    unsafe {
        (*host.store).meter.charge_host(host.cost);
        std::mem::transmute::<*const VMFunctionBody, Entry>(host.entry)(context, values)
    }
}

/// The same for a host function that is called as an export.
unsafe extern "C" fn enter_directly(
    context: *mut VMContext,
    _: *const VMFunctionBody,
    values: *mut RawValue,
) {
    unsafe { enter_charged(&*context.cast::<Context>(), values) }
}

/// The number of the Go function that this function calls directly; `UINT32_MAX` for others.
#[unsafe(no_mangle)]
pub extern "C" fn wasmergo_function_host(function: &wasmergo_extern) -> u32 {
    match &function.item {
        Item::Function { callee, .. } if is_host(callee) => {
            let context = unsafe { callee.vmctx.host_env }.cast::<Context>();
            unsafe { (*context).ctx.function }
        }
        _ => u32::MAX,
    }
}

/// Whether this is a function of the host, rather than of an instance.
pub(crate) fn is_host(function: &VMCallerCheckedAnyfunc) -> bool {
    std::ptr::fn_addr_eq(
        function.call_trampoline,
        enter_directly
            as unsafe extern "C" fn(*mut VMContext, *const VMFunctionBody, *mut RawValue),
    )
}

/// Calls the Go function, on the thread's own stack. Returns 0, or another number when the guest must not go on.
unsafe extern "C" fn call_go(
    host: usize,
    values: usize,
    call: usize,
    _: usize,
    _: usize,
    _: usize,
) -> usize {
    let (host, call) = unsafe { (&*(host as *const HostFunction), &*(call as *const Call)) };
    call.statistics().count_host_call();
    let queue = &call.store().queue;
    if queue.is_pending() && !queue.deliver(call) {
        return 1;
    }
    call_back(call, host.function, values as *mut u64) as usize
}

/// Enters Go, on the thread's own stack.
#[inline(always)]
pub(crate) fn call_back(call: &Call, function: u32, values: *mut u64) -> u32 {
    if CHECK_STACK.load(Ordering::Relaxed) && !thread::on_own_stack() {
        eprintln!("wasmer: entering Go on a stack that is not the thread's own");
        std::process::abort();
    }
    // Set once by `wasmergo_host_set_callback`, with this type.
    let callback: wasmergo_host_callback = match CALLBACK.load(Ordering::Relaxed) {
        0 => return 1,
        address => unsafe { std::mem::transmute::<usize, wasmergo_host_callback>(address) },
    };
    if call.measured {
        statistics::begin_host(call);
    }
    // Who asks on another thread compares with that thread's own number, which only that thread writes here: so no order
    // among threads is needed. It is taken back before the guest returns, after which other goroutines may come to the thread.
    let store = call.store();
    let running = unsafe { &*store.status.add(1).cast::<AtomicUsize>() };
    let outer = running.load(Ordering::Relaxed);
    running.store(thread::id(), Ordering::Relaxed);
    let status = unsafe { callback(store.id, function, values) };
    running.store(outer, Ordering::Relaxed);
    if call.measured {
        statistics::end_host(call);
    }
    status
}

/// Makes a function of the store that calls the Go function of this number, and that can be what any other function is:
/// called by the host, imported, a reference. `types` are the value types of its parameters, then of its results.
///
/// It is a compiled function that passes its arguments on: only one that is compiled has the form that references to
/// functions lead to.
///
/// # Safety
/// `types` holds `params + results` bytes, `out` is valid; the caller holds the store.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wasmergo_function_new(
    store: &wasmergo_store,
    engine: &wasmergo_engine,
    types: *const u8,
    params: usize,
    results: usize,
    number: u32,
    cost: u64,
    out: *mut *const wasmergo_extern,
) -> wasmergo_bytes {
    fallible(|| {
        let types = unsafe { borrow(types, params + results) };
        let types: Vec<_> = types
            .iter()
            .map(|ty| crate::types::value(*ty))
            .collect::<Result<_, _>>()?;
        let ty = FunctionType::new(&types[..params], &types[params..]);
        let module = engine.forwarder(&ty)?;
        let import = wasmergo_import::go(number, cost);
        let instance = wasmergo_instance::create(store, module, &[import])?;
        let function = unsafe { &*instance }.export(0).ok_or_else(|| {
            Error::new(wasmergo_error_kind::Internal, "a forwarder exports nothing")
        })?;
        unsafe { out.write(function) };
        Ok(())
    })
}

/// The text of a module whose function passes its arguments on to an import of the same type.
pub(crate) fn forwarder(ty: &FunctionType) -> String {
    let list = |keyword: &str, types: &[Type]| {
        let names: Vec<_> = types.iter().map(|ty| crate::types::name(*ty)).collect();
        match names.is_empty() {
            true => String::new(),
            false => format!("({keyword} {})", names.join(" ")),
        }
    };
    let types = list("param", ty.params()) + &list("result", ty.results());
    let arguments: String = (0..ty.params().len())
        .map(|index| format!("local.get {index} "))
        .collect();
    format!(
        r#"(module (import "" "" (func $host {types})) (func $forward (export "") {types} {arguments} call $host))"#
    )
}

/// One import of an instance: an extern of the same store, or (null) the host function of this number, of which some calls
/// may be native.
#[repr(C)]
#[derive(Clone, Copy)]
#[allow(non_camel_case_types)]
pub struct wasmergo_import {
    pub item: *const wasmergo_extern,
    pub function: u32,
    pub native: wasmergo_native,
    pub start: u64,
    /// What a call of the host function costs.
    pub cost: u64,
    /// The native function that it is instead, an address, and what that is given; 0 for none.
    pub pointer: usize,
    pub data: usize,
    /// The native function may run on the guest's stack.
    pub leaf: bool,
    /// The host function is queued; it has a bit in `bytes` for each parameter that with the next one is an address and a number of
    /// bytes, which are queued too.
    pub queued: bool,
    pub bytes: u64,
}

impl wasmergo_import {
    /// The Go function of this number.
    pub fn go(function: u32, cost: u64) -> Self {
        Self {
            item: std::ptr::null(),
            function,
            native: wasmergo_native::None,
            start: 0,
            cost,
            pointer: 0,
            data: 0,
            leaf: false,
            queued: false,
            bytes: 0,
        }
    }

    /// An item of the same store.
    pub fn item(item: *const wasmergo_extern) -> Self {
        Self {
            item,
            ..Self::go(0, 0)
        }
    }
}
