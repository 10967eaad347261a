//! Host functions: from compiled code, over the wasm stack and back onto the thread's own, into Go.

use crate::abi;
use crate::bytes::{borrow, wasmergo_bytes};
use crate::engine::wasmergo_engine;
use crate::error::{Error, wasmergo_error_kind};
use crate::r#extern::{Item, wasmergo_extern};
use crate::function::Call;
use crate::guard::{fallible, guard};
use crate::instance::wasmergo_instance;
use crate::meter::Meter;
use crate::native::{Native, wasmergo_native};
use crate::store::wasmergo_store;
use crate::{stack, statistics, thread};
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

struct HostFunction {
    store: u64,
    /// Where the store keeps the thread on which a host function runs.
    thread: *const AtomicUsize,
    function: u32,
    native: Option<Native>,
    /// What a call costs, and who pays.
    cost: u64,
    meter: *const Meter,
}

type Context = VMDynamicFunctionContext<HostFunction>;

/// Makes a function of the store that calls Go. Compiled code reaches it through a trampoline of the importing module,
/// which lays the arguments out in slots: so any signature works, and this code is made once.
pub(crate) fn new(
    store: &wasmergo_store,
    ty: &FunctionType,
    import: &wasmergo_import,
) -> InternalStoreHandle<VMFunction> {
    let context = Box::new(Context {
        address: match import.cost {
            0 => enter as *const VMFunctionBody,
            _ => enter_charged as *const VMFunctionBody,
        },
        ctx: HostFunction {
            store: store.id,
            thread: store.status.wrapping_add(1).cast(),
            function: import.function,
            native: Native::new(import.native, import.start),
            cost: import.cost,
            meter: &store.meter,
        },
    });
    if let Some(native) = &context.ctx.native {
        store.natives.borrow_mut().push(native);
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
    InternalStoreHandle::new(unsafe { &mut *store.objects.get() }, function)
}

/// Called by compiled code, on the wasm stack: nothing may be allocated here, and no destructor may be pending when
/// the guest is unwound.
unsafe extern "C-unwind" fn enter(context: &Context, values: *mut RawValue) {
    if let Some(native) = &context.ctx.native
        && unsafe { native.call(values) }
    {
        if let Some(call) = Call::current() {
            call.statistics().count_host_call();
        }
        return stack::resume();
    }
    let failure = on_host_stack(|| {
        let host = &context.ctx;
        let status = guard(|| Ok(unsafe { call_go(host, values) }));
        (status.ok() != Some(0)).then(|| Box::new(HostFailure))
    });
    if let Some(failure) = failure {
        unsafe { raise_user_trap(failure) }
    }
    stack::resume();
}

/// The same for a host function that costs something.
unsafe extern "C-unwind" fn enter_charged(context: &Context, values: *mut RawValue) {
    unsafe { &*context.ctx.meter }.charge_host(context.ctx.cost);
    unsafe { enter(context, values) }
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

unsafe fn call_go(host: &HostFunction, values: *mut RawValue) -> u32 {
    if CHECK_STACK.load(Ordering::Relaxed) && !thread::on_own_stack() {
        eprintln!("wasmer: entering Go on a stack that is not the thread's own");
        std::process::abort();
    }
    // Set once by `wasmergo_host_set_callback`, with this type.
    let callback: wasmergo_host_callback = match CALLBACK.load(Ordering::Relaxed) {
        0 => return 1,
        address => unsafe { std::mem::transmute::<usize, wasmergo_host_callback>(address) },
    };
    let call = Call::current();
    if let Some(call) = call {
        call.statistics().count_host_call();
        if call.measured {
            statistics::begin_host(call);
        }
    }
    // Who asks on another thread compares with that thread's own number, which only that thread writes here: so no order
    // among threads is needed. It is taken back before the guest returns, after which other goroutines may come to the thread.
    let running = unsafe { &*host.thread };
    let outer = running.load(Ordering::Relaxed);
    running.store(thread::id(), Ordering::Relaxed);
    let status = unsafe { callback(host.store, host.function, values.cast()) };
    running.store(outer, Ordering::Relaxed);
    if let Some(call) = call.filter(|call| call.measured) {
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
        let import = wasmergo_import {
            item: std::ptr::null(),
            function: number,
            native: wasmergo_native::None,
            start: 0,
            cost,
        };
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
}
