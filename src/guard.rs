//! The guard around every entry: no panic crosses into C, none prints to the host program's stderr.

use crate::bytes::wasmergo_bytes;
use crate::error::{Error, wasmergo_error_kind};
use crate::resource::limits;
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
        // wasmer unwraps the system's refusal of a stack.
        let stack = at.contains("traphandlers.rs") && error.message.contains("Os {");
        if stack || at.contains("src/stack.rs") {
            error.kind = wasmergo_error_kind::Resource;
            error.message = format!(
                "cannot make a stack for the guest: {}{}",
                error.message,
                limits(0)
            );
            return error;
        }
        if error.message.contains("ThreadPoolBuildError") {
            error.kind = wasmergo_error_kind::Resource;
            error.message = format!(
                "cannot start threads: {}{} (see ulimit -u, the control group's pids.max, and EngineConfig.CompileThreads)",
                error.message,
                limits(0)
            );
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_system_refuses_is_no_bug() {
        silence_panics();
        let panics = |message: &str| -> Result<(), Error> { panic!("{message}") };
        let error = guard(|| panics("ThreadPoolBuildError { kind: IOError(Os { code: 11 }) }"))
            .unwrap_err();
        assert_eq!(error.kind, wasmergo_error_kind::Resource);
        assert!(error.message.starts_with("cannot start threads"));
        let error = guard(|| panics("a bug")).unwrap_err();
        assert_eq!(error.kind, wasmergo_error_kind::Internal);
        assert!(error.message.starts_with("a bug (") && error.message.contains("guard.rs"));
    }
}
