//! Snapshots: the state of an instance in a form that instances of the same module can take over, in any store and any process.
//! Functions are named by their index in the module; what has no such name cannot be captured.

use crate::bytes::{borrow, wasmergo_bytes};
use crate::digest::DIGEST;
use crate::error::{Error, wasmergo_error_kind};
use crate::function::{WASMERGO_FAILED, WASMERGO_OK};
use crate::guard::{fallible, guard, infallible};
use crate::image::Image;
use crate::instance::wasmergo_instance;
use crate::meter::CELLS;
use crate::module::{Compiled, wasmergo_module};
use crate::names::{Names, can_refer};
use crate::state::State;
use crate::types;
use std::sync::Arc;
use wasmer_types::entity::EntityRef;
use wasmer_types::{
    DataIndex, ElemIndex, FunctionIndex, GlobalIndex, ModuleInfo, Mutability, Pages, Type,
};

/// A value of a global.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Value {
    /// The bits of a number, or of a null reference.
    Bits(u128),
    /// The function of this index.
    Function(u32),
}

#[derive(Debug)]
pub(crate) struct Snapshot {
    /// The digest of the module.
    pub module: [u8; DIGEST],
    /// The constants that the module imports: an instance that has others is no continuation.
    pub constants: Vec<(Type, Value)>,
    pub globals: Vec<(Type, Value)>,
    /// Element types, and functions by their index; none is null.
    pub tables: Vec<(Type, Vec<Option<u32>>)>,
    pub dropped: Vec<u32>,
    pub dropped_data: Vec<u32>,
    pub memories: Vec<(Arc<Image>, Pages)>,
}

/// A snapshot; immutable, any thread may use it.
#[allow(non_camel_case_types)]
pub struct wasmergo_snapshot {
    snapshot: Arc<Snapshot>,
}

/// What cannot be captured, a reason a line.
#[derive(Default)]
pub(crate) struct Reasons {
    lines: Vec<String>,
    more: usize,
}

impl Reasons {
    const MOST: usize = 20;

    pub fn add(&mut self, reason: impl FnOnce() -> String) {
        match self.lines.len() < Self::MOST {
            true => self.lines.push(reason()),
            false => self.more += 1,
        }
    }

    pub fn result(mut self) -> Result<(), Error> {
        if self.lines.is_empty() {
            return Ok(());
        }
        if self.more > 0 {
            self.lines.push(format!("and {} more", self.more));
        }
        let message = self.lines.join("\n");
        Err(Error::new(wasmergo_error_kind::State, message))
    }
}

pub(crate) fn unusable(message: impl Into<String>) -> Error {
    Error::new(wasmergo_error_kind::Snapshot, message)
}

/// How many globals the module imports in its binary.
fn imported_globals(module: &Compiled) -> usize {
    let cells = if module.metered { CELLS } else { 0 };
    module.info().num_imported_globals - cells
}

/// The types of the globals that the module defines, in its binary.
fn own_globals(module: &Compiled) -> impl Iterator<Item = Type> {
    let info = module.info();
    let added = module.notes.results.iter();
    let added: usize = added.map(|import| import.results as usize).sum();
    let own = info.num_imported_globals..info.globals.len() - added;
    own.map(|index| info.globals[GlobalIndex::new(index)].ty)
}

impl Snapshot {
    fn of(instance: &wasmergo_instance, module: [u8; DIGEST]) -> Result<Self, Error> {
        let mut reasons = Reasons::default();
        shared(&instance.module, &mut reasons);
        let mut names = Names::new(instance);
        let mut value = |ty: Type, bits: u128, what: String| match ty {
            Type::ExternRef | Type::ExceptionRef if bits != 0 => {
                reasons.add(|| format!("{what} holds a reference of type {}", types::name(ty)));
                Value::Bits(0)
            }
            Type::FuncRef if bits != 0 => match names.find(bits as usize) {
                Some(function) => Value::Function(function),
                None => {
                    reasons.add(|| {
                        format!("{what} refers to a function that is no function or import of the module")
                    });
                    Value::Bits(0)
                }
            },
            _ => Value::Bits(bits),
        };
        let constants = constants(instance).enumerate().map(|(index, (ty, bits))| {
            let value = value(ty, bits, format!("the imported global {index}"));
            (ty, value)
        });
        let constants = constants.collect();
        let state = State::of(instance, false);
        let imported = imported_globals(&instance.module);
        let globals = own_globals(&instance.module).zip(&state.globals);
        let globals = globals.enumerate().map(|(index, (ty, bits))| {
            let value = value(ty, *bits, format!("the global {}", imported + index));
            (ty, value)
        });
        let globals = globals.collect();
        let info = instance.module.info();
        let tables = info.tables.values().skip(info.num_imported_tables);
        let tables = tables.zip(&state.tables).enumerate();
        let tables = tables.map(|(index, (ty, elements))| {
            let index = info.num_imported_tables + index;
            let elements = elements.iter().enumerate().map(|(at, reference)| {
                let reference = *reference as u128;
                match reference {
                    0 => None,
                    _ => match value(
                        ty.ty,
                        reference,
                        format!("element {at} of the table {index}"),
                    ) {
                        Value::Function(function) => Some(function),
                        Value::Bits(_) => None,
                    },
                }
            });
            (ty.ty, elements.collect())
        });
        let tables = tables.collect();
        reasons.result()?;
        let sorted = |mut list: Vec<u32>| {
            list.sort_unstable();
            list
        };
        Ok(Self {
            module,
            constants,
            globals,
            tables,
            dropped: sorted(state.dropped.iter().map(|index| index.as_u32()).collect()),
            dropped_data: sorted(state.dropped_data.iter().map(|at| at.as_u32()).collect()),
            memories: state.memories,
        })
    }

    /// Whether it can be one of an instance of the module. What it refers to exists then, and has the right type.
    pub fn check(&self, module: &Compiled) -> Result<(), Error> {
        let info = module.info();
        let same = |found: &[(Type, Value)], wanted: &mut dyn Iterator<Item = Type>| {
            let functions = found.iter().all(|(ty, value)| match value {
                Value::Function(function) => *ty == Type::FuncRef && can_refer(module, *function),
                Value::Bits(bits) => !is_reference(*ty) || *bits == 0,
            });
            functions && found.iter().map(|(ty, _)| *ty).eq(wanted)
        };
        let mut imported = constant_indices(module).map(|index| info.globals[index].ty);
        if !same(&self.constants, &mut imported) || !same(&self.globals, &mut own_globals(module)) {
            return Err(unusable("its globals are not those of the module"));
        }
        let tables = info.tables.values().skip(info.num_imported_tables);
        let wanted = tables.clone().map(|ty| ty.ty);
        if !self.tables.iter().map(|(ty, _)| *ty).eq(wanted) {
            return Err(unusable("its tables are not those of the module"));
        }
        for (index, ((ty, elements), wanted)) in self.tables.iter().zip(tables).enumerate() {
            let index = (info.num_imported_tables + index) as u32;
            let mut fixed = module.notes.tables.iter();
            let fixed = fixed.find(|table| table.index == index);
            let most = fixed.map(|table| table.size).or(wanted.maximum);
            let fits = elements.len() >= wanted.minimum as usize
                && most.is_none_or(|most| elements.len() <= most as usize);
            let mut functions = elements.iter().flatten();
            if !fits || !functions.all(|index| *ty == Type::FuncRef && can_refer(module, *index)) {
                return Err(unusable("a table holds what it cannot hold"));
            }
        }
        let memories = info.memories.values().skip(info.num_imported_memories);
        let fits = self.memories.iter().zip(memories.clone());
        let mut fits = fits.map(|((image, pages), ty)| {
            *pages >= ty.minimum
                && *pages <= ty.maximum.unwrap_or(Pages::max_value())
                && image.end() <= pages.bytes().0
        });
        if self.memories.len() != memories.count() || !fits.all(|fits| fits) {
            return Err(unusable("its memories are not those of the module"));
        }
        Ok(())
    }

    /// The same for an instance of the module.
    fn state_in(&self, instance: &wasmergo_instance) -> State {
        let reference = |function: u32| {
            let function = FunctionIndex::from_u32(function);
            instance.reference(function)
        };
        State {
            memories: self.memories.clone(),
            globals: self
                .globals
                .iter()
                .map(|(_, value)| match value {
                    Value::Bits(bits) => *bits,
                    Value::Function(function) => reference(*function) as u128,
                })
                .collect(),
            tables: self
                .tables
                .iter()
                .map(|(_, elements)| {
                    let elements = elements.iter();
                    elements
                        .map(|function| function.map_or(0, reference))
                        .collect()
                })
                .collect(),
            dropped: self
                .dropped
                .iter()
                .map(|at| ElemIndex::from_u32(*at))
                .collect(),
            dropped_data: self
                .dropped_data
                .iter()
                .map(|at| DataIndex::from_u32(*at))
                .collect(),
        }
    }

    /// Refuses an instance whose imported constants differ.
    fn check_constants(&self, instance: &wasmergo_instance) -> Result<(), Error> {
        let mut names = Names::new(instance);
        for (index, ((ty, bits), (_, wanted))) in
            constants(instance).zip(&self.constants).enumerate()
        {
            let same = match (ty, bits, wanted) {
                (Type::FuncRef, bits, Value::Function(function)) if bits != 0 => {
                    names.find(bits as usize) == Some(*function)
                }
                (_, bits, Value::Bits(wanted)) => bits == *wanted,
                _ => false,
            };
            if !same {
                return Err(unusable(format!(
                    "the imported constant {index} has another value than that of the snapshot"
                )));
            }
        }
        Ok(())
    }
}

fn is_reference(ty: Type) -> bool {
    matches!(ty, Type::FuncRef | Type::ExternRef | Type::ExceptionRef)
}

/// What the module shares with others by importing it.
pub(crate) fn shared(module: &Compiled, reasons: &mut Reasons) {
    let info: &ModuleInfo = module.info();
    let own_first = crate::first_memory::imported(info);
    let memories = own_first.map_or(info.num_imported_memories, |count| count as usize);
    for index in 0..memories {
        reasons.add(|| format!("the memory {index} is imported"));
    }
    for index in 0..info.num_imported_tables {
        reasons.add(|| format!("the table {index} is imported"));
    }
    for index in 0..imported_globals(module) {
        if info.globals[GlobalIndex::new(index)].mutability == Mutability::Var {
            reasons.add(|| format!("the mutable global {index} is imported"));
        }
    }
}

fn constant_indices(module: &Compiled) -> impl Iterator<Item = GlobalIndex> {
    let constant =
        |index: &GlobalIndex| module.info().globals[*index].mutability == Mutability::Const;
    (0..imported_globals(module))
        .map(GlobalIndex::new)
        .filter(constant)
}

/// The values of the imported constants.
fn constants(instance: &wasmergo_instance) -> impl Iterator<Item = (Type, u128)> {
    constant_indices(&instance.module).filter_map(|index| {
        let ty = instance.module.info().globals[index].ty;
        let value = instance.global(index)?;
        Some((ty, crate::state::masked(ty, value)))
    })
}

/// Captures the state of an instance; owned by the caller. `module` is the digest of its module.
///
/// # Safety
/// `module` holds a digest, `out` is valid; the caller holds the store, and none of its code runs.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wasmergo_instance_snapshot(
    instance: &wasmergo_instance,
    module: *const u8,
    out: *mut *mut wasmergo_snapshot,
) -> wasmergo_bytes {
    fallible(|| {
        let digest = unsafe { *module.cast::<[u8; DIGEST]>() };
        let snapshot = Arc::new(Snapshot::of(instance, digest)?);
        unsafe { out.write(Box::into_raw(Box::new(wasmergo_snapshot { snapshot }))) };
        Ok(())
    })
}

/// Takes the place of `wasmergo_instance_start`, and returns as that does: the instance gets the state of the snapshot, to which
/// resets put it back.
///
/// # Safety
/// Called once, before any other use; the caller holds the store.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wasmergo_instance_restore(
    instance: &wasmergo_instance,
    snapshot: &wasmergo_snapshot,
) -> u32 {
    let restored = guard(|| {
        let snapshot = &snapshot.snapshot;
        snapshot.check(&instance.module)?;
        snapshot.check_constants(instance)?;
        let state = snapshot.state_in(instance);
        unsafe { state.apply(instance)? };
        instance.kept.replace(Some(Box::new(state)));
        Ok(())
    });
    match restored {
        Ok(()) => WASMERGO_OK,
        Err(error) => {
            instance.store().error.replace(Some(error));
            WASMERGO_FAILED
        }
    }
}

/// The snapshot in bytes, for `wasmergo_snapshot_decode`.
///
/// # Safety
/// `out` is valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wasmergo_snapshot_encode(
    snapshot: &wasmergo_snapshot,
    out: *mut wasmergo_bytes,
) -> wasmergo_bytes {
    fallible(|| {
        unsafe { out.write(snapshot.snapshot.encode()?.into()) };
        Ok(())
    })
}

/// Makes a snapshot of the module from bytes, whoever made them; owned by the caller.
///
/// # Safety
/// `bytes` holds `len` bytes, `out` is valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wasmergo_snapshot_decode(
    module: &wasmergo_module,
    bytes: *const u8,
    len: usize,
    out: *mut *mut wasmergo_snapshot,
) -> wasmergo_bytes {
    fallible(|| {
        let snapshot = Snapshot::decode(unsafe { borrow(bytes, len) })?;
        if snapshot.module != module.header.module {
            return Err(unusable("it is of another module"));
        }
        snapshot.check(&module.compiled)?;
        let snapshot = Arc::new(snapshot);
        unsafe { out.write(Box::into_raw(Box::new(wasmergo_snapshot { snapshot }))) };
        Ok(())
    })
}

/// The same snapshot again; owned by the caller.
#[unsafe(no_mangle)]
pub extern "C" fn wasmergo_snapshot_share(snapshot: &wasmergo_snapshot) -> Box<wasmergo_snapshot> {
    Box::new(wasmergo_snapshot {
        snapshot: snapshot.snapshot.clone(),
    })
}

/// Frees a snapshot; instances that were made from it go on.
#[unsafe(no_mangle)]
pub extern "C" fn wasmergo_snapshot_delete(snapshot: Option<Box<wasmergo_snapshot>>) {
    infallible(|| drop(snapshot));
}
