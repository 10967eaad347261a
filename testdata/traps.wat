;; One export for each trap. Operands come through $same, so that no compiler
;; decides at compile time what is to be seen at run time.
(module $traps
  (type $void (func))
  (type $unary (func (param i32) (result i32)))

  (memory 1)
  ;; 0: a void function, 1: null
  (table 2 funcref)
  (elem (i32.const 0) func $nothing)
  (global $zero (mut i32) (i32.const 0))

  (func $nothing (type $void))
  (func $same (type $unary) (i32.add (local.get 0) (global.get $zero)))

  (func $outer (export "unreachable") (call $middle))
  (func $middle (call $inner))
  (func $inner (unreachable))

  (func $out_of_bounds (export "out_of_bounds")
    (drop (i32.load (call $same (i32.const 0xfffffff0)))))
  (func $out_of_bounds_store (export "out_of_bounds_store")
    (i32.store (call $same (i32.const 0xfffd)) (i32.const 1)))
  (func $out_of_bounds_fill (export "out_of_bounds_fill")
    (memory.fill (call $same (i32.const 0xffff)) (i32.const 1) (i32.const 2)))

  (func $table_out_of_bounds (export "table_out_of_bounds")
    (call_indirect (type $void) (call $same (i32.const 2))))
  (func $null_indirect (export "null_indirect")
    (call_indirect (type $void) (call $same (i32.const 1))))
  (func $bad_signature (export "bad_signature")
    (drop (call_indirect (type $unary) (i32.const 7) (call $same (i32.const 0)))))

  (func $div_by_zero (export "div_by_zero")
    (drop (i32.div_s (i32.const 1) (call $same (i32.const 0)))))
  (func $int_overflow (export "int_overflow")
    (drop (i32.div_s (call $same (i32.const 0x80000000)) (i32.const -1))))
  (func $bad_conversion (export "bad_conversion")
    (drop (i32.trunc_f32_s
      (f32.reinterpret_i32 (call $same (i32.const 0x7fc00000))))))
  (func $conversion_overflow (export "conversion_overflow")
    (drop (i32.trunc_f64_s
      (f64.mul (f64.const 1e10) (f64.convert_i32_s (call $same (i32.const 1)))))))

  ;; Two different operations after the call: no compiler can make a loop of it.
  (func $depth (export "depth") (param $n i32) (result i32)
    (if (result i32) (i32.eqz (local.get $n))
      (then (i32.const 0))
      (else
        (i32.xor
          (i32.mul (call $depth (i32.sub (local.get $n) (i32.const 1))) (i32.const 3))
          (local.get $n)))))
  (func $stack_overflow (export "stack_overflow")
    (i32.store (i32.const 0) (call $depth (i32.const -1))))

  ;; To see that the instance still works after a trap.
  (func $ok (export "ok") (result i32) (i32.const 42)))
