//! Bounds the memory of tensors: a model says in a few bytes how large they are.
//!
//! tract allocates tensors with the alignment of vectors, and panics where it gets none, which the guard catches. Other
//! allocations are not refused: Rust ends the process then.

use crate::error::{Error, wasmergo_error_kind};
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

/// The least alignment of a tensor; no other allocation of this crate has it.
const TENSOR: usize = if cfg!(target_arch = "x86_64") { 32 } else { 16 };

#[derive(Clone, Copy)]
struct Budget {
    limit: usize,
    used: usize,
    exceeded: bool,
}

thread_local! {
    /// What this thread may use; nothing is bounded outside of `within`.
    static BUDGET: Cell<Option<Budget>> = const { Cell::new(None) };
}

struct Bounded;

#[global_allocator]
static ALLOCATOR: Bounded = Bounded;

unsafe impl GlobalAlloc for Bounded {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if layout.align() >= TENSOR && !take(layout.size()) {
            return std::ptr::null_mut();
        }
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        if layout.align() >= TENSOR && !take(layout.size()) {
            return std::ptr::null_mut();
        }
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, data: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        if layout.align() >= TENSOR {
            give(layout.size());
            if !take(size) {
                return std::ptr::null_mut();
            }
        }
        unsafe { System.realloc(data, layout, size) }
    }

    unsafe fn dealloc(&self, data: *mut u8, layout: Layout) {
        if layout.align() >= TENSOR {
            give(layout.size());
        }
        unsafe { System.dealloc(data, layout) }
    }
}

fn take(size: usize) -> bool {
    let Ok(Some(mut budget)) = BUDGET.try_with(Cell::get) else {
        return true;
    };
    let used = budget.used.saturating_add(size);
    budget.exceeded |= used > budget.limit;
    if used <= budget.limit {
        budget.used = used;
    }
    BUDGET.set(Some(budget));
    used <= budget.limit
}

/// A tensor may be older than the budget: nothing is counted below zero.
fn give(size: usize) {
    if let Ok(Some(mut budget)) = BUDGET.try_with(Cell::get) {
        budget.used = budget.used.saturating_sub(size);
        BUDGET.set(Some(budget));
    }
}

/// Runs a function whose tensors take at most `limit` bytes at a time; more is an error of kind `Resource`.
pub(super) fn within<T>(limit: usize, body: impl FnOnce() -> Result<T, Error>) -> Result<T, Error> {
    struct Restore(Option<Budget>);
    impl Drop for Restore {
        fn drop(&mut self) {
            BUDGET.set(self.0);
        }
    }
    let restore = Restore(BUDGET.replace(Some(Budget {
        limit,
        used: 0,
        exceeded: false,
    })));
    let result = crate::guard::guard(body);
    let exceeded = BUDGET.get().is_some_and(|budget| budget.exceeded);
    drop(restore);
    match result {
        Err(_) if exceeded => Err(exceeds(limit)),
        result => result,
    }
}

/// The error for tensors that take too much.
pub(super) fn exceeds(limit: usize) -> Error {
    Error::new(
        wasmergo_error_kind::Resource,
        format!("the tensors of the model take more than {limit} bytes at a time"),
    )
}
