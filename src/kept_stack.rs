//! The stack that a thread keeps for the guests of its calls. To make a coroutine for each, with what wasmer installs to catch
//! traps, costs more than most calls of guests do. So a thread's coroutine does not end with the call: it is left where it
//! waits for the next one, in the middle of `catch_traps`.
//!
//! Three stacks take part. The thread's own is where a call begins and ends. The guest's is where it runs, at its upper end a
//! function that runs one call after the other. In between there is the keeper, where `catch_traps` itself lives, which made
//! the guest's stack: the frames of it must stay when a call has returned. From the thread's own stack the way leads straight to
//! the guest's, and back, by setting the stack pointer. A trap ends `catch_traps`, as ever: the way back leads over the keeper,
//! which begins anew with the next call.
//!
//! Outside of calls the thread-locals of wasmer are as if there was no coroutine. Calls inside of others take wasmer's way.

use crate::function::Call;
use crate::{stack, thread};
use std::any::Any;
use std::cell::Cell;
use std::panic::{self, AssertUnwindSafe};
use std::ptr;
use wasmer_vm::{Trap, VMConfig, catch_traps};

/// A call: what is to be run on the guest's stack, and how it ended, if not by returning.
pub(crate) struct Target {
    pub call: *const Call,
    pub start: unsafe fn(&Call, *const ()),
    pub body: *const (),
    pub end: Cell<Option<End>>,
}

pub(crate) enum End {
    Trap(Trap),
    Panic(Box<dyn Any + Send>),
    /// There is no stack any more: it was to end.
    Nothing,
}

/// What a thread keeps.
struct Kept {
    /// The stack pointer to go on with: of the guest's stack, or of the keeper after a trap; 0 while a call runs, or if there is
    /// nothing.
    next: Cell<usize>,
    /// The stack pointer of the thread's own stack while a call runs.
    caller: Cell<usize>,
    /// The call that begins, or runs; null to end.
    target: Cell<*const Target>,
    /// What wasmer has in its thread-locals while a call runs.
    trap_handler: Cell<usize>,
    yielder: Cell<usize>,
    /// Bytes of the guest's stack.
    size: Cell<usize>,
    /// The lower end of the keeper.
    keeper: Cell<usize>,
}

thread_local! {
    static KEPT: Kept = const { Kept {
        next: Cell::new(0),
        caller: Cell::new(0),
        target: Cell::new(ptr::null()),
        trap_handler: Cell::new(0),
        yielder: Cell::new(0),
        size: Cell::new(0),
        keeper: Cell::new(0),
    } };
    /// Frees what the thread keeps when it ends. It is made after wasmer's thread-locals, and so goes before them.
    static OWNED: Owned = const { Owned };
}

struct Owned;

impl Drop for Owned {
    fn drop(&mut self) {
        if kept().next.get() != 0 {
            kept().finish();
        }
    }
}

/// What the keeper has room for: `catch_traps`, and what functions of the engine do outside of the guest's stack, backtraces of
/// exceptions above all. It is address space, of which a few pages are touched.
const KEEPER: usize = 512 << 10;
const GUARD: usize = 64 << 10;

/// Runs a call on the stack that the thread keeps. It reports whether there is one; else nothing was run.
#[inline(always)]
pub(crate) unsafe fn run(target: &Target) -> bool {
    if cfg!(not(target_arch = "x86_64")) {
        return false;
    }
    let kept = kept();
    let size = stack::size(unsafe { (*target.call).limit });
    if kept.next.get() == 0 || kept.size.get() < size {
        return unsafe { kept.begin(target, size) };
    }
    let Some((trap_handler, yielder)) = thread::slots() else {
        return false;
    };
    kept.target.set(target);
    unsafe {
        trap_handler.write_volatile(kept.trap_handler.get());
        yielder.write_volatile(kept.yielder.get());
        switch(&kept.caller, kept.next.replace(0));
        yielder.write_volatile(0);
        trap_handler.write_volatile((*target.call).trap_handler);
    }
    true
}

/// What the thread keeps. It has nothing to drop, so that it lives as long as the thread.
#[inline(always)]
fn kept<'a>() -> &'a Kept {
    unsafe { &*KEPT.with(ptr::from_ref) }
}

/// Gives up the stack of a call that will never return, if it is the thread's. wasmer has lost it.
///
/// # Safety
/// On the thread's own stack; nothing will run on the others any more.
pub(crate) unsafe fn abandon(call: &Call) {
    let kept = kept();
    let target = kept.target.get();
    if !target.is_null() && ptr::eq(unsafe { (*target).call }, call) {
        kept.target.set(ptr::null());
        kept.free_keeper();
    }
}

impl Kept {
    /// Runs the first call on a new stack.
    #[cold]
    unsafe fn begin(&self, target: &Target, size: usize) -> bool {
        let Some((trap_handler, yielder)) = thread::slots() else {
            return false;
        };
        if !self.target.get().is_null() {
            return false; // a call of this thread is under way
        }
        if self.next.get() != 0 && self.size.get() < size {
            self.finish();
        }
        if self.keeper.get() == 0 && !self.make_keeper() {
            return false;
        }
        self.size.set(size);
        self.target.set(target);
        unsafe {
            switch(&self.caller, self.next.replace(0));
            yielder.write_volatile(0);
            trap_handler.write_volatile((*target.call).trap_handler);
        }
        OWNED.with(|_| ());
        true
    }

    /// Has the coroutine end, whose stack wasmer takes back, and frees the keeper.
    #[cold]
    fn finish(&self) {
        self.target.set(ptr::null());
        unsafe { switch(&self.caller, self.next.replace(0)) };
        self.free_keeper();
    }

    fn make_keeper(&self) -> bool {
        let len = KEEPER + GUARD;
        unsafe {
            let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
            let low = libc::mmap(ptr::null_mut(), len, libc::PROT_NONE, flags, -1, 0);
            if low == libc::MAP_FAILED {
                return false;
            }
            let access = libc::PROT_READ | libc::PROT_WRITE;
            if libc::mprotect(low.add(GUARD), KEEPER, access) != 0 {
                libc::munmap(low, len);
                return false;
            }
            // What `switch` takes from a stack that it goes to.
            let top = low.add(len).cast::<usize>().sub(5);
            top.write(0);
            top.add(1).write(0);
            top.add(2).write(start_keeper as *const () as usize);
            self.keeper.set(low as usize);
            self.next.set(top as usize);
        }
        true
    }

    fn free_keeper(&self) {
        self.next.set(0);
        unsafe { libc::munmap(self.keeper.replace(0) as *mut _, KEEPER + GUARD) };
    }
}

/// Leaves the running stack, whose pointer is noted, for the other one, until somebody comes back. No call and no return: the
/// processor's prediction of returns stays right on both.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
unsafe fn switch(from: &Cell<usize>, to: usize) {
    unsafe {
        std::arch::asm!(
            "lea rcx, [rip + 2f]",
            "push rcx",
            "push rbp",
            "push rbx",
            "mov [rdi], rsp",
            "mov rsp, rsi",
            "pop rbx",
            "pop rbp",
            "pop rcx",
            "jmp rcx",
            "2:",
            in("rdi") from.as_ptr(),
            in("rsi") to,
            out("r12") _, out("r13") _, out("r14") _, out("r15") _,
            clobber_abi("C"),
        );
    }
}

#[cfg(not(target_arch = "x86_64"))]
unsafe fn switch(_: &Cell<usize>, _: usize) {
    unreachable!("there is nothing to switch to");
}

#[cfg(not(target_arch = "x86_64"))]
unsafe extern "C" fn start_keeper() -> ! {
    keep()
}

/// The keeper's first function. Nobody has called it: unwinders stop here.
#[cfg(target_arch = "x86_64")]
#[unsafe(naked)]
unsafe extern "C" fn start_keeper() -> ! {
    std::arch::naked_asm!(
        ".cfi_startproc",
        ".cfi_undefined rip",
        "call {keep}",
        "ud2",
        ".cfi_endproc",
        keep = sym keep,
    )
}

/// On the keeper: makes a stack for guests whenever one begins anew.
extern "C" fn keep() -> ! {
    let kept = kept();
    loop {
        let config = VMConfig {
            wasm_stack_size: Some(kept.size.get()),
        };
        let caught = panic::catch_unwind(AssertUnwindSafe(|| unsafe {
            catch_traps(stack::trap_handler(), &config, serve)
        }));
        let end = match caught {
            Ok(Ok(())) => End::Nothing,
            Ok(Err(trap)) => End::Trap(trap),
            Err(payload) => End::Panic(payload),
        };
        if let Some(target) = unsafe { kept.target.get().as_ref() } {
            target.end.set(Some(end));
        }
        kept.target.set(ptr::null());
        unsafe { switch(&kept.next, kept.caller.get()) };
    }
}

/// On the guest's stack: runs one call after the other.
fn serve() {
    let kept = kept();
    let Some((trap_handler, yielder)) = thread::slots() else {
        return;
    };
    unsafe {
        kept.trap_handler.set(trap_handler.read_volatile());
        kept.yielder.set(yielder.read_volatile());
    }
    while let Some(target) = unsafe { kept.target.get().as_ref() } {
        let call = unsafe { &*target.call };
        // Below what the thread's own stack holds there is room for what guests call.
        call.outside.set((kept.caller.get() & !15, yielder));
        unsafe { (target.start)(call, target.body) };
        kept.target.set(ptr::null());
        unsafe { switch(&kept.next, kept.caller.get()) };
    }
}
