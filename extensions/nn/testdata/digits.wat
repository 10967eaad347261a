;; Tells which digit an image shows, by a model that the host has written into the memory or knows by name.
;; Results below zero are errnos, negated.
(module
  (import "wasi_ephemeral_nn" "load" (func $load (param $builders i32) (param $count i32) (param $encoding i32) (param $target i32) (param $graph i32) (result i32)))
  (import "wasi_ephemeral_nn" "load_by_name" (func $load_by_name (param $name i32) (param $len i32) (param $graph i32) (result i32)))
  (import "wasi_ephemeral_nn" "init_execution_context" (func $init (param $graph i32) (param $context i32) (result i32)))
  (import "wasi_ephemeral_nn" "set_input" (func $set_input (param $context i32) (param $index i32) (param $tensor i32) (result i32)))
  (import "wasi_ephemeral_nn" "compute" (func $compute (param $context i32) (result i32)))
  (import "wasi_ephemeral_nn" "get_output" (func $get_output (param $context i32) (param $index i32) (param $buffer i32) (param $size i32) (param $written i32) (result i32)))

  (memory (export "memory") 4)
  (global $graph i32 (i32.const 0))
  (global $context i32 (i32.const 4))
  (global $builder i32 (i32.const 8)) ;; pointer and length of a model
  (global $written i32 (i32.const 16))
  (global $scores i32 (i32.const 64)) ;; 10 f32
  (global (export "pixels") i32 (i32.const 1024)) ;; 100 f32
  (global $model (export "model") i32 (i32.const 65536))

  (data (i32.const 128) "\01\00\00\00\64\00\00\00") ;; the dimensions: 1, 100
  ;; The tensor: dimensions (where, how many), type f32, data (where, how many bytes).
  (data (i32.const 144) "\80\00\00\00\02\00\00\00" "\01\00\00\00" "\00\04\00\00\90\01\00\00")

  ;; Loads the model of so many bytes that lies at $model.
  (func (export "load") (param $len i32) (param $encoding i32) (result i32)
    (local $errno i32)
    (i32.store (global.get $builder) (global.get $model))
    (i32.store offset=4 (global.get $builder) (local.get $len))
    (local.set $errno (call $load (global.get $builder) (i32.const 1) (local.get $encoding) (i32.const 0) (global.get $graph)))
    (if (local.get $errno) (then (return (i32.sub (i32.const 0) (local.get $errno)))))
    (i32.sub (i32.const 0) (call $init (i32.load (global.get $graph)) (global.get $context))))

  ;; Loads the model whose name of so many bytes lies at $model.
  (func (export "load_by_name") (param $len i32) (result i32)
    (local $errno i32)
    (local.set $errno (call $load_by_name (global.get $model) (local.get $len) (global.get $graph)))
    (if (local.get $errno) (then (return (i32.sub (i32.const 0) (local.get $errno)))))
    (i32.sub (i32.const 0) (call $init (i32.load (global.get $graph)) (global.get $context))))

  ;; The digit that the pixels show.
  (func (export "classify") (result i32)
    (local $errno i32) (local $i i32) (local $digit i32)
    (local.set $errno (call $set_input (i32.load (global.get $context)) (i32.const 0) (i32.const 144)))
    (if (local.get $errno) (then (return (i32.sub (i32.const 0) (local.get $errno)))))
    (local.set $errno (call $compute (i32.load (global.get $context))))
    (if (local.get $errno) (then (return (i32.sub (i32.const 0) (local.get $errno)))))
    (local.set $errno (call $get_output (i32.load (global.get $context)) (i32.const 0) (global.get $scores) (i32.const 40) (global.get $written)))
    (if (local.get $errno) (then (return (i32.sub (i32.const 0) (local.get $errno)))))
    (if (i32.ne (i32.load (global.get $written)) (i32.const 40)) (then (unreachable)))
    (loop $next
      (if (f32.gt
            (f32.load (i32.add (global.get $scores) (i32.mul (local.get $i) (i32.const 4))))
            (f32.load (i32.add (global.get $scores) (i32.mul (local.get $digit) (i32.const 4)))))
        (then (local.set $digit (local.get $i))))
      (local.set $i (i32.add (local.get $i) (i32.const 1)))
      (br_if $next (i32.lt_u (local.get $i) (i32.const 10))))
    (local.get $digit)))
