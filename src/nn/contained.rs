//! Runs what a model decides about on a thread of its own, so that the caller can go on without it:
//!
//! - It has a stack that is large enough: tract recurses as deep as a model has it do.
//! - Rust ends the process where an allocation fails, and an allocator must not unwind. A thread that asks for too much is
//!   never answered: it is lost, with what it holds.
//! - tract cannot be stopped while it parses or optimises. A thread that is given up ends some time later.
//!
//! Few threads may be lost or given up at a time.

use super::budget;
use crate::error::{Error, wasmergo_error_kind};
use crate::guard::guard;
use std::cell::Cell;
use std::ptr;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, Thread};
use std::time::Duration;

/// Only what is used of it is taken.
const STACK: usize = 256 << 20;

/// How many threads may be lost or given up.
const MOST: usize = 16;

/// How often the caller looks whether it is to stop.
const LOOK: Duration = Duration::from_millis(5);

static GONE: AtomicUsize = AtomicUsize::new(0);

const RUNNING: u32 = 0;
const DONE: u32 = 1;
const GIVEN_UP: u32 = 2;
const LOST: u32 = 3;

struct Signal {
    state: AtomicU32,
    stop: AtomicU32,
    caller: Thread,
}

thread_local! {
    /// Of the thread that this is; null on others.
    static SIGNAL: Cell<*const Signal> = const { Cell::new(ptr::null()) };
}

/// Runs a function within a budget. It is shown a number that is not 0 once `stop` is, and may be given up then.
pub(super) fn contained<T: Send + 'static>(
    limit: usize,
    stop: Option<&AtomicU32>,
    body: impl FnOnce(&AtomicU32) -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    if GONE.load(Ordering::Relaxed) >= MOST {
        return Err(Error::new(
            wasmergo_error_kind::Resource,
            format!(
                "{MOST} threads already work on models that were given up, or asked for too much memory"
            ),
        ));
    }
    let signal = Arc::new(Signal {
        state: AtomicU32::new(RUNNING),
        stop: AtomicU32::new(0),
        caller: thread::current(),
    });
    let result = Arc::new(Mutex::new(None));
    let (theirs, place) = (signal.clone(), result.clone());
    thread::Builder::new()
        .name("wasmer-go-nn".into())
        .stack_size(STACK)
        .spawn(move || {
            SIGNAL.set(&*theirs);
            let made = guard(|| budget::within(limit, || body(&theirs.stop)));
            SIGNAL.set(ptr::null());
            *place.lock().unwrap_or_else(PoisonError::into_inner) = Some(made);
            drop(place);
            if theirs.state.swap(DONE, Ordering::AcqRel) == GIVEN_UP {
                GONE.fetch_sub(1, Ordering::Relaxed);
            }
            theirs.caller.unpark();
        })
        .map_err(|error| {
            Error::new(
                wasmergo_error_kind::Resource,
                format!("cannot start a thread for a model: {error}"),
            )
        })?;
    loop {
        match signal.state.load(Ordering::Acquire) {
            DONE => break,
            LOST => return Err(budget::exceeds(limit)),
            _ if super::continues(stop).is_ok() => match stop {
                None => thread::park(),
                Some(_) => thread::park_timeout(LOOK),
            },
            _ => {
                signal.stop.store(1, Ordering::Relaxed);
                let swap = |from, to| {
                    signal
                        .state
                        .compare_exchange(from, to, Ordering::AcqRel, Ordering::Acquire)
                };
                GONE.fetch_add(1, Ordering::Relaxed);
                if swap(RUNNING, GIVEN_UP).is_err() {
                    GONE.fetch_sub(1, Ordering::Relaxed);
                }
                return super::continues(stop).and(Err(budget::exceeds(limit)));
            }
        }
    }
    let made = result.lock().unwrap_or_else(PoisonError::into_inner).take();
    made.expect("a thread that is done has made something")
}

/// Ends what runs contained on this thread; returns where nothing does. The allocator calls it, out of any code.
pub(super) fn lose() {
    let signal = SIGNAL.replace(ptr::null());
    if signal.is_null() {
        return;
    }
    budget::lift();
    // The thread that owns it is this one, and goes no further.
    let signal = unsafe { &*signal };
    if signal.state.swap(LOST, Ordering::AcqRel) != GIVEN_UP {
        GONE.fetch_add(1, Ordering::Relaxed);
    }
    signal.caller.unpark();
    loop {
        thread::park();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tract_core::prelude::Tensor;

    const LIMIT: usize = 1 << 20;

    fn kind<T>(result: Result<T, Error>) -> Option<wasmergo_error_kind> {
        result.err().map(|error| error.kind)
    }

    #[test]
    fn what_asks_for_too_much_is_lost_and_its_caller_goes_on() {
        let made = contained(LIMIT, None, |_| Ok(Vec::<u8>::with_capacity(4 * LIMIT)));
        assert_eq!(kind(made), Some(wasmergo_error_kind::Resource));
        let made = contained(LIMIT, None, |_| Ok(vec![0_u8; LIMIT]));
        assert_eq!(made.unwrap().len(), LIMIT);
    }

    #[test]
    fn tensors_that_are_too_large_are_errors() {
        let made = contained(LIMIT, None, |_| Ok(Tensor::zero::<u8>(&[LIMIT + 1])));
        assert_eq!(kind(made), Some(wasmergo_error_kind::Resource));
        // What is freed does not count.
        let made = contained(LIMIT, None, |_| {
            Ok((0..10).all(|_| Tensor::zero::<u8>(&[LIMIT / 2]).is_ok()))
        });
        assert!(made.unwrap());
    }

    #[test]
    fn what_is_to_stop_is_given_up() {
        let stop = AtomicU32::new(0);
        let made = thread::scope(|scope| {
            scope.spawn(|| stop.store(1, Ordering::Relaxed));
            contained(LIMIT, Some(&stop), |stop| {
                while stop.load(Ordering::Relaxed) == 0 {
                    thread::yield_now();
                }
                Ok(())
            })
        });
        assert_eq!(kind(made), Some(wasmergo_error_kind::Interrupted));
    }

    #[test]
    fn panics_are_errors() {
        crate::guard::silence_panics();
        let made: Result<(), Error> = contained(LIMIT, None, |_| panic!("a bug"));
        assert_eq!(kind(made), Some(wasmergo_error_kind::Internal));
    }
}
