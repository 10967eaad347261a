//! A method of a trait and a generic function with a closure that is inlined. Division by zero panics.

#![no_std]

#[panic_handler]
fn panic(_: &core::panic::PanicInfo) -> ! {
    core::arch::wasm32::unreachable()
}

trait Price {
    fn price(&self, count: i32) -> i32;
}

struct Apples(i32);

impl Price for Apples {
    #[inline(never)]
    fn price(&self, count: i32) -> i32 {
        each(count, |share| self.0 / share)
    }
}

#[inline(always)]
fn each<F: Fn(i32) -> i32>(count: i32, f: F) -> i32 {
    f(count) + 1
}

#[inline(never)]
fn total<P: Price>(goods: &P, count: i32) -> i32 {
    goods.price(count) * 2
}

#[unsafe(no_mangle)]
pub extern "C" fn run(count: i32) -> i32 {
    total(&Apples(100), count) - 1
}
