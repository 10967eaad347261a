//! Host functions written in C, or in what speaks its conventions: called by compiled code without Go. `wasmer_native.h` tells
//! their authors what they are given.
//!
//! They run on the thread's own stack: a guest chooses how much is left of its stack, and is thrown away with what was on it.
//! Leaf functions, which say that they need little, run on the guest's stack where that has as much.

use crate::function::Call;
use crate::host::{self, Context};
use crate::outside::{self, FLOATS, INTEGERS, Registers, SPILLS};
use crate::stack;
use std::cell::UnsafeCell;
use std::ffi::{CStr, c_char, c_void};
use std::fmt;
use std::ptr;
use wasmer_types::{FunctionType, RawValue, Type};
use wasmer_vm::{VMFunctionBody, VMMemoryDefinition, on_host_stack, raise_user_trap};

/// What a native function is given first: `wasmer_native_call` of the header.
#[repr(C)]
pub(crate) struct Given {
    pub data: *mut c_void,
    /// Its base and length are the first two words.
    pub memory: *const VMMemoryDefinition,
    pub error: *const c_char,
}

pub(crate) type Pointer = unsafe extern "C" fn(usize, usize, usize, usize, usize, usize) -> usize;

pub(crate) struct Foreign {
    given: UnsafeCell<Given>,
    function: Pointer,
    /// Of each parameter: its place, and the mask of the upper half of its slot.
    params: Box<[(Place, u32)]>,
    masks: [u32; FEW],
    /// Room for the arguments that registers have none for.
    spilled: UnsafeCell<Box<[u64]>>,
    /// Several results, as the function writes them, and where it expects their address.
    results: UnsafeCell<Box<[u64]>>,
    results_place: Option<Place>,
    returns: bool,
    returns_float: bool,
    leaf: bool,
}

/// Where the function expects an argument.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Place {
    Integer(usize),
    Float(usize),
    Spilled(usize),
}

/// So many integers are passed without looking at their places.
const FEW: usize = 5;

impl Foreign {
    pub fn new(pointer: usize, data: usize, leaf: bool, ty: &FunctionType) -> Self {
        let (mut places, spilled) = places(ty);
        let several = places.split_off(ty.params().len());
        let wide = |ty: &Type| matches!(ty, Type::I64 | Type::F64);
        let mask = |ty: &Type| if wide(ty) { u32::MAX } else { 0 };
        let mut masks = [0; FEW];
        for (to, ty) in masks.iter_mut().zip(ty.params()) {
            *to = mask(ty);
        }
        Self {
            given: UnsafeCell::new(Given {
                data: data as *mut c_void,
                memory: ptr::null(),
                error: ptr::null(),
            }),
            function: unsafe { std::mem::transmute::<usize, Pointer>(pointer) },
            params: places
                .into_iter()
                .zip(ty.params().iter().map(mask))
                .collect(),
            masks,
            spilled: UnsafeCell::new(vec![0; spilled].into()),
            results: UnsafeCell::new(vec![0; ty.results().len()].into()),
            results_place: several.first().copied(),
            returns: ty.results().len() == 1,
            returns_float: matches!(ty.results(), [Type::F32 | Type::F64]),
            leaf,
        }
    }

    /// How compiled code enters it.
    pub fn entry(&self, ty: &FunctionType) -> *const VMFunctionBody {
        match self.leaf {
            true => entry::<true>(ty),
            false => entry::<false>(ty),
        }
    }

    /// Gives the function the memory of the instance that imports it.
    pub fn bind(&self, memory: *const VMMemoryDefinition) {
        unsafe { (*self.given.get()).memory = memory };
    }

    #[inline(always)]
    fn failed(&self) -> bool {
        !unsafe { (*self.given.get()).error }.is_null()
    }

    /// Ends the guest with what the function says. On the guest's stack, with no destructor pending.
    #[cold]
    fn fail(&self) -> ! {
        let given = self.given.get();
        let error = on_host_stack(|| {
            let text = unsafe { CStr::from_ptr((*given).error) };
            let message = text.to_string_lossy().into_owned();
            unsafe { (*given).error = ptr::null() };
            Box::new(NativeFailure(message))
        });
        unsafe { raise_user_trap(error) }
    }
}

/// Where a function of the type expects its arguments, the address of what it is given first, and that of its results, if there
/// are several, last; and how many words of the stack that takes. Integers and floats take registers as they come, each of its
/// own kind.
fn places(ty: &FunctionType) -> (Vec<Place>, usize) {
    let (mut integers, mut floats, mut spilled) = (1, 0, 0);
    let mut next = |float: bool| match float {
        false if integers < INTEGERS => {
            integers += 1;
            Place::Integer(integers - 1)
        }
        true if floats < FLOATS => {
            floats += 1;
            Place::Float(floats - 1)
        }
        _ => {
            spilled += 1;
            Place::Spilled(spilled - 1)
        }
    };
    let float = |ty: &Type| matches!(ty, Type::F32 | Type::F64);
    let mut places: Vec<_> = ty.params().iter().map(|ty| next(float(ty))).collect();
    if ty.results().len() > 1 {
        places.push(next(false));
    }
    (places, spilled)
}

/// Why a function of the type cannot be native, if it cannot.
pub(crate) fn refused(ty: &FunctionType) -> Option<&'static str> {
    let number = |ty: &Type| matches!(ty, Type::I32 | Type::I64 | Type::F32 | Type::F64);
    if !ty.params().iter().chain(ty.results()).all(number) {
        return Some("native functions take and give numbers only");
    }
    if !SPILLS && places(ty).1 > 0 {
        return Some(
            "native functions take seven integers and eight floats at most on this platform",
        );
    }
    None
}

/// A native function says that the call is to end.
#[derive(Debug)]
pub(crate) struct NativeFailure(pub String);

impl fmt::Display for NativeFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for NativeFailure {}

/// What a function returns.
const NOTHING: u8 = 0;
const INTEGER: u8 = 1;
const FLOAT: u8 = 2;

fn entry<const LEAF: bool>(ty: &FunctionType) -> *const VMFunctionBody {
    let integer = |ty: &Type| matches!(ty, Type::I32 | Type::I64);
    if ty.params().len() > FEW || !ty.params().iter().all(integer) {
        return enter_any as *const VMFunctionBody;
    }
    match ty.results() {
        [] => few::<NOTHING, LEAF>(ty.params().len()),
        [Type::I32 | Type::I64] => few::<INTEGER, LEAF>(ty.params().len()),
        [_] => few::<FLOAT, LEAF>(ty.params().len()),
        _ => enter_any as *const VMFunctionBody,
    }
}

fn few<const RESULT: u8, const LEAF: bool>(params: usize) -> *const VMFunctionBody {
    let enter: unsafe extern "C-unwind" fn(&Context, *mut RawValue) = match params {
        0 => enter_few::<0, RESULT, LEAF>,
        1 => enter_few::<1, RESULT, LEAF>,
        2 => enter_few::<2, RESULT, LEAF>,
        3 => enter_few::<3, RESULT, LEAF>,
        4 => enter_few::<4, RESULT, LEAF>,
        _ => enter_few::<FEW, RESULT, LEAF>,
    };
    enter as *const VMFunctionBody
}

/// A value's bits. Compiled code has written one or both halves just now: the processor forwards each by itself, but not one
/// half as a part of both.
#[inline(always)]
pub(crate) unsafe fn bits(value: *const RawValue, mask: u32) -> u64 {
    let halves = value.cast::<u32>();
    let (low, high) = unsafe { (halves.read_volatile(), halves.add(1).read_volatile()) };
    u64::from(low) | u64::from(high & mask) << 32
}

/// Called by compiled code, on the guest's stack: nothing is allocated here, and no destructor is pending.
unsafe extern "C-unwind" fn enter_few<const PARAMS: usize, const RESULT: u8, const LEAF: bool>(
    context: &Context,
    values: *mut RawValue,
) {
    let foreign = context.ctx.foreign();
    let call = host::enter(&context.ctx);
    let mut integers = [foreign.given.get() as usize, 0, 0, 0, 0, 0];
    for index in 0..PARAMS {
        integers[index + 1] = unsafe { bits(values.add(index), foreign.masks[index]) } as usize;
    }
    let inside = LEAF && stack::has_room_for_leaf(call);
    unsafe {
        match RESULT {
            FLOAT if inside => {
                (*values).u64 = outside::call_here_for_float(foreign.function, integers);
            }
            INTEGER if inside => {
                (*values).u64 = outside::call_here(foreign.function, integers) as u64;
            }
            _ if inside => _ = outside::call_here(foreign.function, integers),
            FLOAT => {
                let result = outside::call_for_float(call, foreign.function, integers);
                (*values).u64 = result;
            }
            INTEGER => (*values).u64 = outside::call(call, foreign.function, integers) as u64,
            _ => _ = outside::call(call, foreign.function, integers),
        }
    }
    leave(call, foreign);
}

/// The same for all types.
unsafe extern "C-unwind" fn enter_any(context: &Context, values: *mut RawValue) {
    let foreign = context.ctx.foreign();
    let call = host::enter(&context.ctx);
    let (spilled, results) = unsafe { (&mut *foreign.spilled.get(), &mut *foreign.results.get()) };
    let mut registers = Registers {
        returns_float: foreign.returns_float,
        ..Registers::default()
    };
    registers.integers[0] = foreign.given.get() as u64;
    let mut put = |place, bits| match place {
        Place::Integer(register) => registers.integers[register] = bits,
        Place::Float(register) => registers.floats[register] = bits,
        Place::Spilled(at) => spilled[at] = bits,
    };
    for (index, (place, mask)) in foreign.params.iter().enumerate() {
        put(*place, unsafe { bits(values.add(index), *mask) });
    }
    if let Some(place) = foreign.results_place {
        put(place, results.as_mut_ptr() as u64);
    }
    let inside = foreign.leaf && stack::has_room_for_leaf(call);
    unsafe {
        match inside {
            true => outside::call_here_with(foreign.function, &mut registers, spilled),
            false => outside::call_with(call, foreign.function, &mut registers, spilled),
        }
    }
    match foreign.results_place {
        Some(_) => {
            for (index, bits) in results.iter().enumerate() {
                unsafe { (*values.add(index)).u64 = *bits };
            }
        }
        None if foreign.returns_float => unsafe { (*values).u64 = registers.floats[0] },
        None if foreign.returns => unsafe { (*values).u64 = registers.integers[0] },
        None => {}
    }
    leave(call, foreign);
}

#[inline(always)]
fn leave(call: &Call, foreign: &Foreign) {
    if foreign.failed() {
        foreign.fail();
    }
    host::leave(call);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_have_the_places_of_the_systems_convention() {
        use Place::*;
        let ty = FunctionType::new([Type::I32, Type::F64, Type::I64, Type::F32], []);
        let expected = vec![Integer(1), Float(0), Integer(2), Float(1)];
        assert_eq!(places(&ty), (expected, 0));

        let ty = FunctionType::new([Type::I32; 8], [Type::I32, Type::I32]);
        let (found, spilled) = places(&ty);
        assert_eq!(spilled, 10 - INTEGERS);
        assert_eq!(found.len(), 9);
        assert_eq!(
            found[8],
            Spilled(spilled - 1),
            "the results' address is last"
        );

        let ty = FunctionType::new([Type::F32; 9], [Type::F32]);
        let (found, spilled) = places(&ty);
        assert_eq!((found[7], found[8], spilled), (Float(7), Spilled(0), 1));
    }

    #[test]
    fn functions_of_more_than_numbers_are_refused() {
        assert_eq!(refused(&FunctionType::new([Type::I64], [Type::F32])), None);
        for ty in [Type::V128, Type::FuncRef, Type::ExternRef] {
            assert!(refused(&FunctionType::new([ty], [])).is_some());
            assert!(refused(&FunctionType::new([], [ty])).is_some());
        }
    }
}
