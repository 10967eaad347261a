//! The guard around every entry: no panic crosses into C, none prints to the host program's stderr.

use crate::bytes::wasmergo_bytes;
use crate::error::{Error, wasmergo_error_kind};
use std::any::Any;
use std::cell::Cell;
use std::panic::{self, AssertUnwindSafe, Location};
use std::sync::Once;

thread_local! {
    /// Where the panic that is being caught on this thread came from; lives from the hook to the guard.
    static LOCATION: Cell<Option<String>> = const { Cell::new(None) };
}

/// Replaces the hook that prints a panic: it becomes an error value, the host program's stderr is not ours.
pub(crate) fn silence_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        panic::set_hook(Box::new(|info| {
            LOCATION.set(info.location().map(place));
        }));
    });
}

/// The file and line, without the folders of the machine that the library was built on.
fn place(at: &Location<'_>) -> String {
    let parts: Vec<&str> = at.file().rsplit('/').take(3).collect();
    let file: Vec<&str> = parts.into_iter().rev().collect();
    format!("{}:{}", file.join("/"), at.line())
}

/// Runs the body of an entry. A panic becomes an error of kind `Internal`.
pub(crate) fn guard<T>(body: impl FnOnce() -> Result<T, Error>) -> Result<T, Error> {
    panic::catch_unwind(AssertUnwindSafe(body)).unwrap_or_else(|payload| Err(caught(payload)))
}

/// The error for a panic that was caught on this thread.
#[cold]
pub(crate) fn caught(payload: Box<dyn Any + Send>) -> Error {
    let mut error = Error::panic(payload);
    if let Some(at) = LOCATION.take() {
        if at.contains("traphandlers.rs") && error.message.contains("Os {") {
            // wasmer unwraps the system's refusal of a stack.
            error.kind = wasmergo_error_kind::Resource;
            error.message = format!("cannot make a stack for the guest: {}", error.message);
            return error;
        }
        error.message = format!("{} ({at})", error.message);
    }
    error
}

/// As `guard`, for entries that return their error: null means success.
pub(crate) fn fallible(body: impl FnOnce() -> Result<(), Error>) -> wasmergo_bytes {
    match guard(body) {
        Ok(()) => wasmergo_bytes::NONE,
        Err(error) => error.encode(),
    }
}

/// As `guard`, for entries that cannot fail but must not unwind.
pub(crate) fn infallible<T: Default>(body: impl FnOnce() -> T) -> T {
    guard(|| Ok(body())).unwrap_or_default()
}

/// Panics behind the border, so that a test can see that the guard holds.
#[unsafe(no_mangle)]
pub extern "C" fn wasmergo_test_panic() -> wasmergo_bytes {
    silence_panics();
    fallible(|| panic!("a panic made by a test"))
}
