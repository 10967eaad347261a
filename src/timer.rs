//! Timers on the CPU time of threads, which send the thread our signal when they expire. Linux has them.

pub(crate) use system::{Timer, threads};

#[cfg(target_os = "linux")]
mod system {
    use crate::signal;
    use std::collections::HashSet;

    /// All threads of the process.
    pub fn threads() -> HashSet<i32> {
        let entries = std::fs::read_dir("/proc/self/task");
        let entries = entries.into_iter().flatten().flatten();
        entries
            .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
            .collect()
    }

    /// A timer on a thread's CPU time, which sends the thread our signal.
    pub struct Timer(libc::timer_t);

    unsafe impl Send for Timer {}

    impl Timer {
        pub fn new(thread: i32, period: u64) -> Option<Self> {
            // The clock of another thread, as the kernel numbers them.
            let clock = (!thread << 3) | 6;
            unsafe {
                let mut event: libc::sigevent = std::mem::zeroed();
                event.sigev_notify = libc::SIGEV_THREAD_ID;
                event.sigev_notify_thread_id = thread;
                event.sigev_signo = signal::for_timer();
                event.sigev_value.sival_ptr = signal::timer_mark();
                let mut timer: libc::timer_t = std::mem::zeroed();
                if libc::timer_create(clock, &mut event, &mut timer) != 0 {
                    return None;
                }
                let timer = Self(timer);
                let time = libc::timespec {
                    tv_sec: (period / 1_000_000_000) as _,
                    tv_nsec: (period % 1_000_000_000) as _,
                };
                let times = libc::itimerspec {
                    it_interval: time,
                    it_value: time,
                };
                (libc::timer_settime(timer.0, 0, &times, std::ptr::null_mut()) == 0)
                    .then_some(timer)
            }
        }
    }

    impl Drop for Timer {
        fn drop(&mut self) {
            unsafe { libc::timer_delete(self.0) };
        }
    }
}

#[cfg(not(target_os = "linux"))]
mod system {
    use std::collections::HashSet;

    pub fn threads() -> HashSet<i32> {
        HashSet::new()
    }

    pub enum Timer {}

    impl Timer {
        pub fn new(_: i32, _: u64) -> Option<Self> {
            None
        }
    }
}
