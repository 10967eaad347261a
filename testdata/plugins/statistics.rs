//! A plug-in in Rust: each guest collects numbers and asks for their mean and their bounds. What `wasmer_plugin.h` declares is here
//! in Rust's words.

use std::ffi::{c_char, c_void};
use std::ptr;

#[repr(C)]
pub struct Plugin {
    abi: u32,
    name: *const c_char,
    version: *const c_char,
    description: *const c_char,
    modules: *const Module,
    module_count: usize,
}

#[repr(C)]
pub struct Module {
    name: *const c_char,
    functions: *const Function,
    function_count: usize,
    open: Option<unsafe extern "C" fn(*mut *const c_char) -> *mut c_void>,
    close: Option<unsafe extern "C" fn(*mut c_void)>,
}

#[repr(C)]
pub struct Function {
    name: *const c_char,
    params: *const c_char,
    results: *const c_char,
    function: *const c_void,
    flags: u32,
}

#[repr(C)]
pub struct Call {
    data: *mut c_void,
    memory: *const c_void,
    error: *const c_char,
}

unsafe impl Sync for Plugin {}
unsafe impl Sync for Module {}
unsafe impl Sync for Function {}

impl Call {
    fn numbers(&mut self) -> &mut Vec<f64> {
        unsafe { &mut *self.data.cast() }
    }
}

extern "C" fn push(call: &mut Call, number: f64) {
    if number.is_nan() {
        call.error = c"not a number".as_ptr();
        return;
    }
    call.numbers().push(number);
}

extern "C" fn mean(call: &mut Call) -> f64 {
    let numbers = call.numbers();
    numbers.iter().sum::<f64>() / numbers.len() as f64
}

unsafe extern "C" fn bounds(call: &mut Call, results: *mut u64) {
    let (low, high) = call
        .numbers()
        .iter()
        .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), n| (low.min(*n), high.max(*n)));
    unsafe {
        *results = low.to_bits();
        *results.add(1) = high.to_bits();
    }
}

unsafe extern "C" fn open(_: *mut *const c_char) -> *mut c_void {
    Box::into_raw(Box::<Vec<f64>>::default()).cast()
}

unsafe extern "C" fn close(data: *mut c_void) {
    drop(unsafe { Box::<Vec<f64>>::from_raw(data.cast()) });
}

static FUNCTIONS: [Function; 3] = [
    Function {
        name: c"push".as_ptr(),
        params: c"f64".as_ptr(),
        results: ptr::null(),
        function: push as *const c_void,
        flags: 0,
    },
    Function {
        name: c"mean".as_ptr(),
        params: ptr::null(),
        results: c"f64".as_ptr(),
        function: mean as *const c_void,
        flags: 1, // WASMER_PLUGIN_LEAF
    },
    Function {
        name: c"bounds".as_ptr(),
        params: ptr::null(),
        results: c"f64 f64".as_ptr(),
        function: bounds as *const c_void,
        flags: 1,
    },
];

static MODULES: [Module; 1] = [Module {
    name: c"statistics".as_ptr(),
    functions: FUNCTIONS.as_ptr(),
    function_count: FUNCTIONS.len(),
    open: Some(open),
    close: Some(close),
}];

static PLUGIN: Plugin = Plugin {
    abi: 1,
    name: c"example_statistics".as_ptr(),
    version: c"1.0.0".as_ptr(),
    description: c"mean and bounds of numbers".as_ptr(),
    modules: MODULES.as_ptr(),
    module_count: MODULES.len(),
};

#[unsafe(no_mangle)]
pub extern "C" fn wasmer_plugin_describe() -> *const Plugin {
    &PLUGIN
}
