//! Counts of what there is in the process, which all threads keep without getting in each other's way.

use std::cell::Cell;
use std::sync::atomic::{AtomicUsize, Ordering};

const SHARDS: usize = 16;

/// A number that is the sum of its shards, each of which a few threads add to. It is as exact as they are at rest.
pub(crate) struct Count([Shard; SHARDS]);

/// A cache line of its own, and that which processors fetch with it.
#[repr(align(128))]
struct Shard(AtomicUsize);

thread_local! {
    static SHARD: Cell<usize> = const { Cell::new(SHARDS) };
}

impl Count {
    pub const fn new() -> Self {
        Self([const { Shard(AtomicUsize::new(0)) }; SHARDS])
    }

    pub fn add(&self, n: usize) {
        self.0[shard()].0.fetch_add(n, Ordering::Relaxed);
    }

    /// Takes off what was added, by whichever thread.
    pub fn sub(&self, n: usize) {
        self.0[shard()].0.fetch_sub(n, Ordering::Relaxed);
    }

    pub fn get(&self) -> usize {
        let shards = self.0.iter().map(|shard| shard.0.load(Ordering::Relaxed));
        let sum = shards.fold(0, usize::wrapping_add);
        // While somebody takes off what another has just added, that may be seen first.
        if sum > isize::MAX as usize { 0 } else { sum }
    }
}

/// The thread's shard: they are given out one after another.
fn shard() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    SHARD.with(|mine| {
        if mine.get() == SHARDS {
            mine.set(NEXT.fetch_add(1, Ordering::Relaxed) % SHARDS);
        }
        mine.get()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_one_thread_adds_another_takes_off() {
        static COUNT: Count = Count::new();
        for n in [5, 7] {
            std::thread::spawn(move || COUNT.add(n)).join().unwrap();
        }
        assert_eq!(COUNT.get(), 12);
        for n in [3, 9] {
            std::thread::spawn(move || COUNT.sub(n)).join().unwrap();
        }
        assert_eq!(COUNT.get(), 0);
        COUNT.sub(1);
        assert_eq!(COUNT.get(), 0, "never less than nothing");
        COUNT.add(1);
    }
}
