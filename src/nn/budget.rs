//! Bounds the memory that a model takes: it says in a few bytes how large its tensors are.
//!
//! tract panics where it gets no memory for a tensor, and the guard catches that. Rust ends the process for any other
//! allocation: see `contained.rs`.

use super::contained;
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
        if refuses(layout.size(), layout.align()) {
            return std::ptr::null_mut();
        }
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        if refuses(layout.size(), layout.align()) {
            return std::ptr::null_mut();
        }
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, data: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        if refuses(size, layout.align()) {
            return std::ptr::null_mut();
        }
        give(layout.size());
        unsafe { System.realloc(data, layout, size) }
    }

    unsafe fn dealloc(&self, data: *mut u8, layout: Layout) {
        give(layout.size());
        unsafe { System.dealloc(data, layout) }
    }
}

/// Counts an allocation, unless it is too much: then that of a tensor fails, and any other goes wrong in its own way.
fn refuses(size: usize, align: usize) -> bool {
    let Ok(Some(mut budget)) = BUDGET.try_with(Cell::get) else {
        return false;
    };
    let used = budget.used.saturating_add(size);
    let tensor = align >= TENSOR;
    // What can fail is to fail first.
    let most = match tensor {
        true => budget.limit,
        false => budget.limit.saturating_mul(2),
    };
    if used <= most {
        budget.used = used;
        BUDGET.set(Some(budget));
        return false;
    }
    budget.exceeded = true;
    BUDGET.set(Some(budget));
    if !tensor {
        contained::lose();
    }
    tensor
}

/// What is freed may be older than the budget: nothing is counted below zero.
fn give(size: usize) {
    if let Ok(Some(mut budget)) = BUDGET.try_with(Cell::get) {
        budget.used = budget.used.saturating_sub(size);
        BUDGET.set(Some(budget));
    }
}

/// Bounds nothing any more on this thread.
pub(super) fn lift() {
    BUDGET.set(None);
}

/// Runs a function that takes at most `limit` bytes at a time; more is an error of kind `Resource`.
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

/// The error for a model that takes too much.
pub(super) fn exceeds(limit: usize) -> Error {
    Error::new(
        wasmergo_error_kind::Resource,
        format!("the model takes more than {limit} bytes of memory"),
    )
}
