//! What is counted of guests, and measured if that is asked for. Each counter is written by one thread at a time, who holds the
//! store, and read by any: so counting takes no locked instruction.

use crate::function::Call;
use crate::instance::wasmergo_instance;
use crate::store::wasmergo_store;
use std::mem::offset_of;
use std::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering, fence};
use std::time::Duration;

/// A number that one thread at a time adds to.
#[derive(Default)]
#[repr(transparent)]
struct Count(AtomicU64);

impl Count {
    #[inline(always)]
    fn add(&self, n: u64) {
        let now = self.0.load(Ordering::Relaxed);
        self.0.store(now.wrapping_add(n), Ordering::Relaxed);
    }

    fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// What is counted of an instance, or of a store where no instance is called. The Go side reads all but the clock in place.
#[derive(Default)]
#[repr(C)]
pub(crate) struct Statistics {
    calls: Count,
    host_calls: Count,
    refused: Count,
    /// Not 0 if times are measured.
    measured: AtomicU32,
    clock: Clock,
}

/// What goes on at the moment.
#[derive(Clone, Copy)]
enum Phase {
    Idle,
    Wasm,
    Host,
}

/// Times, and what is being measured since when. Odd versions are those in which it is being written.
#[derive(Default)]
struct Clock {
    version: AtomicU32,
    phase: AtomicU8,
    since: AtomicU64,
    wasm: Count,
    host: Count,
}

impl Clock {
    /// Ends a phase and begins another.
    fn switch(&self, phase: Phase, now: u64) {
        let version = self.version.load(Ordering::Relaxed);
        self.version
            .store(version.wrapping_add(1), Ordering::Relaxed);
        fence(Ordering::Release);
        let passed = now.saturating_sub(self.since.load(Ordering::Relaxed));
        self.add(self.phase.load(Ordering::Relaxed), passed);
        self.phase.store(phase as u8, Ordering::Relaxed);
        self.since.store(now, Ordering::Relaxed);
        self.version
            .store(version.wrapping_add(2), Ordering::Release);
    }

    fn add(&self, phase: u8, passed: u64) {
        match phase {
            p if p == Phase::Wasm as u8 => self.wasm.add(passed),
            p if p == Phase::Host as u8 => self.host.add(passed),
            _ => {}
        }
    }

    /// The times in wasm and in host functions until now, that of the running phase too.
    fn read(&self) -> (u64, u64) {
        loop {
            let version = self.version.load(Ordering::Acquire);
            let (phase, since) = (
                self.phase.load(Ordering::Relaxed),
                self.since.load(Ordering::Relaxed),
            );
            let (mut wasm, mut host) = (self.wasm.get(), self.host.get());
            fence(Ordering::Acquire);
            if version & 1 == 1 || self.version.load(Ordering::Relaxed) != version {
                std::hint::spin_loop();
                continue;
            }
            match phase {
                p if p == Phase::Wasm as u8 => wasm += now().saturating_sub(since),
                p if p == Phase::Host as u8 => host += now().saturating_sub(since),
                _ => {}
            }
            return (wasm, host);
        }
    }
}

/// Nanoseconds of the monotonic clock.
fn now() -> u64 {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &mut time) };
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32).as_nanos() as u64
}

impl Statistics {
    #[inline(always)]
    pub fn count_call(&self) {
        self.calls.add(1);
    }

    #[inline(always)]
    pub fn count_host_call(&self) {
        self.host_calls.add(1);
    }

    /// Whether times are measured.
    #[inline(always)]
    pub fn measured(&self) -> bool {
        self.measured.load(Ordering::Relaxed) != 0
    }

    fn switch(&self, phase: Phase, now: u64) {
        if self.measured() {
            self.clock.switch(phase, now);
        }
    }

    fn read(&self) -> wasmergo_statistics {
        let (wasm_time, host_time) = self.clock.read();
        wasmergo_statistics {
            calls: self.calls.get(),
            host_calls: self.host_calls.get(),
            refused_growths: self.refused.get(),
            wasm_time,
            host_time,
        }
    }
}

/// Measures a call that begins. The host function that makes it, if there is one, waits: its time stands still, so that none
/// counts twice, in whichever stores the two are.
#[cold]
pub(crate) fn begin(call: &Call) {
    let now = now();
    if let Some(around) = call.around() {
        around.statistics().switch(Phase::Idle, now);
    }
    call.statistics().switch(Phase::Wasm, now);
}

/// Measures a call that ends.
#[cold]
pub(crate) fn end(call: &Call) {
    let now = now();
    call.statistics().switch(Phase::Idle, now);
    if let Some(around) = call.around() {
        around.statistics().switch(Phase::Host, now);
    }
}

/// Measures a host function of the call that begins.
#[cold]
pub(crate) fn begin_host(call: &Call) {
    call.statistics().switch(Phase::Host, now());
}

/// Measures a host function of the call that ends.
#[cold]
pub(crate) fn end_host(call: &Call) {
    call.statistics().switch(Phase::Wasm, now());
}

/// Counts a memory or table that was not given what the running guest wanted.
#[cold]
pub(crate) fn refused_growth() {
    if let Some(call) = Call::current() {
        call.statistics().refused.add(1);
    }
}

/// What was counted, and measured, in nanoseconds.
#[repr(C)]
#[allow(non_camel_case_types)]
pub struct wasmergo_statistics {
    /// Calls that the host made of functions.
    pub calls: u64,
    /// Calls of host functions.
    pub host_calls: u64,
    /// How often a guest was refused to grow a memory or table.
    pub refused_growths: u64,
    pub wasm_time: u64,
    pub host_time: u64,
}

/// Where in an instance its `calls`, `host_calls`, `refused_growths`, and, in 32 bits, whether times are measured, lie one after
/// another.
#[unsafe(no_mangle)]
pub extern "C" fn wasmergo_instance_counts() -> usize {
    offset_of!(wasmergo_instance, statistics)
}

/// The same for a store.
#[unsafe(no_mangle)]
pub extern "C" fn wasmergo_store_counts() -> usize {
    offset_of!(wasmergo_store, statistics)
}

/// What was counted of the instance. Any thread may ask at any time.
///
/// # Safety
/// `out` is valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wasmergo_instance_statistics(
    instance: *const wasmergo_instance,
    out: *mut wasmergo_statistics,
) {
    // Only this field: whoever holds the store may be changing others.
    unsafe { out.write((*instance).statistics.read()) };
}

/// What was counted of functions of the store that belong to no instance of the Go side. Any thread may ask at any time.
///
/// # Safety
/// `out` is valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wasmergo_store_statistics(
    store: *const wasmergo_store,
    out: *mut wasmergo_statistics,
) {
    unsafe { out.write((*store).statistics.read()) };
}

/// From now on times are measured of the instance.
#[unsafe(no_mangle)]
pub extern "C" fn wasmergo_instance_measure(instance: &wasmergo_instance) {
    instance.statistics.measured.store(1, Ordering::Relaxed);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_tells_the_phases_apart() {
        let clock = Clock::default();
        let start = now() - 1_000_000_000;
        for (phase, at) in [
            (Phase::Wasm, 10),
            (Phase::Host, 15),
            (Phase::Wasm, 115),
            (Phase::Idle, 116),
            (Phase::Idle, 1000),
        ] {
            clock.switch(phase, start + at);
        }
        assert_eq!(clock.read(), (6, 100));
    }

    #[test]
    fn a_running_phase_counts_until_now() {
        let clock = Clock::default();
        clock.switch(Phase::Host, now() - 1_000_000_000);
        let (wasm, host) = clock.read();
        assert!(wasm == 0 && (1_000_000_000..60_000_000_000).contains(&host));
    }
}
