//! What a compilation takes of memory: looked up from time to time, as the C library knows it, from which Rust and LLVM have all
//! theirs. So it costs compilers nothing, but is known for the process alone: compilations at the same time share what it
//! has grown by.

use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How long it is not looked up again, at least.
const OFTEN: Duration = Duration::from_millis(5);
/// And how often in relation to the time that takes: the C library goes through all that was freed.
const RARELY: u64 = 200;

/// The compilations under way.
static OPEN: AtomicUsize = AtomicUsize::new(0);

/// What one compilation takes.
pub(crate) struct Account {
    before: i64,
    began: Instant,
    /// When it is looked up again, in microseconds after the beginning.
    next: AtomicU64,
    peak: AtomicI64,
    /// What it may take; `i64::MAX` for no bound.
    limit: i64,
    exceeded: AtomicBool,
}

impl Account {
    /// A limit of 0 is none.
    fn new(limit: u64) -> Arc<Self> {
        OPEN.fetch_add(1, Ordering::Relaxed);
        Arc::new(Self {
            before: allocated(),
            began: Instant::now(),
            next: AtomicU64::new(OFTEN.as_micros() as u64),
            peak: AtomicI64::new(0),
            limit: match limit {
                0 => i64::MAX,
                limit => limit.min(i64::MAX as u64) as i64,
            },
            exceeded: AtomicBool::new(false),
        })
    }

    /// Looks up what is taken, and adds what the C library does not know of.
    pub fn look(&self, more: u64) {
        let share = OPEN.load(Ordering::Relaxed).max(1) as i64;
        let live = (allocated() - self.before) / share + more as i64;
        self.peak.fetch_max(live, Ordering::Relaxed);
        if live > self.limit {
            self.exceeded.store(true, Ordering::Relaxed);
        }
    }

    /// As `look`, if that was some time ago.
    pub fn look_again(&self) {
        let now = || self.began.elapsed().as_micros() as u64;
        let (begin, next) = (now(), self.next.load(Ordering::Relaxed));
        let order = Ordering::Relaxed;
        if begin < next || (self.next.compare_exchange(next, u64::MAX, order, order)).is_err() {
            return;
        }
        self.look(0);
        let end = now();
        let pause = (RARELY * (end - begin)).max(OFTEN.as_micros() as u64);
        self.next.store(end + pause, Ordering::Relaxed);
    }

    /// It has taken more than it may.
    pub fn is_exceeded(&self) -> bool {
        self.exceeded.load(Ordering::Relaxed)
    }

    pub fn peak(&self) -> u64 {
        self.peak.load(Ordering::Relaxed).max(0) as u64
    }
}

impl Drop for Account {
    fn drop(&mut self) {
        OPEN.fetch_sub(1, Ordering::Relaxed);
    }
}

/// An account as long as its compilation lasts.
pub(crate) struct Opened {
    pub account: Arc<Account>,
    thread: Option<JoinHandle<()>>,
    ended: Arc<(Mutex<bool>, Condvar)>,
}

impl Opened {
    /// A limit of 0 is none. A compilation that is `long` is looked after by a thread; else by its own.
    pub fn new(limit: u64, long: bool) -> Self {
        let account = Account::new(limit);
        let ended: Arc<(Mutex<bool>, Condvar)> = Arc::default();
        let (watched, ending) = (account.clone(), ended.clone());
        let watch = move || {
            let mut ended = lock(&ending.0);
            while !*ended {
                watched.look_again();
                ended = match ending.1.wait_timeout(ended, OFTEN) {
                    Ok((ended, _)) => ended,
                    Err(poisoned) => poisoned.into_inner().0,
                };
            }
        };
        // Where there is no thread to be had it is looked up after each function.
        let thread = long.then(|| std::thread::Builder::new().spawn(watch).ok());
        Self {
            account,
            thread: thread.flatten(),
            ended,
        }
    }
}

impl Drop for Opened {
    fn drop(&mut self) {
        *lock(&self.ended.0) = true;
        self.ended.1.notify_all();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Bytes that the C library has given out in this process.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
fn allocated() -> i64 {
    let info = unsafe { libc::mallinfo2() };
    (info.uordblks + info.hblkhd) as i64
}

#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
fn allocated() -> i64 {
    0
}

#[cfg(all(test, target_os = "linux", target_env = "gnu"))]
mod tests {
    use super::*;

    #[test]
    fn what_is_taken_is_seen_and_bounded() {
        const SIZE: usize = 256 << 20;
        for long in [false, true] {
            let opened = Opened::new(SIZE as u64 / 2, long);
            let account = opened.account.clone();
            account.look(0);
            assert!(!account.is_exceeded());
            let taken = vec![1u8; SIZE];
            while long && !account.is_exceeded() {
                std::thread::sleep(OFTEN);
            }
            account.look(0);
            assert!(account.is_exceeded());
            assert!(account.peak() > SIZE as u64 / 2);
            drop((taken, opened));
        }
    }
}
