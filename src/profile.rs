//! A profile of all guests of the process: how much of their CPU time they spent in which functions. One at a time.
//!
//! Each thread gets a timer on its CPU time; threads come and go, so they are looked for again and again. What the samples
//! (`sample.rs`) mean is found out before the code they lie in is freed.

use crate::bytes::{Encoder, wasmergo_bytes};
use crate::code::{self, CodeId};
use crate::error::{Error, wasmergo_error_kind};
use crate::guard::{fallible, infallible};
use crate::module::Compiled;
use crate::sample::{self, Sample};
use crate::timer::{self, Timer};
use crate::trace::{Builder, Frame};
use crate::{arch, signal};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// Stacks and places that are told apart; samples of further ones are lost.
const MAX: usize = 200_000;

static PROFILE: Mutex<Option<Profile>> = Mutex::new(None);

struct Profile {
    /// Nanoseconds of CPU time between two samples of a thread.
    period: u64,
    timers: HashMap<i32, Timer>,
    /// Its frames are the places where samples lie.
    places: Builder,
    frames: HashMap<Frame, u32>,
    /// The places of addresses.
    known: HashMap<(CodeId, usize), Option<u32>>,
    /// How often each stack was seen: places, innermost first.
    stacks: HashMap<Box<[u32]>, u64>,
    lost: u64,
}

impl Profile {
    /// Takes the samples that wait. Of a module that is about to be freed nobody but `dying` knows.
    fn take(&mut self, dying: Option<&Compiled>) {
        sample::take(|sample| {
            let stack = self.stack(sample, dying);
            if stack.is_empty() {
                return;
            }
            if self.stacks.len() < MAX || self.stacks.contains_key(&stack[..]) {
                *self.stacks.entry(stack.into()).or_default() += u64::from(sample.times);
            } else {
                self.lost += u64::from(sample.times);
            }
        });
    }

    fn stack(&mut self, sample: &Sample, dying: Option<&Compiled>) -> Vec<u32> {
        let mut stack = Vec::new();
        if sample.pc != 0 {
            stack.extend(self.place(sample.pc, dying));
            let caller = self.caller_without_frame(sample, dying);
            // A return address is that of the instruction after the call.
            stack.extend(caller.and_then(|pc| self.place(pc - 1, dying)));
        }
        for pc in sample.returns() {
            stack.extend(self.place(pc - 1, dying));
        }
        stack
    }

    /// Where the innermost function returns to, if it has no frame that tells.
    fn caller_without_frame(&mut self, sample: &Sample, dying: Option<&Compiled>) -> Option<usize> {
        let module = self.places.module(sample.pc, dying)?;
        let start = module.function_start(sample.pc)?;
        let which = unsafe { arch::without_frame(sample.pc, start) }?;
        let caller = sample.unframed[which];
        code::contains(caller).then_some(caller)
    }

    fn place(&mut self, pc: usize, dying: Option<&Compiled>) -> Option<u32> {
        let id = code::find(pc)?;
        if let Some(known) = self.known.get(&(id, pc)) {
            return *known;
        }
        if self.known.len() >= MAX {
            return None;
        }
        let frame = self.places.frame(pc, dying);
        let place = frame.map(|frame| {
            let new = || self.places.add(frame) as u32;
            *self.frames.entry(frame).or_insert_with(new)
        });
        self.known.insert((id, pc), place);
        place
    }

    /// Gives a timer to each thread that has none.
    fn look_for_threads(&mut self) {
        let threads = timer::threads();
        self.timers.retain(|thread, _| threads.contains(thread));
        for thread in threads {
            if !self.timers.contains_key(&thread)
                && let Some(timer) = Timer::new(thread, self.period)
            {
                self.timers.insert(thread, timer);
            }
        }
    }
}

/// Before the code of a module is freed: finds out what samples in it mean.
pub(crate) fn forget(module: &Compiled) {
    if sample::is_on() {
        locked(|profile| profile.take(Some(module)));
    }
}

/// Runs something on the profile, if there is one. The modules that it used are let go afterwards, since one may be freed
/// then, which asks for the profile.
fn locked(with: impl FnOnce(&mut Profile)) {
    let mut profile = PROFILE.lock().unwrap_or_else(PoisonError::into_inner);
    let used = profile.as_mut().map(|profile| {
        with(profile);
        profile.places.let_go()
    });
    drop(profile);
    drop(used);
}

/// Begins a profile with a sample each `period` nanoseconds of a thread's CPU time.
#[unsafe(no_mangle)]
pub extern "C" fn wasmergo_profile_start(period: u64) -> wasmergo_bytes {
    fallible(|| {
        let mut current = PROFILE.lock().unwrap_or_else(PoisonError::into_inner);
        if current.is_some() {
            let message = "a profile is being taken";
            return Err(Error::new(wasmergo_error_kind::Resource, message));
        }
        signal::prepare();
        sample::take(|_| {}); // what came late for the last one
        sample::switch(true);
        let mut profile = Profile {
            period,
            timers: HashMap::new(),
            places: Builder::default(),
            frames: HashMap::new(),
            known: HashMap::new(),
            stacks: HashMap::new(),
            lost: 0,
        };
        profile.look_for_threads();
        if profile.timers.is_empty() {
            sample::switch(false);
            let message = "the system gives no timers on the CPU time of threads";
            return Err(Error::new(wasmergo_error_kind::Unsupported, message));
        }
        *current = Some(profile);
        Ok(())
    })
}

/// To be called every few milliseconds while a profile is taken.
#[unsafe(no_mangle)]
pub extern "C" fn wasmergo_profile_turn() {
    infallible(|| {
        locked(|profile| {
            signal::for_timer();
            profile.take(None);
            profile.look_for_threads();
        });
    });
}

/// Ends the profile: a trace whose frames are the places of samples (see `Trace::encode`), `{ samples u64, { frame u32 }*
/// }*`, counts before lists, lost samples u64. Null if none is being taken.
#[unsafe(no_mangle)]
pub extern "C" fn wasmergo_profile_stop() -> wasmergo_bytes {
    infallible(|| {
        locked(|profile| {
            profile.timers.clear();
            sample::switch(false);
            profile.take(None);
        });
        let ended = PROFILE
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        let Some(profile) = ended else {
            return wasmergo_bytes::NONE;
        };
        let mut out = Encoder::default();
        Arc::new(profile.places.finish()).encode(&mut out);
        out.u32(profile.stacks.len() as u32);
        for (stack, samples) in &profile.stacks {
            out.u64(*samples);
            out.u32(stack.len() as u32);
            stack.iter().for_each(|place| out.u32(*place));
        }
        out.u64(profile.lost + sample::lost());
        out.finish()
    })
}
