(module $loop
  (memory (export "memory") 1)
  ;; The store is why no compiler may replace the loop by its result; the host
  ;; can also watch the counter at address 0 while the guest runs.
  (func $spin (export "spin") (param $n i64) (result i64)
    (local $i i64)
    (block $done
      (loop $again
        (br_if $done (i64.ge_u (local.get $i) (local.get $n)))
        (local.set $i (i64.add (local.get $i) (i64.const 1)))
        (i64.store (i32.const 0) (local.get $i))
        (br $again)))
    (local.get $i))
  ;; Nothing but the branch: the hardest loop to stop.
  (func $forever (export "forever") (loop $again (br $again))))
