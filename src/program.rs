//! Programs: short lists of steps (calls of exports, copies into and out of memories) that run in one crossing, on one guest's
//! stack. The Go side has checked the code, which is a list of 64-bit words: each step begins with one that holds what it is, in
//! the lowest byte, its number, from bit 8 on, and the number of its words, this one included, from bit 32 on. Operands are
//! slots: a number, with its width in bytes from bit 32 on.

use crate::error::{Error, wasmergo_error_kind};
use crate::r#extern::{Item, wasmergo_extern};
use crate::function::{self, Call, WASMERGO_FAILED};
use crate::memory::wasmergo_memory_definition;
use std::cell::{Cell, UnsafeCell};
use std::ptr;
use wasmer_types::RawValue;

/// Calls a function: its address; the first slot of its arguments, and then of its results; an operand for each argument.
pub const WASMERGO_STEP_CALL: u8 = 0;
/// Copies an input to a memory: that one's definition; the address; the input; its length; how many zeros follow, at most one.
pub const WASMERGO_STEP_WRITE: u8 = 1;
/// Copies bytes of a memory: that one's definition; the address; the length; the slot that gets where they are, and the
/// next one, which gets their length.
pub const WASMERGO_STEP_READ: u8 = 2;
/// The same for bytes up to the first zero, without a length.
pub const WASMERGO_STEP_READ_STRING: u8 = 3;
/// Adds a number to an operand, in its width: the slot of the sum, the operand, the number.
pub const WASMERGO_STEP_ADD: u8 = 4;
/// Takes the high half of an operand of 64 bits: the slot, the operand.
pub const WASMERGO_STEP_HIGH: u8 = 5;
/// Ends the program if the operand is zero.
pub const WASMERGO_STEP_REQUIRE: u8 = 6;
/// Leaves out so many words of code if two operands are equal.
pub const WASMERGO_STEP_SKIP: u8 = 7;

/// The program has run to its end, or a guest has ended it.
pub const WASMERGO_PROGRAM_RAN: u64 = 0;
/// An address and length are not in the memory.
pub const WASMERGO_PROGRAM_BOUNDS: u64 = 1;
/// There is no zero after an address.
pub const WASMERGO_PROGRAM_ENDLESS: u64 = 2;
/// What was not to be zero is.
pub const WASMERGO_PROGRAM_ZERO: u64 = 3;
/// There is no room for so many bytes.
pub const WASMERGO_PROGRAM_ROOM: u64 = 4;

/// The first of a program's slots tell how it went: the step it came to last and one of `WASMERGO_PROGRAM_*`; an address and
/// length that were wrong; where the bytes lie that were read.
pub const WASMERGO_PROGRAM_SLOTS: usize = 3;

/// How many inputs of bytes there are at most.
pub const WASMERGO_PROGRAM_INPUTS: usize = 4;

/// Copies are done in pieces of this size, and the call's end is looked for in between.
const PIECE: usize = 1 << 20;

/// More room than this is not kept for the next program.
const KEPT: usize = 1 << 20;

/// What programs of a store have read, until the next one begins. Programs inside of others come behind these.
#[derive(Default)]
pub(crate) struct Bytes {
    buffer: UnsafeCell<Vec<u8>>,
    /// How much of it is of programs that have not ended.
    used: Cell<usize>,
}

/// Why a program ends early.
type Failure = u64;

struct Program {
    code: *const u64,
    words: usize,
    slots: *mut RawValue,
    inputs: [*const u8; WASMERGO_PROGRAM_INPUTS],
}

impl Program {
    fn word(&self, at: usize) -> u64 {
        unsafe { self.code.add(at).read() }
    }

    fn slot(&self, number: u64) -> *mut u64 {
        unsafe { self.slots.add(number as u32 as usize).cast() }
    }

    /// The operand's value. Of a 32-bit one compiled code has written the low half only.
    fn value(&self, at: usize) -> u64 {
        let operand = self.word(at);
        let slot = self.slot(operand);
        match operand >> 32 {
            4 => unsafe { slot.cast::<u32>().read().into() },
            _ => unsafe { slot.read() },
        }
    }

    fn set(&self, slot: u64, value: u64) {
        unsafe { self.slot(slot).write(value) }
    }

    /// # Safety
    /// On a guest's stack: a trap drops its frames, so there is nothing in them that is to be dropped.
    unsafe fn run(&self, call: &Call, bytes: &Bytes, base: usize) {
        let report = self.slot(0);
        let mut at = 0;
        while at < self.words {
            let head = self.word(at);
            unsafe { report.write_volatile(head >> 8 & 0xff_ffff) };
            let done = match head as u8 {
                WASMERGO_STEP_CALL => {
                    unsafe { self.call(call, at, head) };
                    Ok(())
                }
                WASMERGO_STEP_WRITE => self.write(call, at),
                WASMERGO_STEP_READ => self.read(call, at, bytes, base),
                WASMERGO_STEP_READ_STRING => self.read_string(call, at, bytes, base),
                WASMERGO_STEP_ADD => {
                    let sum = self.value(at + 2).wrapping_add(self.word(at + 3));
                    self.set(self.word(at + 1), sum);
                    Ok(())
                }
                WASMERGO_STEP_HIGH => {
                    self.set(self.word(at + 1), self.value(at + 2) >> 32);
                    Ok(())
                }
                WASMERGO_STEP_REQUIRE if self.value(at + 1) == 0 => Err(WASMERGO_PROGRAM_ZERO),
                WASMERGO_STEP_SKIP if self.value(at + 1) == self.value(at + 2) => {
                    at += self.word(at + 3) as usize;
                    Ok(())
                }
                _ => Ok(()),
            };
            if let Err(failure) = done {
                return unsafe { report.add(1).write_volatile(failure) };
            }
            at += (head >> 32) as usize;
        }
    }

    unsafe fn call(&self, call: &Call, at: usize, head: u64) {
        const BEFORE: usize = 3;
        let function = unsafe { &*(self.word(at + 1) as *const wasmergo_extern) };
        let window = self.slot(self.word(at + 2));
        for index in 0..(head >> 32) as usize - BEFORE {
            let operand = self.word(at + BEFORE + index);
            unsafe {
                let to = window.add(2 * index);
                to.write(self.value(at + BEFORE + index));
                if operand >> 32 == 16 {
                    to.add(1).write(self.slot(operand).add(1).read());
                }
            }
        }
        call.turn();
        unsafe { &*function.statistics }.count_call();
        if let Item::Function { callee, .. } = &function.item {
            unsafe { function::invoke(callee, window.cast()) };
        }
    }

    /// The bytes of a memory from an address on. They stay where they are until a guest goes on.
    fn memory(&self, at: usize) -> (*mut u8, usize, usize) {
        let memory = self.word(at + 1) as *const wasmergo_memory_definition;
        let (base, len) = unsafe { ((*memory).base, (*memory).len) };
        (base, len, self.value(at + 2) as usize)
    }

    fn out_of_bounds(&self, address: usize, len: usize) -> Failure {
        let details = self.slot(1);
        unsafe {
            details.write(address as u64);
            details.add(1).write(len as u64);
        }
        WASMERGO_PROGRAM_BOUNDS
    }

    fn write(&self, call: &Call, at: usize) -> Result<(), Failure> {
        let (memory, size, address) = self.memory(at);
        let (len, zeros) = (self.value(at + 4) as usize, self.word(at + 5) as usize);
        // Both are 32-bit numbers: no sum overflows.
        if address + len + zeros > size {
            return Err(self.out_of_bounds(address, len + zeros));
        }
        let (to, from) = (
            memory.wrapping_add(address),
            self.inputs[self.word(at + 3) as usize],
        );
        let mut done = 0;
        while done < len {
            let piece = (len - done).min(PIECE);
            unsafe { ptr::copy(from.add(done), to.add(done), piece) };
            done += piece;
            call.check_interruption();
        }
        if zeros != 0 {
            unsafe { to.add(len).write(0) };
        }
        Ok(())
    }

    fn read(&self, call: &Call, at: usize, bytes: &Bytes, base: usize) -> Result<(), Failure> {
        let (memory, size, address) = self.memory(at);
        let len = self.value(at + 3) as usize;
        if address + len > size {
            return Err(self.out_of_bounds(address, len));
        }
        let place = (self.word(at + 4), bytes, base);
        self.take(call, memory.wrapping_add(address), len, place)
    }

    fn read_string(
        &self,
        call: &Call,
        at: usize,
        bytes: &Bytes,
        base: usize,
    ) -> Result<(), Failure> {
        let (memory, size, address) = self.memory(at);
        if address > size {
            return Err(self.out_of_bounds(address, 0));
        }
        let mut end = address;
        while end < size {
            let from = memory.wrapping_add(end);
            let piece = (size - end).min(PIECE);
            let found = unsafe { libc::memchr(from.cast(), 0, piece) } as usize;
            if found != 0 {
                let len = found - memory as usize - address;
                let place = (self.word(at + 3), bytes, base);
                return self.take(call, memory.wrapping_add(address), len, place);
            }
            end += piece;
            call.check_interruption();
        }
        self.out_of_bounds(address, 0);
        Err(WASMERGO_PROGRAM_ENDLESS)
    }

    /// Puts bytes behind those that were read before.
    fn take(
        &self,
        call: &Call,
        from: *const u8,
        len: usize,
        (slot, bytes, base): (u64, &Bytes, usize),
    ) -> Result<(), Failure> {
        let start = bytes.used.get();
        {
            let buffer = unsafe { &mut *bytes.buffer.get() };
            if buffer.try_reserve(len).is_err() {
                self.out_of_bounds(0, len);
                return Err(WASMERGO_PROGRAM_ROOM);
            }
        }
        let mut done = 0;
        while done < len {
            let piece = (len - done).min(PIECE);
            let buffer = unsafe { &mut *bytes.buffer.get() };
            unsafe {
                ptr::copy_nonoverlapping(
                    from.add(done),
                    buffer.as_mut_ptr().add(start + done),
                    piece,
                );
                buffer.set_len(start + done + piece);
            }
            done += piece;
            call.check_interruption();
        }
        bytes.used.set(start + len);
        self.set(slot, (start - base) as u64);
        self.set(slot + 1, len as u64);
        Ok(())
    }
}

impl Bytes {
    /// A program begins: what others have read that are over goes. Gives where its own bytes begin.
    fn begin(&self) -> usize {
        let base = self.used.get();
        let buffer = unsafe { &mut *self.buffer.get() };
        buffer.truncate(base);
        if base == 0 && buffer.capacity() > KEPT {
            *buffer = Vec::new();
        }
        base
    }

    /// A program ends. Its bytes stay until the next one begins; they lie here.
    fn end(&self, base: usize) -> *const u8 {
        self.used.set(base);
        unsafe { (*self.buffer.get()).as_ptr().wrapping_add(base) }
    }
}

/// Runs a program. `function` is the address of one of those that it calls, whose instance counts its time. `code` holds
/// `words` words; `values` is the address of its slots, and there are four inputs of bytes, which may be null. The status goes
/// to the first slot of the store's scratch area, how it went to the first slots of the program.
///
/// # Safety
/// The code is what the Go side makes of steps that it has checked: it names functions, memories and slots that there are, and
/// takes no more of an input than there is. The caller holds the store.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wasmergo_program_run(
    function: usize,
    code: *const u64,
    words: usize,
    values: usize,
    first: *const u8,
    second: *const u8,
    third: *const u8,
    fourth: *const u8,
) {
    let function = unsafe { &*(function as *const wasmergo_extern) };
    let store = unsafe { &*function.store };
    let program = Program {
        code,
        words,
        slots: values as *mut RawValue,
        inputs: [first, second, third, fourth],
    };
    let bytes = &store.bytes;
    let base = bytes.begin();
    program.set(0, 0);
    unsafe { program.slot(0).add(1).write(WASMERGO_PROGRAM_RAN) };
    let status = match &function.item {
        Item::Function { .. } => {
            let statistics = unsafe { &*function.statistics };
            function::run(store, statistics, |call| unsafe {
                function::on_stack(call, |call| program.run(call, bytes, base))
            })
        }
        Item::Other(_) => {
            let error = Error::new(wasmergo_error_kind::Internal, "not a function");
            store.error.replace(Some(error));
            WASMERGO_FAILED
        }
    };
    let last = WASMERGO_PROGRAM_SLOTS as u64 - 1;
    program.set(last, bytes.end(base) as u64);
    unsafe { store.status.write(status.into()) };
}
