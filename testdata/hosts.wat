;; One import for each number type, handed through unchanged.
(module $hosts
  (import "env" "i32" (func $i32 (param i32) (result i32)))
  (import "env" "i64" (func $i64 (param i64) (result i64)))
  (import "env" "f32" (func $f32 (param f32) (result f32)))
  (import "env" "f64" (func $f64 (param f64) (result f64)))
  (import "env" "mixed" (func $mixed (param i32 i64 f32 f64) (result f64)))
  (import "env" "nothing" (func $nothing))

  (func $call_i32 (export "call_i32") (param i32) (result i32) (call $i32 (local.get 0)))
  (func $call_i64 (export "call_i64") (param i64) (result i64) (call $i64 (local.get 0)))
  (func $call_f32 (export "call_f32") (param f32) (result f32) (call $f32 (local.get 0)))
  (func $call_f64 (export "call_f64") (param f64) (result f64) (call $f64 (local.get 0)))
  (func $call_mixed (export "call_mixed") (param i32 i64 f32 f64) (result f64)
    (call $mixed (local.get 0) (local.get 1) (local.get 2) (local.get 3)))
  (func $call_nothing (export "call_nothing") (call $nothing)))
