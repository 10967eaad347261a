;; Tells which digit an image shows, by a frozen graph that the host has written into the memory; -1 if that fails.
(module
  (import "wasmedge_tensorflow" "wasmedge_tensorflow_create_session" (func $create_session (param $model i32) (param $len i32) (result i64)))
  (import "wasmedge_tensorflow" "wasmedge_tensorflow_delete_session" (func $delete_session (param $session i64)))
  (import "wasmedge_tensorflow" "wasmedge_tensorflow_run_session" (func $run_session (param $session i64) (result i32)))
  (import "wasmedge_tensorflow" "wasmedge_tensorflow_get_output_tensor" (func $get_output_tensor (param $session i64) (param $name i32) (param $len i32) (param $index i32) (result i64)))
  (import "wasmedge_tensorflow" "wasmedge_tensorflow_get_tensor_len" (func $get_tensor_len (param $tensor i64) (result i32)))
  (import "wasmedge_tensorflow" "wasmedge_tensorflow_get_tensor_data" (func $get_tensor_data (param $tensor i64) (param $buffer i32)))
  (import "wasmedge_tensorflow" "wasmedge_tensorflow_append_input" (func $append_input (param $session i64) (param $name i32) (param $name_len i32) (param $index i32) (param $dims i32) (param $dim_count i32) (param $type i32) (param $data i32) (param $len i32)))
  (import "wasmedge_tensorflow" "wasmedge_tensorflow_append_output" (func $append_output (param $session i64) (param $name i32) (param $len i32) (param $index i32)))
  (import "wasmedge_tensorflow" "wasmedge_tensorflow_clear_input" (func $clear_input (param $session i64)))
  (import "wasmedge_tensorflow" "wasmedge_tensorflow_clear_output" (func $clear_output (param $session i64)))

  (memory (export "memory") 4)
  (global $session (mut i64) (i64.const 0))
  (global $scores i32 (i32.const 64)) ;; 10 f32
  (global $pixels (export "pixels") i32 (i32.const 1024)) ;; 100 f32
  (global $model (export "model") i32 (i32.const 65536))

  (data (i32.const 128) "\01\00\00\00\00\00\00\00\64\00\00\00\00\00\00\00") ;; the dimensions: 1, 100
  (data (i32.const 160) "pixels")
  (data (i32.const 176) "probabilities")

  ;; Makes a session of the model of so many bytes that lies at $model; false if that fails.
  (func (export "load") (param $len i32) (result i32)
    (global.set $session (call $create_session (global.get $model) (local.get $len)))
    (i64.ne (global.get $session) (i64.const 0)))

  (func (export "unload") (call $delete_session (global.get $session)))

  ;; The digit that the pixels show.
  (func (export "classify") (result i32)
    (local $tensor i64) (local $i i32) (local $digit i32)
    (call $clear_input (global.get $session))
    (call $clear_output (global.get $session))
    (call $append_input (global.get $session) (i32.const 160) (i32.const 6) (i32.const 0) (i32.const 128) (i32.const 2) (i32.const 1) (global.get $pixels) (i32.const 400))
    (call $append_output (global.get $session) (i32.const 176) (i32.const 13) (i32.const 0))
    (if (call $run_session (global.get $session)) (then (return (i32.const -1))))
    (local.set $tensor (call $get_output_tensor (global.get $session) (i32.const 176) (i32.const 13) (i32.const 0)))
    (if (i32.ne (call $get_tensor_len (local.get $tensor)) (i32.const 40)) (then (return (i32.const -1))))
    (call $get_tensor_data (local.get $tensor) (global.get $scores))
    (loop $next
      (if (f32.gt
            (f32.load (i32.add (global.get $scores) (i32.mul (local.get $i) (i32.const 4))))
            (f32.load (i32.add (global.get $scores) (i32.mul (local.get $digit) (i32.const 4)))))
        (then (local.set $digit (local.get $i))))
      (local.set $i (i32.add (local.get $i) (i32.const 1)))
      (br_if $next (i32.lt_u (local.get $i) (i32.const 10))))
    (local.get $digit)))
