//! Digests of modules and artifacts, BLAKE3: large ones on several threads, since to load code is mostly to check it.

use blake3::hazmat::{
    ChainingValue, HasherExt, Mode, merge_subtrees_non_root, merge_subtrees_root,
};
use std::ops::Range;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

/// The bytes of a digest.
pub(crate) const DIGEST: usize = blake3::OUT_LEN;

/// What one thread takes at a time: a power of two of chunks, so that it is a subtree.
const PART: usize = 1 << 20;
/// More threads than this only wait for memory.
const MOST_THREADS: usize = 8;

/// BLAKE3 of the bytes. The threads are its own: those of the compilers may be busy for long.
pub(crate) fn digest(bytes: &[u8]) -> [u8; DIGEST] {
    let parts: Vec<&[u8]> = bytes.chunks(PART).collect();
    let threads = MOST_THREADS.min(parts.len() / 2);
    if threads < 2 {
        return blake3::hash(bytes).into();
    }
    let next = AtomicUsize::new(0);
    let values: Vec<OnceLock<ChainingValue>> = vec![OnceLock::new(); parts.len()];
    let work = || {
        while let Some((index, part)) = {
            let index = next.fetch_add(1, Ordering::Relaxed);
            parts.get(index).map(|part| (index, part))
        } {
            let mut hasher = blake3::Hasher::new();
            hasher.set_input_offset((index * PART) as u64).update(part);
            let _ = values[index].set(hasher.finalize_non_root());
        }
    };
    let cores = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        for _ in 1..threads.min(cores) {
            // One that cannot be had leaves its work to the others.
            let _ = thread::Builder::new().spawn_scoped(scope, work);
        }
        work();
    });
    let values: Vec<ChainingValue> = values
        .iter()
        .flat_map(|value| value.get().copied())
        .collect();
    let (left, right) = halves(0..values.len());
    merge_subtrees_root(&merge(&values, left), &merge(&values, right), Mode::Hash).into()
}

/// The value of a subtree.
fn merge(values: &[ChainingValue], range: Range<usize>) -> ChainingValue {
    if range.len() == 1 {
        return values[range.start];
    }
    let (left, right) = halves(range);
    merge_subtrees_non_root(&merge(values, left), &merge(values, right), Mode::Hash)
}

/// The subtrees of a tree: the left one is the largest that is full, and leaves something.
fn halves(range: Range<usize>) -> (Range<usize>, Range<usize>) {
    let middle = range.start + range.len().next_power_of_two() / 2;
    (range.start..middle, middle..range.end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_blake3_whatever_the_length() {
        let bytes: Vec<u8> = (0..9 * PART + 2).map(|i| ((i * i) >> 7) as u8).collect();
        for parts in 0..=9 {
            for more in [0, 1, 2, 1024, PART / 2 + 3] {
                let bytes = &bytes[..bytes.len().min(parts * PART + more)];
                assert_eq!(
                    digest(bytes),
                    *blake3::hash(bytes).as_bytes(),
                    "{}",
                    bytes.len()
                );
            }
        }
    }
}
