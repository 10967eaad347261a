//! The signal that a thread is sent when its guest is to stop: one of our own, whose former meaning stays for all who send
//! it otherwise.

use crate::{interrupt, sample};
use std::cell::Cell;
use std::mem::MaybeUninit;
use std::ptr;
use std::sync::atomic::{AtomicI32, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

thread_local! {
    /// The system's name for the thread; 0 until it is asked for.
    static THREAD: Cell<usize> = const { Cell::new(0) };
    /// A signal is being handed to the handler before ours.
    static FORWARDING: Cell<bool> = const { Cell::new(false) };
}

/// The calling thread, ready to be sent the signal.
#[inline(always)]
pub(crate) fn thread() -> usize {
    match THREAD.get() {
        0 => new_thread(),
        known => known,
    }
}

/// A thread may have inherited a mask that blocks the signal.
#[cold]
fn new_thread() -> usize {
    unsafe {
        let mut set = MaybeUninit::uninit();
        libc::sigemptyset(set.as_mut_ptr());
        libc::sigaddset(set.as_mut_ptr(), SIGNAL.load(Ordering::Relaxed));
        libc::pthread_sigmask(libc::SIG_UNBLOCK, set.as_ptr(), ptr::null_mut());
    }
    let this = system::thread();
    THREAD.set(this);
    this
}

/// The signal in use.
static SIGNAL: AtomicI32 = AtomicI32::new(0);

/// wasmer's handler for SIGSEGV.
static TRAP_HANDLER: AtomicUsize = AtomicUsize::new(0);

/// Sent in the place of the signal while the system's queue has no room for that: it needs none. Go's runtime takes it for
/// its own purposes at any time, and does not count how often it comes.
const SPARE: libc::c_int = libc::SIGURG;

/// What a signal did before it was ours: a handler and its flags, or SIG_DFL, SIG_IGN.
struct Previous {
    handler: AtomicUsize,
    flags: AtomicI32,
}

impl Previous {
    const fn new() -> Self {
        Self {
            handler: AtomicUsize::new(libc::SIG_IGN),
            flags: AtomicI32::new(0),
        }
    }

    fn of(signal: libc::c_int) -> &'static Self {
        static SIGNAL: Previous = Previous::new();
        static OF_SPARE: Previous = Previous::new();
        match signal {
            SPARE => &OF_SPARE,
            _ => &SIGNAL,
        }
    }

    fn set(&self, action: &libc::sigaction) {
        self.flags.store(action.sa_flags, Ordering::Relaxed);
        self.handler.store(action.sa_sigaction, Ordering::Release);
    }
}

/// Held by who looks at or changes what the signal does.
static INSTALL: Mutex<()> = Mutex::new(());

/// Takes a signal, right after wasmer has taken its own. Called before any guest runs; nothing more is done later.
pub(crate) fn prepare() {
    let _lock = INSTALL.lock().unwrap_or_else(PoisonError::into_inner);
    if SIGNAL.load(Ordering::Relaxed) != 0 {
        return;
    }
    let trap = action(libc::SIGSEGV);
    TRAP_HANDLER.store(trap.sa_sigaction, Ordering::Relaxed);
    let signal = system::signal();
    SIGNAL.store(signal, Ordering::Relaxed);
    install(signal);
}

/// What a signal does now.
fn action(signal: libc::c_int) -> libc::sigaction {
    unsafe {
        let mut action = MaybeUninit::zeroed();
        libc::sigaction(signal, ptr::null(), action.as_mut_ptr());
        action.assume_init()
    }
}

/// Makes the signal ours if it is not, or no longer: a Go program can change what any signal does.
fn install(signal: libc::c_int) {
    let ours = on_signal as *const () as usize;
    let now = action(signal);
    if now.sa_sigaction == ours {
        return;
    }
    Previous::of(signal).set(&now); // for a signal that comes at once
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = ours;
        action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK | libc::SA_RESTART;
        // No other handler runs on top of this one, but for faults.
        libc::sigfillset(&mut action.sa_mask);
        for fault in [
            libc::SIGSEGV,
            libc::SIGBUS,
            libc::SIGILL,
            libc::SIGFPE,
            libc::SIGTRAP,
        ] {
            libc::sigdelset(&mut action.sa_mask, fault);
        }
        let mut before: libc::sigaction = std::mem::zeroed();
        libc::sigaction(signal, &action, &mut before);
        if before.sa_sigaction != ours {
            Previous::of(signal).set(&before);
        }
    }
}

/// Sends the signal to a thread of this process; false if there is no such thread any more.
pub(crate) fn send(thread: usize) -> bool {
    let _lock = INSTALL.lock().unwrap_or_else(PoisonError::into_inner);
    let signal = SIGNAL.load(Ordering::Relaxed);
    install(signal);
    match system::send(thread, signal) {
        Sent::Yes => true,
        Sent::NoThread => false,
        Sent::NoRoom => {
            install(SPARE);
            system::send_plain(thread, SPARE)
        }
    }
}

/// What came of sending.
#[allow(dead_code)] // not all systems know all
enum Sent {
    Yes,
    NoThread,
    NoRoom,
}

/// The number of the signal, for a timer of ours, which is to carry `timer_mark`. It may be taken away again at any time.
pub(crate) fn for_timer() -> libc::c_int {
    let _lock = INSTALL.lock().unwrap_or_else(PoisonError::into_inner);
    let signal = SIGNAL.load(Ordering::Relaxed);
    install(signal);
    signal
}

#[cfg(target_os = "linux")]
pub(crate) use system::timer_mark;

unsafe extern "C" fn on_signal(
    signal: libc::c_int,
    info: *mut libc::siginfo_t,
    context: *mut libc::c_void,
) {
    let errno = system::errno();
    unsafe {
        let error = *errno;
        if signal == SPARE {
            if !interrupt::on_signal(context) {
                on_foreign(signal, info, context);
            }
        } else if system::is_ours(info) {
            interrupt::on_signal(context);
        } else if let Some(times) = system::timer(info) {
            sample::on_timer(context, times);
        } else {
            on_foreign(signal, info, context);
        }
        *errno = error;
    }
}

/// Has wasmer's handler take the signal for a fault of the guest at this address. For signal handlers.
pub(crate) unsafe fn fault(address: usize, context: *mut libc::c_void) {
    let handler = TRAP_HANDLER.load(Ordering::Relaxed);
    unsafe {
        let mut info = MaybeUninit::<libc::siginfo_t>::zeroed();
        system::set_fault(info.as_mut_ptr(), address);
        std::mem::transmute::<usize, Handler>(handler)(libc::SIGSEGV, info.as_mut_ptr(), context);
    }
}

type Handler = unsafe extern "C" fn(libc::c_int, *mut libc::siginfo_t, *mut libc::c_void);

/// Somebody else's signal of the same number. The handler before this one may take it for the one before that.
unsafe fn on_foreign(signal: libc::c_int, info: *mut libc::siginfo_t, context: *mut libc::c_void) {
    if FORWARDING.replace(true) {
        return;
    }
    let previous = Previous::of(signal).handler.load(Ordering::Acquire);
    let flags = Previous::of(signal).flags.load(Ordering::Relaxed);
    unsafe {
        match previous {
            libc::SIG_IGN => {}
            libc::SIG_DFL if signal == SPARE => {} // it is to do nothing
            libc::SIG_DFL => {
                // It ends the process, once this handler has returned.
                libc::signal(signal, libc::SIG_DFL);
                libc::raise(signal);
            }
            handler if flags & libc::SA_SIGINFO != 0 => {
                std::mem::transmute::<usize, Handler>(handler)(signal, info, context)
            }
            handler => std::mem::transmute::<usize, extern "C" fn(libc::c_int)>(handler)(signal),
        }
    }
    FORWARDING.set(false);
}

#[cfg(target_os = "linux")]
mod system {
    use super::Sent;
    use std::ptr;
    use std::sync::atomic::{AtomicBool, Ordering};

    /// Tells our signals from others of the same number.
    static MARK: u8 = 0;

    /// Ours have no mark here, because the system has no such call: all that this process sends count as ours.
    static UNMARKED: AtomicBool = AtomicBool::new(false);

    /// The last of the real-time signals that nobody handles, which programs that use some take last. The Go runtime
    /// handles all signals, with one handler: it counts as nobody.
    pub fn signal() -> libc::c_int {
        let (first, last) = (libc::SIGRTMIN() + 1, libc::SIGRTMAX() - 1);
        let runtime = super::action(last).sa_sigaction;
        (first..=last)
            .rev()
            .find(|signal| {
                let handler = super::action(*signal).sa_sigaction;
                handler == runtime || handler == libc::SIG_DFL || handler == libc::SIG_IGN
            })
            .unwrap_or(last)
    }

    pub fn thread() -> usize {
        unsafe { libc::syscall(libc::SYS_gettid) as usize }
    }

    pub fn errno() -> *mut libc::c_int {
        unsafe { libc::__errno_location() }
    }

    /// What the system copies to the handler, as far as it is used here.
    #[repr(C)]
    struct Info {
        signal: libc::c_int,
        errno: libc::c_int,
        code: libc::c_int,
        _pad: libc::c_int,
        process: libc::pid_t,
        user: libc::uid_t,
        value: *const u8,
        rest: [usize; 12],
    }

    const _: () = assert!(size_of::<Info>() == size_of::<libc::siginfo_t>());

    pub fn send_plain(thread: usize, signal: libc::c_int) -> bool {
        unsafe { libc::syscall(libc::SYS_tgkill, libc::getpid(), thread, signal) == 0 }
    }

    pub fn send(thread: usize, signal: libc::c_int) -> Sent {
        let process = unsafe { libc::getpid() };
        let info = Info {
            signal,
            errno: 0,
            code: libc::SI_QUEUE,
            _pad: 0,
            process,
            user: unsafe { libc::getuid() },
            value: ptr::from_ref(&MARK),
            rest: [0; 12],
        };
        let sent =
            unsafe { libc::syscall(libc::SYS_rt_tgsigqueueinfo, process, thread, signal, &info) };
        if sent == 0 {
            return Sent::Yes;
        }
        match unsafe { *errno() } {
            libc::EAGAIN => Sent::NoRoom,
            // A sandbox may not know the call.
            libc::ENOSYS | libc::EPERM => {
                UNMARKED.store(true, Ordering::Relaxed);
                match send_plain(thread, signal) {
                    true => Sent::Yes,
                    false => Sent::NoRoom,
                }
            }
            _ => Sent::NoThread,
        }
    }

    pub unsafe fn is_ours(info: *const libc::siginfo_t) -> bool {
        let info = unsafe { &*info.cast::<Info>() };
        match info.code {
            libc::SI_QUEUE => ptr::eq(info.value, &MARK),
            libc::SI_TKILL => {
                UNMARKED.load(Ordering::Relaxed) && info.process == unsafe { libc::getpid() }
            }
            _ => false,
        }
    }

    /// Tells the signals of our timers from others.
    static TIMER_MARK: u8 = 0;

    pub fn timer_mark() -> *mut libc::c_void {
        ptr::from_ref(&TIMER_MARK).cast_mut().cast()
    }

    /// How often a timer of ours has expired, if the signal is of one.
    pub unsafe fn timer(info: *const libc::siginfo_t) -> Option<u32> {
        let info = unsafe { &*info.cast::<Info>() };
        // In the place of the user there is how often it expired besides.
        let ours = info.code == libc::SI_TIMER && ptr::eq(info.value, timer_mark().cast());
        ours.then(|| info.user.saturating_add(1))
    }

    pub unsafe fn set_fault(info: *mut libc::siginfo_t, address: usize) {
        #[repr(C)]
        struct Fault {
            signal: libc::c_int,
            errno: libc::c_int,
            code: libc::c_int,
            _pad: libc::c_int,
            address: usize,
        }
        const SEGV_MAPERR: libc::c_int = 1;
        let fault = Fault {
            signal: libc::SIGSEGV,
            errno: 0,
            code: SEGV_MAPERR,
            _pad: 0,
            address,
        };
        unsafe { info.cast::<Fault>().write(fault) };
    }
}

#[cfg(target_vendor = "apple")]
mod system {
    /// There are no real-time signals, and a signal carries no value. This one does nothing to who does not ask for it.
    pub fn signal() -> libc::c_int {
        libc::SIGIO
    }

    pub fn thread() -> usize {
        unsafe { libc::pthread_self() as usize }
    }

    pub fn errno() -> *mut libc::c_int {
        unsafe { libc::__error() }
    }

    pub fn send_plain(thread: usize, signal: libc::c_int) -> bool {
        unsafe { libc::pthread_kill(thread as libc::pthread_t, signal) == 0 }
    }

    pub fn send(thread: usize, signal: libc::c_int) -> super::Sent {
        match send_plain(thread, signal) {
            true => super::Sent::Yes,
            false => super::Sent::NoThread,
        }
    }

    pub unsafe fn is_ours(info: *const libc::siginfo_t) -> bool {
        unsafe { (*info).si_pid == libc::getpid() }
    }

    pub unsafe fn timer(_: *const libc::siginfo_t) -> Option<u32> {
        None
    }

    pub unsafe fn set_fault(info: *mut libc::siginfo_t, address: usize) {
        unsafe {
            (*info).si_signo = libc::SIGSEGV;
            (*info).si_addr = address as *mut libc::c_void;
        }
    }
}

/// The number of the signal that stops guests; 0 before the first engine is made.
#[unsafe(no_mangle)]
pub extern "C" fn wasmergo_signal_number() -> i32 {
    SIGNAL.load(Ordering::Relaxed)
}
