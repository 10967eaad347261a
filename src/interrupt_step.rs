//! A test that interrupts a guest at each single instruction: of prologues and epilogues, of the trampolines on the way in
//! and to host functions, of loops and calls. The processor's trap flag finds them all.

use crate::arch;
use crate::code;
use crate::compilation::Shared;
use crate::engine::{wasmergo_compiler, wasmergo_compiler_available, wasmergo_engine};
use crate::function::{Call, WASMERGO_INTERRUPTED, WASMERGO_OK, wasmergo_function_call};
use crate::host::{wasmergo_host_set_callback, wasmergo_import};
use crate::instance::wasmergo_instance;
use crate::interrupt;
use crate::module::Compiled;
use crate::store::{wasmergo_store, wasmergo_store_delete, wasmergo_store_new};
use crate::{signal, stack};
use std::arch::asm;
use std::ptr;
use std::sync::atomic::{AtomicU64, Ordering};

/// How many instructions of guests there were, and which of them is to be interrupted.
static SEEN: AtomicU64 = AtomicU64::new(0);
static TARGET: AtomicU64 = AtomicU64::new(0);

const TRAP_FLAG: i64 = 0x100;

unsafe extern "C" fn on_step(_: libc::c_int, _: *mut libc::siginfo_t, context: *mut libc::c_void) {
    let Some(call) = Call::current() else {
        return;
    };
    let guest = code::contains(arch::program_counter(context))
        && call.stack_range().contains(&arch::stack_pointer(context));
    if !guest || SEEN.fetch_add(1, Ordering::Relaxed) + 1 != TARGET.load(Ordering::Relaxed) {
        return;
    }
    unsafe {
        let registers = &mut (*context.cast::<libc::ucontext_t>()).uc_mcontext.gregs;
        registers[libc::REG_EFL as usize] &= !TRAP_FLAG;
        call.store().interruption.request_for_test(call.number);
        assert!(interrupt::on_signal(context));
    }
}

/// From the next instruction on each one is a step.
#[inline(always)]
fn step(on: bool) {
    unsafe {
        match on {
            true => asm!("pushfq", "or qword ptr [rsp], 0x100", "popfq"),
            false => asm!("pushfq", "and qword ptr [rsp], -0x101", "popfq"),
        }
    }
}

unsafe extern "C" fn host(_: u64, _: u32, _: *mut u64) -> u32 {
    0
}

const MODULE: &str = r#"(module
    (import "" "host" (func $host (param i64 f64) (result i64)))
    (memory 1 4)
    (table funcref (elem $sum))
    (global $g (mut i32) (i32.const 0))
    (func $sum (param i32 i64 f64) (result f64)
        (global.set $g (i32.add (global.get $g) (local.get 0)))
        (i32.store (i32.const 64) (global.get $g))
        (f64.add (f64.convert_i64_s (local.get 1)) (local.get 2)))
    (func $deep (param $n i32) (result i32)
        (if (result i32) (local.get $n)
            (then (i32.add (i32.const 1) (call $deep (i32.sub (local.get $n) (i32.const 1)))))
            (else (i32.load8_u (i32.const 64)))))
    (func (export "run") (param $n i32) (result i64) (local $x f64)
        (loop $again
            (local.set $x (call_indirect (param i32 i64 f64) (result f64)
                (i32.const 1) (i64.const 2) (local.get $x) (i32.const 0)))
            (memory.fill (i32.const 0) (i32.const 1) (i32.const 40))
            (drop (memory.grow (i32.const 0)))
            (br_if $again (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))
        (drop (call $deep (i32.const 3)))
        (call $host (i64.const 7) (local.get $x))))"#;

#[test]
fn a_guest_can_be_interrupted_at_every_instruction() {
    signal_for_steps();
    wasmer_vm::init_traps();
    stack::prepare();
    signal::prepare();
    wasmergo_host_set_callback(host);
    for compiler in [wasmergo_compiler::Cranelift, wasmergo_compiler::Singlepass] {
        if wasmergo_compiler_available(compiler as u32) {
            interrupt_everywhere(compiler);
        }
    }
}

fn signal_for_steps() {
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = on_step as *const () as usize;
        action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK;
        assert_eq!(libc::sigaction(libc::SIGTRAP, &action, ptr::null_mut()), 0);
    }
}

fn interrupt_everywhere(compiler: wasmergo_compiler) {
    let engine = wasmergo_engine::for_test(compiler);
    let binary = wasmer::wat2wasm(MODULE.as_bytes()).unwrap();
    let module = Compiled::new(&binary, &engine, None, Shared::none()).unwrap();
    let (mut store, mut scratch, mut meter) = (ptr::null_mut(), ptr::null_mut(), ptr::null_mut());
    let failed = unsafe { wasmergo_store_new(0, 0, &mut store, &mut scratch, &mut meter) };
    assert!(failed.data.is_null());
    let owned: Box<wasmergo_store> = unsafe { Box::from_raw(store) };
    let import = wasmergo_import::go(0, 0);
    let instance = unsafe { &*wasmergo_instance::create(&owned, module, &[import]).unwrap() };
    assert_eq!(
        unsafe { crate::instance::wasmergo_instance_start(instance) },
        WASMERGO_OK
    );
    let function = instance.export(0).unwrap() as usize;
    let values = unsafe { scratch.add(8) };
    let call = |number: u64, stepped: bool| unsafe {
        values.write_bytes(0, 8);
        values.write(2);
        scratch.add(3).write(number);
        if stepped {
            step(true);
        }
        wasmergo_function_call(function, values as usize);
        step(false);
        (scratch.read() as u32, values.read())
    };
    let expected = call(1, false);
    assert_eq!(expected.0, WASMERGO_OK);

    let mut number = 2;
    for target in 1.. {
        SEEN.store(0, Ordering::Relaxed);
        TARGET.store(target, Ordering::Relaxed);
        let (status, _) = call(number, true);
        number += 1;
        if status == WASMERGO_OK {
            assert!(
                target > 150,
                "{compiler}: the guest has {target} instructions"
            );
            assert_eq!(SEEN.load(Ordering::Relaxed), target - 1);
            break;
        }
        assert_eq!(
            status, WASMERGO_INTERRUPTED,
            "{compiler}: at instruction {target}"
        );
        assert_eq!(
            call(number, false),
            expected,
            "{compiler}: after instruction {target}"
        );
        number += 1;
    }
    wasmergo_store_delete(Some(owned));
}
