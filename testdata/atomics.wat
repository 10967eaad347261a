;; Apart from traps.wat, because an engine without threads refuses all of it.
(module $atomics
  (memory (export "memory") 1 1 shared)
  (func $unaligned_atomic (export "unaligned_atomic")
    (drop (i32.atomic.load (i32.const 1))))
  (func $add (export "add") (param $ptr i32) (param $n i32) (result i32)
    (i32.atomic.rmw.add (local.get $ptr) (local.get $n)))
  (func $load (export "load") (param $ptr i32) (result i32)
    (i32.atomic.load (local.get $ptr))))
