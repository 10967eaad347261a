//! From a guest's stack to the thread's own, where what the guest has called may take what it needs, and back.
//!
//! wasmer's way there costs more than most host functions do. So it is gone once a call, to see where the stack has room:
//! that stays the same as long as the guest runs. From then on the stack pointer is simply set. As on wasmer's way, wasmer
//! forgets meanwhile that there is a guest, since calls may begin and end there.

use crate::function::Call;
use crate::thread;
use wasmer_vm::on_host_stack;

/// How many registers C has for integer arguments, and for floats.
pub(crate) const INTEGERS: usize = if cfg!(target_arch = "x86_64") { 6 } else { 8 };
pub(crate) const FLOATS: usize = 8;

/// Whether C functions can be given arguments that registers have no room for.
pub(crate) const SPILLS: bool = cfg!(target_arch = "x86_64");

/// Arguments in, and the result in the first of either kind.
#[repr(C)]
#[derive(Default)]
pub(crate) struct Registers {
    pub integers: [u64; INTEGERS],
    pub floats: [u64; FLOATS],
    /// Which of the two there is.
    pub returns_float: bool,
}

type Integers = unsafe extern "C" fn(usize, usize, usize, usize, usize, usize) -> usize;

/// Calls a C function with integers.
///
/// # Safety
/// The function takes so many integers at most, does not unwind, and the call is the running one.
#[inline(always)]
pub(crate) unsafe fn call(call: &Call, function: Integers, integers: [usize; 6]) -> usize {
    #[cfg(target_arch = "x86_64")]
    if let Some((result, _)) =
        unsafe { x86_64::at_once(call, |stack| x86_64::call(integers, stack, function)) }
    {
        return result;
    }
    let [a, b, c, d, e, f] = integers;
    unsafe { find(call, function, a, b, c, d, e, f) }
}

/// The same by wasmer's way; notes where there is room.
#[cold]
#[allow(clippy::too_many_arguments)] // in registers
unsafe fn find(
    call: &Call,
    function: Integers,
    a: usize,
    b: usize,
    c: usize,
    d: usize,
    e: usize,
    f: usize,
) -> usize {
    on_host_stack(|| {
        note(call);
        unsafe { function(a, b, c, d, e, f) }
    })
}

/// The same for a function that returns a float: its bits.
///
/// # Safety
/// As for `call`.
#[inline(always)]
pub(crate) unsafe fn call_for_float(call: &Call, function: Integers, integers: [usize; 6]) -> u64 {
    #[cfg(target_arch = "x86_64")]
    if let Some((_, result)) =
        unsafe { x86_64::at_once(call, |stack| x86_64::call(integers, stack, function)) }
    {
        return result.to_bits();
    }
    let [a, b, c, d, e, f] = integers;
    unsafe { find_for_float(call, function, a, b, c, d, e, f) }
}

#[cold]
#[allow(clippy::too_many_arguments)]
unsafe fn find_for_float(
    call: &Call,
    function: Integers,
    a: usize,
    b: usize,
    c: usize,
    d: usize,
    e: usize,
    f: usize,
) -> u64 {
    on_host_stack(|| {
        note(call);
        unsafe { call_here_for_float(function, [a, b, c, d, e, f]) }
    })
}

/// Calls a C function with integers on the stack that this runs on.
///
/// # Safety
/// The function takes so many integers at most, and the stack has room for it.
#[inline(always)]
pub(crate) unsafe fn call_here(function: Integers, integers: [usize; 6]) -> usize {
    let [a, b, c, d, e, f] = integers;
    unsafe { function(a, b, c, d, e, f) }
}

/// The same for a function that returns a float: its bits.
///
/// # Safety
/// As for `call_here`.
#[inline(always)]
pub(crate) unsafe fn call_here_for_float(function: Integers, integers: [usize; 6]) -> u64 {
    type Float = unsafe extern "C" fn(usize, usize, usize, usize, usize, usize) -> f64;
    let function = unsafe { std::mem::transmute::<Integers, Float>(function) };
    let [a, b, c, d, e, f] = integers;
    unsafe { function(a, b, c, d, e, f) }.to_bits()
}

/// Calls a C function of any type.
///
/// # Safety
/// The arguments are the function's, those on the stack in order; else as for `call`.
pub(crate) unsafe fn call_with(
    call: &Call,
    function: Integers,
    registers: &mut Registers,
    spilled: &[u64],
) {
    #[cfg(target_arch = "x86_64")]
    if let Some(()) = unsafe {
        x86_64::at_once(call, |stack| {
            x86_64::call_with(registers, stack, function, spilled.as_ptr(), spilled.len());
        })
    } {
        return;
    }
    on_host_stack(|| {
        note(call);
        unsafe { call_here_with(function, registers, spilled) }
    })
}

/// The same on the stack that this runs on.
///
/// # Safety
/// As for `call_here`; the arguments are the function's.
#[cfg(target_arch = "x86_64")]
pub(crate) unsafe fn call_here_with(
    function: Integers,
    registers: &mut Registers,
    spilled: &[u64],
) {
    unsafe { x86_64::call_with(registers, 0, function, spilled.as_ptr(), spilled.len()) }
}

/// The same. The system's convention hands the two kinds of registers out independently of each other.
///
/// # Safety
/// As for `call_here`; the arguments are the function's.
#[cfg(not(target_arch = "x86_64"))]
pub(crate) unsafe fn call_here_with(function: Integers, registers: &mut Registers, _: &[u64]) {
    macro_rules! with {
        ($result:ty) => {
            unsafe extern "C" fn(
                u64,
                u64,
                u64,
                u64,
                u64,
                u64,
                u64,
                u64,
                f64,
                f64,
                f64,
                f64,
                f64,
                f64,
                f64,
                f64,
            ) -> $result
        };
    }
    let [a, b, c, d, e, f, g, h] = registers.integers;
    let [i, j, k, l, m, n, o, p] = registers.floats.map(f64::from_bits);
    unsafe {
        if registers.returns_float {
            let function = std::mem::transmute::<Integers, with!(f64)>(function);
            let result = function(a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p);
            registers.floats[0] = result.to_bits();
        } else {
            let function = std::mem::transmute::<Integers, with!(u64)>(function);
            registers.integers[0] = function(a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p);
        }
    }
}

/// Notes where there is room: below everything that is in use. The caller's frame is not when it comes to that.
#[inline(always)]
fn note(call: &Call) {
    if let Some(yielder) = thread::yielder() {
        call.outside.set((thread::stack_pointer() & !15, yielder));
    }
}

#[cfg(target_arch = "x86_64")]
mod x86_64 {
    use super::{Integers, Registers};
    use crate::function::Call;
    use std::arch::{asm, naked_asm};

    /// Has the body call a function on the thread's own stack, if it is known where that has room. wasmer does not know of the
    /// guest meanwhile.
    #[inline(always)]
    pub unsafe fn at_once<R>(call: &Call, body: impl FnOnce(usize) -> R) -> Option<R> {
        let (stack @ 1.., yielder) = call.outside.get() else {
            return None;
        };
        unsafe {
            let way = yielder.replace(0);
            let result = body(stack);
            yielder.write(way);
            Some(result)
        }
    }

    /// Calls the function with these arguments on the stack given. It may return an integer or a float.
    #[inline(always)]
    pub unsafe fn call(integers: [usize; 6], stack: usize, function: Integers) -> (usize, f64) {
        let [a, b, c, d, e, f] = integers;
        let (integer, float);
        unsafe {
            asm!(
                "call {switch}",
                switch = sym switch,
                in("rdi") a,
                in("rsi") b,
                in("rdx") c,
                in("rcx") d,
                in("r8") e,
                in("r9") f,
                in("r10") stack,
                in("r11") function,
                lateout("rax") integer,
                lateout("xmm0") float,
                clobber_abi("C"),
            )
        }
        (integer, float)
    }

    /// Calls what r11 leads to on the stack that r10 leads to. Debuggers and unwinders find the way back by the frame.
    #[unsafe(naked)]
    unsafe extern "C" fn switch() {
        naked_asm!(
            ".cfi_startproc",
            "push rbp",
            ".cfi_def_cfa_offset 16",
            ".cfi_offset rbp, -16",
            "mov rbp, rsp",
            ".cfi_def_cfa_register rbp",
            "mov rsp, r10",
            "call r11",
            "mov rsp, rbp",
            "pop rbp",
            ".cfi_def_cfa rsp, 8",
            "ret",
            ".cfi_endproc",
        )
    }

    /// Calls the function with all registers and what is spilled, on the stack given, or on this one if that is 0.
    #[unsafe(naked)]
    pub unsafe extern "C" fn call_with(
        registers: *mut Registers,
        stack: usize,
        function: Integers,
        spilled: *const u64,
        len: usize,
    ) {
        naked_asm!(
            ".cfi_startproc",
            "push rbp",
            ".cfi_def_cfa_offset 16",
            ".cfi_offset rbp, -16",
            "mov rbp, rsp",
            ".cfi_def_cfa_register rbp",
            "push rbx",
            ".cfi_offset rbx, -24",
            "push rbx", // for alignment
            "mov rbx, rdi",
            "mov r11, rdx",
            "test rsi, rsi",
            "cmovz rsi, rsp",
            "lea rax, [r8 + 1]",
            "and rax, -2",
            "shl rax, 3",
            "sub rsi, rax",
            "mov rsp, rsi",
            "xor eax, eax",
            "2:",
            "cmp rax, r8",
            "jae 3f",
            "mov r10, [rcx + 8 * rax]",
            "mov [rsp + 8 * rax], r10",
            "inc rax",
            "jmp 2b",
            "3:",
            "mov rdi, [rbx]",
            "mov rsi, [rbx + 8]",
            "mov rdx, [rbx + 16]",
            "mov rcx, [rbx + 24]",
            "mov r8, [rbx + 32]",
            "mov r9, [rbx + 40]",
            "movsd xmm0, [rbx + 48]",
            "movsd xmm1, [rbx + 56]",
            "movsd xmm2, [rbx + 64]",
            "movsd xmm3, [rbx + 72]",
            "movsd xmm4, [rbx + 80]",
            "movsd xmm5, [rbx + 88]",
            "movsd xmm6, [rbx + 96]",
            "movsd xmm7, [rbx + 104]",
            "call r11",
            "mov [rbx], rax",
            "movsd [rbx + 48], xmm0",
            "lea rsp, [rbp - 8]",
            "pop rbx",
            "pop rbp",
            ".cfi_def_cfa rsp, 8",
            "ret",
            ".cfi_endproc",
        )
    }
}
