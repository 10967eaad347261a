//! The map by which `perf` and other profilers name compiled code: a line for each function, `START SIZE NAME`, in
//! hexadecimal.

use crate::bytes::wasmergo_bytes;
use crate::code;
use crate::error::{Error, wasmergo_error_kind};
use crate::guard::{fallible, infallible};
use crate::module::Compiled;
use crate::symbols::demangle;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{FromRawFd, RawFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

static ON: AtomicBool = AtomicBool::new(false);
static MAP: Mutex<Option<File>> = Mutex::new(None);

/// Adds a module that was just compiled or loaded. That the map cannot be written is not the module's fault.
pub(crate) fn add(module: &Compiled) {
    if ON.load(Ordering::Relaxed) {
        let mut map = MAP.lock().unwrap_or_else(PoisonError::into_inner);
        let _ = map.as_mut().map(|file| write(file, module));
    }
}

/// In one go, so that lines of others do not come in between.
fn write(file: &mut File, module: &Compiled) -> io::Result<()> {
    let info = module.info();
    let name = info.name.as_deref().unwrap_or_default();
    let mut text = String::new();
    for (index, function) in module
        .artifact
        .finished_function_extents()
        .into_iter()
        .flatten()
    {
        let index = info.func_index(index);
        let function_name = match info.function_names.get(&index) {
            Some(name) => demangle(name),
            None => format!("${}", index.as_u32()).into(),
        };
        let line = format!("{name}.{function_name}").replace(char::is_control, "_");
        let start = *function.ptr as usize;
        text += &format!("{start:x} {:x} {line}\n", function.length);
    }
    file.write_all(text.as_bytes())
}

/// Writes all modules, and from now on each new one, to the file, which this takes over.
///
/// # Safety
/// The descriptor is the caller's to give.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wasmergo_perf_map_start(file: RawFd) -> wasmergo_bytes {
    let mut file = unsafe { File::from_raw_fd(file) };
    fallible(|| {
        let mut map = MAP.lock().unwrap_or_else(PoisonError::into_inner);
        ON.store(true, Ordering::Relaxed);
        for module in code::modules() {
            write(&mut file, &module).map_err(|error| {
                ON.store(false, Ordering::Relaxed);
                let message = format!("cannot write the perf map: {error}");
                Error::new(wasmergo_error_kind::Resource, message)
            })?;
        }
        *map = Some(file);
        Ok(())
    })
}

/// Writes no more, and closes the file.
#[unsafe(no_mangle)]
pub extern "C" fn wasmergo_perf_map_stop() {
    infallible(|| {
        ON.store(false, Ordering::Relaxed);
        MAP.lock().unwrap_or_else(PoisonError::into_inner).take();
    });
}
