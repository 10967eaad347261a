//! Versions, as NUL-terminated strings that live for ever.

use std::ffi::{CStr, c_char};

const fn c_str(text: &str) -> &CStr {
    match CStr::from_bytes_with_nul(text.as_bytes()) {
        Ok(text) => text,
        Err(_) => panic!("not NUL-terminated"),
    }
}

/// The version of this library.
#[unsafe(no_mangle)]
pub extern "C" fn wasmergo_version() -> *const c_char {
    const { c_str(concat!(env!("CARGO_PKG_VERSION"), "\0")) }.as_ptr()
}

/// The version of wasmer in it.
#[unsafe(no_mangle)]
pub extern "C" fn wasmergo_wasmer_version() -> *const c_char {
    // wasmer and wasmer-vm are pinned to one version; only the latter tells its own.
    static VERSION: std::sync::OnceLock<std::ffi::CString> = std::sync::OnceLock::new();
    VERSION
        .get_or_init(|| std::ffi::CString::new(wasmer_vm::VERSION).unwrap_or_default())
        .as_ptr()
}

/// The target triple it was built for.
#[unsafe(no_mangle)]
pub extern "C" fn wasmergo_target() -> *const c_char {
    const { c_str(concat!(env!("WASMERGO_TARGET"), "\0")) }.as_ptr()
}

/// Identifies builds whose artifacts can be exchanged.
#[unsafe(no_mangle)]
pub extern "C" fn wasmergo_build_id() -> *const c_char {
    const { c_str(concat!(env!("WASMERGO_BUILD_ID"), "\0")) }.as_ptr()
}
