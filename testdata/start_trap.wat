(module $start_trap
  (func $boom (unreachable))
  (func $never (export "never") (result i32) (i32.const 42))
  (start $boom))
