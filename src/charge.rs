//! Where a function's instructions are charged, and how much: a pass over its body before it is compiled.
//!
//! The instructions are charged in runs that are entered at the beginning only, and that, once begun, are executed to their
//! end: so one sum at the beginning does for all. In exact mode a run also ends with each instruction that can trap, leave
//! the function or call another one.
//!
//! A jump counts the instruction that it arrives at: `loop`, or the `end` of its block; so does each other way that leads
//! there. The jump over the first arm of an `if` counts its `else`; coming to the end of that arm counts the `end`.

use crate::level::Levels;
use crate::metering::Metering;
use crate::opcode::{self, Opcode};
use crate::run::Run;
use std::ops::Range;
use wasmer::wasmparser::{
    BinaryReader, BinaryReaderError, BlockType, Catch, CompositeInnerType, FunctionBody, Operator,
    Parser, Payload, TypeRef, ValType,
};

/// What is put between the instructions of a function.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Insertion {
    Charge(Run),
    /// Charges the topmost operand, a length, times this.
    Length(u64),
    /// Closes the block around the function.
    CloseBlock,
}

#[derive(Debug, Default)]
pub(crate) struct Plan {
    /// What comes before the first instruction.
    pub first: Option<Run>,
    /// What comes behind the instruction of this number.
    pub insertions: Vec<(u32, Insertion)>,
    /// The function is put into a block of its own, so that there is a place behind its body where jumps out of it arrive.
    pub block: Option<Block>,
}

/// The block around a function: it takes the function's parameters, since it may have to have the function's type.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Block {
    pub ty: BlockType,
    pub params: u32,
}

/// The functions of a valid module.
#[derive(Debug)]
pub(crate) struct Source {
    binary: Vec<u8>,
    bodies: Vec<Range<usize>>,
    /// The types of the functions, by number of the type.
    functions: Vec<u32>,
    types: Vec<Signature>,
    /// There are exceptions: a call may be left by one.
    throws: bool,
    pub imported_globals: u32,
}

#[derive(Debug, Default)]
struct Signature {
    params: u32,
    results: Vec<ValType>,
}

impl Source {
    pub fn read(binary: &[u8]) -> Result<Self, BinaryReaderError> {
        let mut source = Self {
            binary: binary.to_vec(),
            bodies: Vec::new(),
            functions: Vec::new(),
            types: Vec::new(),
            throws: false,
            imported_globals: 0,
        };
        for payload in Parser::new(0).parse_all(binary) {
            match payload? {
                Payload::TypeSection(section) => {
                    for group in section {
                        for ty in group?.types() {
                            source.types.push(match &ty.composite_type.inner {
                                CompositeInnerType::Func(ty) => Signature {
                                    params: ty.params().len() as u32,
                                    results: ty.results().to_vec(),
                                },
                                _ => Signature::default(),
                            });
                        }
                    }
                }
                Payload::ImportSection(imports) => {
                    for import in imports.into_imports() {
                        match import?.ty {
                            TypeRef::Tag(_) => source.throws = true,
                            TypeRef::Global(_) => source.imported_globals += 1,
                            _ => {}
                        }
                    }
                }
                Payload::FunctionSection(functions) => {
                    for ty in functions {
                        source.functions.push(ty?);
                    }
                }
                Payload::TagSection(_) => source.throws = true,
                Payload::CodeSectionEntry(body) => {
                    let range = body.range();
                    source.bodies.push(range.start as usize..range.end as usize);
                }
                _ => {}
            }
        }
        Ok(source)
    }

    /// The plan for the function of this number among those that the module defines.
    pub fn plan(&self, function: usize, metering: &Metering) -> Result<Plan, BinaryReaderError> {
        let range = self.bodies[function].clone();
        let reader = BinaryReader::new(&self.binary[range.clone()], range.start as u64);
        let mut operators = FunctionBody::new(reader).get_operators_reader()?;
        let (mut exact, mut levels) = (Planner::new(metering), Levels::new(self.throws));
        let mut number = 0;
        while !operators.eof() {
            let offset = operators.original_position() as usize;
            let opcode = opcode::read(&self.binary[offset..range.end]);
            let operator = operators.read()?;
            if metering.exact {
                exact.next(number, opcode, &operator);
            } else {
                let length = metering.length_cost(opcode);
                levels.next(opcode, &operator, metering.run(opcode), length);
            }
            number += 1;
        }
        let (mut plan, jumps_out) = match metering.exact {
            true => (exact.plan, exact.jumps_out),
            false => levels.plan(),
        };
        if jumps_out {
            let ty = self.functions[function];
            let signature = &self.types[ty as usize];
            plan.block = Some(match signature.results[..] {
                [] => Block {
                    ty: BlockType::Empty,
                    params: 0,
                },
                [result] => Block {
                    ty: BlockType::Type(result),
                    params: 0,
                },
                _ => Block {
                    ty: BlockType::FuncType(ty),
                    params: signature.params,
                },
            });
        }
        plan.insertions.sort_by_key(|(number, insertion)| {
            let last = matches!(insertion, Insertion::Length(_));
            (*number, u32::from(last))
        });
        Ok(plan)
    }
}

/// What is open around an instruction.
struct Label {
    kind: Kind,
    /// Whether it was reached.
    entered: bool,
    /// Whether something jumps to it.
    target: bool,
}

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Function,
    Block,
    Loop,
    If,
    /// The second arm of an `if`, and whether the end of the first can be reached.
    Else {
        after_first: bool,
    },
}

struct Planner<'a> {
    metering: &'a Metering,
    plan: Plan,
    labels: Vec<Label>,
    run: Run,
    /// The instruction that the run comes behind; nothing at the function's beginning.
    behind: Option<u32>,
    /// Whether the next instruction can be reached.
    reachable: bool,
    /// The first instruction does nothing that its charge would have to come before.
    begins_pure: bool,
    jumps_out: bool,
}

impl<'a> Planner<'a> {
    fn new(metering: &'a Metering) -> Self {
        let function = Label {
            kind: Kind::Function,
            entered: true,
            target: false,
        };
        Self {
            metering,
            plan: Plan::default(),
            labels: vec![function],
            run: Run::default(),
            behind: None,
            reachable: true,
            begins_pure: false,
            jumps_out: false,
        }
    }

    fn next(&mut self, number: u32, opcode: Opcode, operator: &Operator) {
        if number == 0 {
            // Charged behind itself, the first instruction keeps its offset: what is inserted before it takes that.
            self.begins_pure = opcode::is_pure(opcode) && opcode != opcode::END;
        }
        match operator {
            Operator::Block { .. } => self.open(Kind::Block, opcode),
            Operator::TryTable { try_table } => {
                for catch in &try_table.catches {
                    let (Catch::One { label, .. }
                    | Catch::OneRef { label, .. }
                    | Catch::All { label }
                    | Catch::AllRef { label }) = catch;
                    self.target(*label);
                }
                self.open(Kind::Block, opcode);
            }
            Operator::Loop { .. } => {
                self.flush();
                self.open(Kind::Loop, opcode);
                self.behind = Some(number);
            }
            Operator::If { .. } => {
                self.open(Kind::If, opcode);
                self.begin(number);
            }
            Operator::Else => {
                self.flush();
                let after_first = self.reachable;
                if let Some(label) = self.labels.last_mut() {
                    label.kind = Kind::Else { after_first };
                    self.reachable = label.entered;
                }
                self.behind = Some(number);
                self.add(opcode);
            }
            Operator::End => self.close(number),
            Operator::Br { relative_depth } => {
                self.target(*relative_depth);
                self.leave(opcode);
            }
            Operator::BrIf { relative_depth } => {
                self.target(*relative_depth);
                self.add(opcode);
                self.begin(number);
            }
            Operator::BrTable { targets } => {
                self.target(targets.default());
                for label in targets.targets().flatten() {
                    self.target(label);
                }
                self.leave(opcode);
            }
            Operator::Return
            | Operator::Unreachable
            | Operator::Throw { .. }
            | Operator::ThrowRef
            | Operator::ReturnCall { .. }
            | Operator::ReturnCallIndirect { .. } => self.leave(opcode),
            _ => {
                let each = self.metering.length_cost(opcode);
                if each != 0 && self.reachable && number > 0 {
                    let insertion = (number - 1, Insertion::Length(each));
                    self.plan.insertions.push(insertion);
                }
                self.add(opcode);
                if !opcode::is_pure(opcode) {
                    self.begin(number);
                }
            }
        }
    }

    fn add(&mut self, opcode: Opcode) {
        if self.reachable {
            self.run = self.run.plus(self.metering.run(opcode));
        }
    }

    /// Begins a run behind the instruction.
    fn begin(&mut self, number: u32) {
        self.flush();
        self.behind = Some(number);
    }

    fn flush(&mut self) {
        let run = std::mem::take(&mut self.run);
        if run == Run::default() {
            return;
        }
        match self.behind {
            Some(number) => {
                let insertion = (number, Insertion::Charge(run));
                self.plan.insertions.push(insertion);
            }
            None if self.begins_pure => {
                self.plan.insertions.push((0, Insertion::Charge(run)));
            }
            None => self.plan.first = Some(run),
        }
    }

    fn leave(&mut self, opcode: Opcode) {
        self.add(opcode);
        self.flush();
        self.reachable = false;
    }

    /// Opens a block; the instruction itself belongs to what comes before, but for a loop.
    fn open(&mut self, kind: Kind, opcode: Opcode) {
        self.add(opcode);
        self.labels.push(Label {
            kind,
            entered: self.reachable,
            target: false,
        });
    }

    fn close(&mut self, number: u32) {
        let Some(label) = self.labels.pop() else {
            return;
        };
        let joins = match label.kind {
            Kind::Function | Kind::Block => label.target,
            Kind::Loop => false,
            Kind::If => label.entered,
            Kind::Else { after_first } => {
                label.entered && (self.reachable || after_first || label.target)
            }
        };
        if joins {
            self.flush();
            self.reachable = true;
            self.behind = Some(number);
            if label.kind == Kind::Function {
                self.jumps_out = true;
                let before = number - 1; // there is the jump at least
                self.behind = Some(before);
                self.plan.insertions.push((before, Insertion::CloseBlock));
            }
        }
        self.add(opcode::END);
        if label.kind == Kind::Function {
            self.flush();
        }
    }

    fn target(&mut self, depth: u32) {
        if self.reachable {
            let at = self.labels.len() - 1 - depth as usize;
            self.labels[at].target = true;
        }
    }
}
