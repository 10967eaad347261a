//! Plug-ins: shared libraries with modules of native host functions. `wasmer_plugin.h` tells their authors what is expected.
//!
//! A library is code of this process from the moment it is loaded. So what it says of itself is not checked against malice, but
//! against all mistakes that can be seen: nothing is followed that is null, misaligned, endless, or leads nowhere.

use crate::bytes::{Encoder, borrow, wasmergo_bytes};
use crate::error::{Error, wasmergo_error_kind as Kind};
use crate::guard::{fallible, infallible};
use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::mem::MaybeUninit;
use std::ptr;

const ABI: u32 = 1;
const LEAF: u32 = 1;
const DESCRIBE: &CStr = c"wasmer_plugin_describe";

const MAX_MODULES: usize = 256;
const MAX_FUNCTIONS: usize = 4096;
const MAX_TEXT: usize = 4096;

#[repr(C)]
struct Plugin {
    abi: u32,
    name: *const c_char,
    version: *const c_char,
    description: *const c_char,
    modules: *const Module,
    module_count: usize,
}

#[repr(C)]
struct Module {
    name: *const c_char,
    functions: *const Function,
    function_count: usize,
    open: *const c_void,
    close: *const c_void,
}

#[repr(C)]
struct Function {
    name: *const c_char,
    params: *const c_char,
    results: *const c_char,
    function: *const c_void,
    flags: u32,
}

type Describe = unsafe extern "C" fn() -> *const Plugin;
type Open = unsafe extern "C" fn(*mut *const c_char) -> *mut c_void;
type Close = unsafe extern "C" fn(*mut c_void);

/// A loaded library, which goes unless it is kept.
struct Library(*mut c_void);

impl Library {
    fn open(path: &[u8]) -> Result<Self, Error> {
        let path = CString::new(path).map_err(|_| refuse("its path contains a NUL"))?;
        let handle = unsafe { libc::dlopen(path.as_ptr(), libc::RTLD_NOW | libc::RTLD_LOCAL) };
        match handle.is_null() {
            true => Err(refuse(format!(
                "it cannot be loaded as a shared library: {}",
                last_error()
            ))),
            false => Ok(Self(handle)),
        }
    }

    fn symbol(&self, name: &CStr) -> Option<*const c_void> {
        let address = unsafe { libc::dlsym(self.0, name.as_ptr()) };
        (!address.is_null()).then_some(address.cast_const())
    }

    /// From now on it stays.
    fn keep(self) -> usize {
        let handle = self.0;
        std::mem::forget(self);
        handle as usize
    }
}

impl Drop for Library {
    fn drop(&mut self) {
        unsafe { libc::dlclose(self.0) };
    }
}

/// What the loader has to say, on the thread that it has failed on.
fn last_error() -> String {
    let message = unsafe { libc::dlerror() };
    match message.is_null() {
        true => "for no reason that the system tells".into(),
        false => unsafe { CStr::from_ptr(message) }
            .to_string_lossy()
            .into_owned(),
    }
}

fn refuse(message: impl Into<String>) -> Error {
    Error::new(Kind::Plugin, message)
}

/// `name, version, description`, modules (see `encode_module`), each list with its length before it
fn encode(plugin: *const Plugin) -> Result<Encoder, Error> {
    let what = "what wasmer_plugin_describe returns";
    // Only the number is known to be there.
    let abi: *const u32 = plugin.cast();
    let abi = unsafe { *one(abi, what)? };
    if abi != ABI {
        return Err(Error::new(
            Kind::Unsupported,
            format!(
                "it was made for version {abi} of the interface, and this program has version {ABI}: build it with this \
                 program's wasmer_plugin.h, or get a release of it that fits"
            ),
        ));
    }
    let plugin = unsafe { &*one(plugin, what)? };
    let mut out = Encoder::default();
    out.str(text(plugin.name, "the name")?);
    out.str(text(plugin.version, "the version")?);
    out.str(text(plugin.description, "the description")?);
    let modules = many(
        plugin.modules,
        plugin.module_count,
        MAX_MODULES,
        "module_count",
    )?;
    out.u32(modules.len() as u32);
    for (index, module) in modules.iter().enumerate() {
        encode_module(module, index, &mut out)?;
    }
    Ok(out)
}

/// `name, open u64, close u64`, functions: `name, params, results, address u64, leaf u8`
fn encode_module(module: &Module, index: usize, out: &mut Encoder) -> Result<(), Error> {
    let at = |what: &str| format!("{what} of module {index}");
    out.str(text(module.name, &at("the name"))?);
    for (function, what) in [(module.open, "open"), (module.close, "close")] {
        if !function.is_null() {
            code(function, &at(what))?;
        }
        out.u64(function as u64);
    }
    if module.open.is_null() && !module.close.is_null() {
        return Err(refuse(format!("{} has nothing to close", at("close"))));
    }
    let count = at("function_count");
    let functions = many(
        module.functions,
        module.function_count,
        MAX_FUNCTIONS,
        &count,
    )?;
    out.u32(functions.len() as u32);
    for (number, function) in functions.iter().enumerate() {
        let at = |what: &str| format!("{what} of function {number} of module {index}");
        out.str(text(function.name, &at("the name"))?);
        out.str(text(function.params, &at("params"))?);
        out.str(text(function.results, &at("results"))?);
        code(function.function, &at("the address"))?;
        out.u64(function.function as u64);
        if function.flags & !LEAF != 0 {
            let flags = at("flags");
            return Err(refuse(format!(
                "{flags}, {:#x}, are unknown",
                function.flags
            )));
        }
        out.u8((function.flags & LEAF != 0).into());
    }
    Ok(())
}

fn one<T>(pointer: *const T, what: &str) -> Result<*const T, Error> {
    if pointer.is_null() {
        return Err(refuse(format!("{what} is null")));
    }
    if !pointer.is_aligned() {
        return Err(refuse(format!("{what} is no aligned address: {pointer:p}")));
    }
    Ok(pointer)
}

fn many<'a, T>(first: *const T, count: usize, max: usize, what: &str) -> Result<&'a [T], Error> {
    if count == 0 || count > max {
        return Err(refuse(format!("{what} is {count}, not 1 to {max}")));
    }
    let first = one(first, &format!("the list that belongs to {what}"))?;
    Ok(unsafe { std::slice::from_raw_parts(first, count) })
}

/// Text that may be missing.
fn text<'a>(text: *const c_char, what: &str) -> Result<&'a str, Error> {
    if text.is_null() {
        return Ok("");
    }
    let len = unsafe { libc::strnlen(text, MAX_TEXT + 1) };
    if len > MAX_TEXT {
        return Err(refuse(format!("{what} is longer than {MAX_TEXT} bytes")));
    }
    let bytes = unsafe { std::slice::from_raw_parts(text.cast(), len) };
    std::str::from_utf8(bytes).map_err(|_| refuse(format!("{what} is no UTF-8")))
}

/// The address of a function lies in some library, or in the program.
fn code(address: *const c_void, what: &str) -> Result<(), Error> {
    let mut info = MaybeUninit::<libc::Dl_info>::zeroed();
    let found: c_int = match address.is_null() {
        true => 0,
        false => unsafe { libc::dladdr(address, info.as_mut_ptr()) },
    };
    match found {
        0 => Err(refuse(format!("{what} is no function: {address:p}"))),
        _ => Ok(()),
    }
}

/// Loads the library at the path, which must not be relative, and describes the plug-in that it is: see `encode`. The library stays
/// loaded; the handle is the same one each time, and one to be given back with `wasmergo_plugin_unload`.
///
/// # Safety
/// `path` holds `len` bytes; `out` and `handle` are valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wasmergo_plugin_load(
    path: *const u8,
    len: usize,
    out: *mut wasmergo_bytes,
    handle: *mut usize,
) -> wasmergo_bytes {
    fallible(|| {
        let library = Library::open(unsafe { borrow(path, len) })?;
        let describe = library.symbol(DESCRIBE).ok_or_else(|| {
            let message = "it has no function wasmer_plugin_describe, so it is no plug-in: see wasmer_plugin.h";
            Error::new(Kind::Link, message)
        })?;
        let describe: Describe = unsafe { std::mem::transmute(describe) };
        let described = encode(unsafe { describe() })?;
        unsafe {
            *out = described.finish();
            *handle = library.keep();
        }
        Ok(())
    })
}

/// Gives back a library of which nothing is used.
#[unsafe(no_mangle)]
pub extern "C" fn wasmergo_plugin_unload(handle: usize) {
    infallible(|| drop(Library(handle as *mut c_void)));
}

/// Has a module make its data for an instance.
///
/// # Safety
/// `open` is that of a module, `data` is valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wasmergo_plugin_open(open: usize, data: *mut usize) -> wasmergo_bytes {
    fallible(|| {
        let open = unsafe { std::mem::transmute::<usize, Open>(open) };
        let mut error = ptr::null();
        let opened = unsafe { open(&mut error) };
        if !error.is_null() {
            let message = unsafe { CStr::from_ptr(error) }.to_string_lossy();
            return Err(Error::new(Kind::Native, message));
        }
        unsafe { *data = opened as usize };
        Ok(())
    })
}

/// Has a module free what it has made.
///
/// # Safety
/// `close` is that of the module that has made `data`, which is not used again.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wasmergo_plugin_close(close: usize, data: usize) {
    infallible(|| unsafe {
        std::mem::transmute::<usize, Close>(close)(data as *mut c_void);
    });
}
