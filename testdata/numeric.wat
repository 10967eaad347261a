;; Every number type in and out. The digit sums show any mix-up of argument order.
(module $numeric
  (func $id_i32 (export "id_i32") (param i32) (result i32) (local.get 0))
  (func $id_i64 (export "id_i64") (param i64) (result i64) (local.get 0))
  (func $id_f32 (export "id_f32") (param f32) (result f32) (local.get 0))
  (func $id_f64 (export "id_f64") (param f64) (result f64) (local.get 0))

  ;; NaN payloads cannot be compared as floats.
  (func $bits_f32 (export "bits_f32") (param f32) (result i32)
    (i32.reinterpret_f32 (local.get 0)))
  (func $bits_f64 (export "bits_f64") (param f64) (result i64)
    (i64.reinterpret_f64 (local.get 0)))

  (func $void (export "void"))
  (func $take (export "take") (param i32))
  (func $give (export "give") (result i32) (i32.const 42))

  (func $swap (export "swap") (param i32 i64) (result i64 i32)
    (local.get 1) (local.get 0))

  (func $many (export "many") (param i32 i64 f32 f64) (result f64 f32 i64 i32)
    (local.get 3) (local.get 2) (local.get 1) (local.get 0))

  (func $eight (export "eight") (result i32 i64 f32 f64 i32 i64 f32 f64)
    (i32.const 1) (i64.const 2) (f32.const 3.5) (f64.const 4.5)
    (i32.const -5) (i64.const -6) (f32.const -7.5) (f64.const -8.5))

  (func $digit (param $n i64) (param $d i64) (result i64)
    (i64.add (i64.mul (local.get $n) (i64.const 10)) (local.get $d)))

  (func $nine (export "nine") (param i32 i32 i32 i32 i32 i32 i32 i32 i32) (result i64)
    (i64.extend_i32_s (local.get 0))
    (i64.extend_i32_s (local.get 1)) (call $digit)
    (i64.extend_i32_s (local.get 2)) (call $digit)
    (i64.extend_i32_s (local.get 3)) (call $digit)
    (i64.extend_i32_s (local.get 4)) (call $digit)
    (i64.extend_i32_s (local.get 5)) (call $digit)
    (i64.extend_i32_s (local.get 6)) (call $digit)
    (i64.extend_i32_s (local.get 7)) (call $digit)
    (i64.extend_i32_s (local.get 8)) (call $digit))

  ;; More of each kind than the registers of either common calling convention hold.
  (func $mixed (export "mixed")
    (param i32 i64 f32 f64 i32 i64 f32 f64 i32 i64 f32 f64 i32 i64 f32 f64) (result i64)
    (i64.extend_i32_s (local.get 0))
    (local.get 1) (call $digit)
    (i64.trunc_f32_s (local.get 2)) (call $digit)
    (i64.trunc_f64_s (local.get 3)) (call $digit)
    (i64.extend_i32_s (local.get 4)) (call $digit)
    (local.get 5) (call $digit)
    (i64.trunc_f32_s (local.get 6)) (call $digit)
    (i64.trunc_f64_s (local.get 7)) (call $digit)
    (i64.extend_i32_s (local.get 8)) (call $digit)
    (local.get 9) (call $digit)
    (i64.trunc_f32_s (local.get 10)) (call $digit)
    (i64.trunc_f64_s (local.get 11)) (call $digit)
    (i64.extend_i32_s (local.get 12)) (call $digit)
    (local.get 13) (call $digit)
    (i64.trunc_f32_s (local.get 14)) (call $digit)
    (i64.trunc_f64_s (local.get 15)) (call $digit)))
