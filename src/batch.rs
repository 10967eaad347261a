//! Many calls of one function in one crossing, on one guest's stack.

use crate::r#extern::{Item, wasmergo_extern};
use crate::externref;
use crate::function::{self, Call, WASMERGO_FAILED};
use crate::guard::guard;
use crate::stack;
use wasmer_types::{RawValue, Type};
use wasmer_vm::VMCallerCheckedAnyfunc;

/// Calls that follow each other. Each counts as done once its results are in place, wherever the next one ends.
struct Batch<'a> {
    function: &'a wasmergo_extern,
    callee: &'a VMCallerCheckedAnyfunc,
    params: &'a [Type],
    results: &'a [Type],
    /// The slots of a call.
    values: *mut RawValue,
    rows: usize,
    done: *mut u64,
}

impl Call {
    /// What is due between two calls of guests on one stack: the first has returned, and the next is as if it were alone. On
    /// the guest's stack, with nothing to drop.
    #[inline(always)]
    pub fn turn(&self) {
        if self.reserve_open.get() {
            self.reserve_open.set(false);
            stack::close_reserve(self.stack.get(), self.limit);
        }
        if self.outer.is_null() {
            externref::forget_exceptions(unsafe { &mut *self.store().objects.get() });
        }
        self.check_interruption();
    }
}

impl Batch<'_> {
    /// # Safety
    /// On a guest's stack. `load` and `store` move a row between where the caller has it and the slots.
    #[inline(always)]
    unsafe fn run(
        &self,
        call: &Call,
        load: impl Fn(usize, *mut RawValue),
        store: impl Fn(usize, *const RawValue),
    ) {
        let statistics = unsafe { &*self.function.statistics };
        for row in 0..self.rows {
            call.turn();
            statistics.count_call();
            load(row, self.values);
            unsafe { function::invoke(self.callee, self.values) };
            store(row, self.values);
            unsafe { self.done.write_volatile(row as u64 + 1) };
        }
    }

    /// Rows of words, one for each value.
    unsafe fn run_rows<W: Word>(&self, call: &Call, input: *const W, output: *mut W) {
        // Loops of a known length are none.
        unsafe {
            match (self.params.len(), self.results.len()) {
                (1, 1) => self.run_rows_of(call, input, output, 1, 1),
                (2, 1) => self.run_rows_of(call, input, output, 2, 1),
                (params, results) => self.run_rows_of(call, input, output, params, results),
            }
        }
    }

    #[inline(always)]
    unsafe fn run_rows_of<W: Word>(
        &self,
        call: &Call,
        input: *const W,
        output: *mut W,
        params: usize,
        results: usize,
    ) {
        let load = |row: usize, slots: *mut RawValue| unsafe {
            let from = input.wrapping_add(row * params);
            for index in 0..params {
                slots.add(index).cast::<W>().write(from.add(index).read());
            }
        };
        let store = |row: usize, slots: *const RawValue| unsafe {
            let to = output.wrapping_add(row * results);
            for index in 0..results {
                to.add(index)
                    .write(W::result(slots.add(index), self.results[index]));
            }
        };
        unsafe { self.run(call, load, store) }
    }

    /// Rows of 64-bit words, two for a v128.
    unsafe fn run_wide(&self, call: &Call, input: *const u64, output: *mut u64) {
        let words = |types: &[Type]| {
            types
                .iter()
                .map(|ty| 1 + usize::from(*ty == Type::V128))
                .sum()
        };
        let (params, results): (usize, usize) = (words(self.params), words(self.results));
        let load = |row: usize, slots: *mut RawValue| unsafe {
            let mut from = input.wrapping_add(row * params);
            for (index, ty) in self.params.iter().enumerate() {
                let slot = slots.add(index).cast::<u64>();
                slot.write(from.read());
                from = from.add(1);
                if *ty == Type::V128 {
                    slot.add(1).write(from.read());
                    from = from.add(1);
                }
            }
        };
        let store = |row: usize, slots: *const RawValue| unsafe {
            let mut to = output.wrapping_add(row * results);
            for (index, ty) in self.results.iter().enumerate() {
                to.write(u64::result(slots.add(index), *ty));
                to = to.add(1);
                if *ty == Type::V128 {
                    to.write(slots.add(index).cast::<u64>().add(1).read());
                    to = to.add(1);
                }
            }
        };
        unsafe { self.run(call, load, store) }
    }

    fn is_wide(&self) -> bool {
        self.params.contains(&Type::V128) || self.results.contains(&Type::V128)
    }
}

/// What rows consist of: 64 bits for a value of any type but v128, or 32 bits for those of such types.
trait Word: Copy {
    unsafe fn result(slot: *const RawValue, ty: Type) -> Self;
}

impl Word for u32 {
    #[inline(always)]
    unsafe fn result(slot: *const RawValue, _: Type) -> u32 {
        unsafe { slot.cast::<u32>().read() }
    }
}

impl Word for u64 {
    /// Of a 32-bit one compiled code has written the low half only.
    #[inline(always)]
    unsafe fn result(slot: *const RawValue, ty: Type) -> u64 {
        match ty {
            Type::I32 | Type::F32 => unsafe { slot.cast::<u32>().read().into() },
            _ => unsafe { slot.cast::<u64>().read() },
        }
    }
}

/// Calls a function once for each row of arguments, in order, and writes a row of results after each call. `input` and `output`
/// may overlap: a row is read right before its call. Rows are of 64-bit words, two for a v128, or of 32-bit words if `narrow` is
/// set, for functions of such values. The first slot of `values` gets the number of rows that were done; the status is that of
/// the last call, in the first slot of the store's scratch area.
///
/// # Safety
/// `function` is the address of a `wasmergo_extern` that is a function, not of references; `values` that of slots for the
/// larger of its parameters and results and one more. `input` and `output` hold `rows` rows. The caller holds the store.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wasmergo_function_batch(
    function: usize,
    values: usize,
    input: *const u64,
    output: *mut u64,
    rows: usize,
    narrow: bool,
) {
    let function = unsafe { &*(function as *const wasmergo_extern) };
    let store = unsafe { &*function.store };
    let done = values as *mut u64;
    unsafe { done.write(0) };
    let status = match (&function.item, guard(|| function.function_type())) {
        (Item::Function { callee, .. }, Ok(ty)) => {
            let batch = Batch {
                function,
                callee,
                params: ty.params(),
                results: ty.results(),
                values: (values as *mut RawValue).wrapping_add(1),
                rows,
                done,
            };
            let statistics = unsafe { &*function.statistics };
            function::run(store, statistics, |call| unsafe {
                function::on_stack(call, |call| match narrow {
                    true => batch.run_rows::<u32>(call, input.cast(), output.cast()),
                    false if batch.is_wide() => batch.run_wide(call, input, output),
                    false => batch.run_rows(call, input, output),
                })
            })
        }
        (_, Err(error)) => {
            store.error.replace(Some(error));
            WASMERGO_FAILED
        }
        _ => WASMERGO_FAILED,
    };
    unsafe { store.status.write(status.into()) };
}
