// AssemblyScript: what its standard library asks of the host. All exports but add use an import of env.

export function add(a: i32, b: i32): i32 {
  return a + b;
}

// Calls env.abort, whose message is "42 is too much".
export function fail(): void {
  assert(false, "42 is too much");
}

// Calls env.trace with the message and so many of 1.5, 2.5, 3.5, 4.5 and 5.5.
export function traced(n: i32): void {
  trace("numbers", n, 1.5, 2.5, 3.5, 4.5, 5.5);
}

// The first call calls env.seed.
export function random(): f64 {
  return Math.random();
}
