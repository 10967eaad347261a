//! Metering: code that counts what it executes, and stops where that costs too much. `charge.rs` says where it counts,
//! `meter.rs` what in.
//!
//! The counters are cells of the store. Compiled code finds them as imported globals that the module does not have: they come
//! behind those that it imports, so what it defines itself moves up. No name leads to them.

use crate::charge::{Insertion, Plan, Source};
use crate::meter::CELLS;
use crate::opcode::Opcode;
use crate::run::Run;
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::sync::{Arc, Weak};
use wasmer::wasmparser::{BlockType, Operator};
use wasmer_compiler::{FunctionMiddleware, MiddlewareReaderState, ModuleMiddleware};
use wasmer_types::entity::EntityRef;
use wasmer_types::{
    ExportIndex, GlobalIndex, GlobalType, LocalFunctionIndex, MiddlewareError, ModuleInfo,
    Mutability, Type,
};

/// Whether and how the code of an engine counts. All zero is: not at all.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
#[allow(non_camel_case_types)]
pub struct wasmergo_metering {
    /// A `wasmergo_metering_mode`.
    pub mode: u32,
    /// Opcodes without a cost of their own cost 1 rather than nothing.
    pub uniform: bool,
    /// Instructions are counted besides their cost.
    pub instructions: bool,
}

/// Where code counts.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(non_camel_case_types)]
pub enum wasmergo_metering_mode {
    Off = 0,
    /// At the beginning of blocks.
    Block = 1,
    /// Before each instruction that can trap or leave as well.
    Exact = 2,
}

/// What an opcode costs, and beyond that each unit of its length if it has one.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
#[allow(non_camel_case_types)]
pub struct wasmergo_cost {
    pub opcode: u32,
    pub has_cost: bool,
    pub cost: u64,
    pub each: u64,
}

/// The same, to look up.
#[derive(Debug)]
pub(crate) struct Metering {
    pub exact: bool,
    instructions: bool,
    /// By the opcode's byte; those behind a prefix are in the map.
    plain: [u64; 256],
    prefixed: HashMap<Opcode, u64>,
    other: u64,
    lengths: HashMap<Opcode, u64>,
    digest: String,
}

impl Metering {
    /// None if there is none.
    pub fn new(config: &wasmergo_metering, costs: &[wasmergo_cost]) -> Option<Arc<Self>> {
        const OFF: u32 = wasmergo_metering_mode::Off as u32;
        const BLOCK: u32 = wasmergo_metering_mode::Block as u32;
        const EXACT: u32 = wasmergo_metering_mode::Exact as u32;
        let exact = match config.mode {
            BLOCK => false,
            EXACT => true,
            OFF | 3.. => return None,
        };
        let other = u64::from(config.uniform);
        let mut metering = Self {
            exact,
            instructions: config.instructions,
            plain: [other; 256],
            prefixed: HashMap::new(),
            other,
            lengths: HashMap::new(),
            digest: String::new(),
        };
        for cost in costs {
            if cost.has_cost {
                match metering.plain.get_mut(cost.opcode as usize) {
                    Some(plain) => *plain = cost.cost,
                    None => drop(metering.prefixed.insert(cost.opcode, cost.cost)),
                }
            }
            if cost.each != 0 {
                metering.lengths.insert(cost.opcode, cost.each);
            }
        }
        metering.digest = metering.sum();
        Some(Arc::new(metering))
    }

    /// What it counts for an instruction.
    pub fn run(&self, opcode: Opcode) -> Run {
        Run {
            instructions: self.instructions.into(),
            cost: self.cost(opcode),
        }
    }

    fn cost(&self, opcode: Opcode) -> u64 {
        match self.plain.get(opcode as usize) {
            Some(cost) => *cost,
            None => *self.prefixed.get(&opcode).unwrap_or(&self.other),
        }
    }

    pub fn length_cost(&self, opcode: Opcode) -> u64 {
        match crate::opcode::has_length(opcode) {
            true => *self.lengths.get(&opcode).unwrap_or(&0),
            false => 0,
        }
    }

    /// The part of an engine's fingerprint.
    pub fn fingerprint(&self) -> &str {
        &self.digest
    }

    fn sum(&self) -> String {
        let sorted = |map: &HashMap<Opcode, u64>| {
            let mut all: Vec<_> = map.iter().map(|(opcode, cost)| (*opcode, *cost)).collect();
            all.sort_unstable();
            all
        };
        let mode = if self.exact { "exact" } else { "block" };
        let (prefixed, lengths) = (sorted(&self.prefixed), sorted(&self.lengths));
        let (instructions, plain, other) = (self.instructions, self.plain, self.other);
        let all = format!("{instructions} {other} {plain:?} {prefixed:?} {lengths:?}");
        let digest = Sha256::digest(all.as_bytes());
        let digits: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        format!("{mode}:{digits}")
    }
}

/// Puts the counting into the functions of one module, as long as there is their source.
#[derive(Debug)]
pub(crate) struct Charges {
    metering: Arc<Metering>,
    source: Weak<Source>,
    /// How many globals the module imports.
    imported: u32,
}

impl Charges {
    pub fn new(metering: &Arc<Metering>, source: &Arc<Source>) -> Self {
        Self {
            metering: metering.clone(),
            source: Arc::downgrade(source),
            imported: source.imported_globals,
        }
    }
}

impl ModuleMiddleware for Charges {
    fn generate_function_middleware<'a>(
        &self,
        function: LocalFunctionIndex,
    ) -> Box<dyn FunctionMiddleware<'a> + 'a> {
        let plan = self.source.upgrade().map(|source| {
            let plan = source.plan(function.index(), &self.metering);
            plan.map_err(|error| error.to_string())
        });
        Box::new(Charging {
            plan: plan.unwrap_or_else(|| Err("the module is gone".into())),
            imported: self.imported,
            instructions: self.metering.instructions,
            number: 0,
            done: 0,
        })
    }

    fn transform_module_info(&self, module: &mut ModuleInfo) -> Result<(), MiddlewareError> {
        let imported = module.num_imported_globals;
        let mut globals: Vec<_> = module.globals.values().copied().collect();
        let cell = GlobalType::new(Type::I64, Mutability::Var);
        globals.splice(imported..imported, [cell; CELLS]);
        module.globals = globals.into_iter().collect();
        module.num_imported_globals += CELLS;
        for export in module.exports.values_mut() {
            if let ExportIndex::Global(index) = export
                && index.index() >= imported
            {
                *index = GlobalIndex::new(index.index() + CELLS);
            }
        }
        Ok(())
    }
}

#[derive(Debug)]
struct Charging {
    plan: Result<Plan, String>,
    imported: u32,
    instructions: bool,
    /// The number of the next instruction, and of the next insertion.
    number: u32,
    done: usize,
}

impl<'a> FunctionMiddleware<'a> for Charging {
    fn feed(
        &mut self,
        mut operator: Operator<'a>,
        state: &mut MiddlewareReaderState<'a>,
    ) -> Result<(), MiddlewareError> {
        if let Operator::GlobalGet { global_index } | Operator::GlobalSet { global_index } =
            &mut operator
            && *global_index >= self.imported
        {
            *global_index += CELLS as u32;
        }
        let plan = match &self.plan {
            Ok(plan) => plan,
            Err(why) => return Err(MiddlewareError::new("metering", why.clone())),
        };
        let mut code = Code {
            first: self.imported,
            instructions: self.instructions,
            state,
        };
        if self.number == 0 {
            if let Some(block) = &plan.block {
                code.open(block.ty, block.params);
            }
            if let Some(run) = plan.first {
                code.charge(run);
            }
        }
        code.state.push_operator(operator);
        while let Some((number, insertion)) = plan.insertions.get(self.done)
            && *number == self.number
        {
            code.insert(*insertion);
            self.done += 1;
        }
        self.number += 1;
        Ok(())
    }
}

/// Writes instructions.
struct Code<'a, 'b> {
    first: u32,
    instructions: bool,
    state: &'b mut MiddlewareReaderState<'a>,
}

impl<'a> Code<'a, '_> {
    fn insert(&mut self, insertion: Insertion) {
        match insertion {
            Insertion::Charge(run) => self.charge(run),
            Insertion::Length(each) => self.charge_length(each),
            Insertion::CloseBlock => self.state.push_operator(Operator::End),
        }
    }

    fn open(&mut self, ty: BlockType, params: u32) {
        let get = |local_index| Operator::LocalGet { local_index };
        self.state.extend((0..params).map(get));
        self.state.push_operator(Operator::Block { blockty: ty });
        self.state.extend((0..params).map(|_| Operator::Drop));
    }

    fn charge(&mut self, run: Run) {
        let constant = |value: u64| Operator::I64Const {
            value: value as i64,
        };
        // Less than nothing is very much: it was too little if the difference is larger than any can be.
        if run.cost != 0 {
            let remaining = self.first;
            self.get(remaining);
            self.state.extend([constant(run.cost), Operator::I64Sub]);
            self.set(remaining);
            self.get(remaining);
            self.state
                .extend([constant(u64::MAX - run.cost), Operator::I64GtU]);
            let blockty = BlockType::Empty;
            self.state.push_operator(Operator::If { blockty });
            self.get(remaining);
            self.state.extend([constant(run.cost), Operator::I64Add]);
            self.set(remaining);
            self.stop();
        }
        if self.instructions && run.instructions != 0 {
            let instructions = self.first + 1;
            self.get(instructions);
            self.state
                .extend([constant(run.instructions), Operator::I64Add]);
            self.set(instructions);
        }
    }

    /// The product cannot be larger than what remains, so it does not overflow.
    fn charge_length(&mut self, each: u64) {
        let (remaining, length) = (self.first, self.first + 3);
        let each = Operator::I64Const { value: each as i64 };
        self.state.push_operator(Operator::I64ExtendI32U);
        self.set(length);
        self.get(remaining);
        self.state.extend([each.clone(), Operator::I64DivU]);
        self.get(length);
        self.state.push_operator(Operator::I64LtU);
        let blockty = BlockType::Empty;
        self.state.push_operator(Operator::If { blockty });
        self.stop();
        self.get(remaining);
        self.get(length);
        self.state
            .extend([each, Operator::I64Mul, Operator::I64Sub]);
        self.set(remaining);
        self.get(length);
        self.state.push_operator(Operator::I32WrapI64);
    }

    /// Ends the guest in an `if`, and leaves a mark that it was this that ended it.
    fn stop(&mut self) {
        self.state.push_operator(Operator::I64Const { value: 1 });
        self.set(self.first + 2);
        self.state.extend([Operator::Unreachable, Operator::End]);
    }

    fn get(&mut self, global_index: u32) {
        self.state
            .push_operator(Operator::GlobalGet { global_index });
    }

    fn set(&mut self, global_index: u32) {
        self.state
            .push_operator(Operator::GlobalSet { global_index });
    }
}
