//! Block mode: what is certain to be executed is charged ahead, once for all blocks.
//!
//! The level of a place in the code is what has been charged already, when it is reached, for what follows: at most the least
//! that any way from there to the end of the function costs. Levels are found from the end backwards. Where ways part, the
//! level is that of the cheaper one, and the other charges the difference at its beginning; where they meet, all must come at
//! one level, since there is no place for a charge between a jump and where it arrives. Along each way the charges then add up
//! to what is executed.
//!
//! Ways that end in a trap are not looked at: they would make all others charge more often, and need not add up.

use crate::charge::{Insertion, Plan};
use crate::opcode::{self, Opcode};
use crate::run::{Level, Run};
use wasmer::wasmparser::{Catch, Operator};

/// An instruction, with what becomes of it.
struct Step {
    run: Run,
    action: Action,
}

enum Action {
    /// Goes on behind itself; or, with `true`, may be left by an exception.
    Next(bool),
    Leave,
    Trap,
    Open(usize),
    Else(usize),
    End(usize),
    Jump(usize),
    JumpIf(usize),
    JumpTable(Vec<usize>),
    /// Cannot be reached; it may be the end of a loop.
    Dead(Option<usize>),
}

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Function,
    Block,
    Loop,
    If,
    Else,
}

/// A block, and what is known of the place where jumps to it arrive.
struct Label {
    kind: Kind,
    entered: bool,
    target: bool,
    /// The end of the first arm can be reached.
    after_first: bool,
    /// No more than this may have been charged ahead there.
    cap: Run,
    arrival: Level,
    /// The level before the second arm, and its `else`.
    second: Level,
    second_at: usize,
    /// The block around it.
    outer: usize,
}

/// Collects a function's instructions, and then charges them.
pub(crate) struct Levels {
    steps: Vec<Step>,
    labels: Vec<Label>,
    open: Vec<usize>,
    reachable: bool,
    /// Calls may be left by exceptions.
    throws: bool,
    begins_pure: bool,
    plan: Plan,
}

impl Levels {
    pub fn new(throws: bool) -> Self {
        let mut levels = Self {
            steps: Vec::new(),
            labels: Vec::new(),
            open: Vec::new(),
            reachable: true,
            throws,
            begins_pure: false,
            plan: Plan::default(),
        };
        levels.push(Kind::Function);
        levels
    }

    fn push(&mut self, kind: Kind) -> usize {
        self.labels.push(Label {
            kind,
            entered: self.reachable,
            target: false,
            after_first: false,
            cap: Run::MOST,
            arrival: Level::default(),
            second: Level::default(),
            second_at: 0,
            outer: self.open.last().copied().unwrap_or_default(),
        });
        self.open.push(self.labels.len() - 1);
        self.labels.len() - 1
    }

    fn target(&mut self, depth: u32) -> usize {
        let label = self.open[self.open.len() - 1 - depth as usize];
        self.labels[label].target |= self.reachable;
        label
    }

    /// Adds an instruction and what it costs; `length` is the cost of each unit of its length.
    pub fn next(&mut self, opcode: Opcode, operator: &Operator, run: Run, length: u64) {
        const CALLS: std::ops::Range<Opcode> = 0x10..0x16;
        let number = self.steps.len() as u32;
        if number == 0 {
            self.begins_pure =
                opcode::is_pure(opcode) && ![opcode::LOOP, opcode::END].contains(&opcode);
        }
        let was_reachable = self.reachable;
        let step = |levels: &mut Self, action| {
            let action = if was_reachable {
                action
            } else {
                Action::Dead(None)
            };
            levels.steps.push(Step { run, action });
        };
        match operator {
            Operator::Block { .. } => {
                let label = self.push(Kind::Block);
                step(self, Action::Open(label));
            }
            Operator::TryTable { try_table } => {
                for catch in &try_table.catches {
                    let (Catch::One { label, .. }
                    | Catch::OneRef { label, .. }
                    | Catch::All { label }
                    | Catch::AllRef { label }) = catch;
                    let label = self.target(*label);
                    self.labels[label].cap = Run::default();
                }
                let label = self.push(Kind::Block);
                step(self, Action::Open(label));
            }
            Operator::Loop { .. } => {
                let label = self.push(Kind::Loop);
                step(self, Action::Open(label));
            }
            Operator::If { .. } => {
                let label = self.push(Kind::If);
                step(self, Action::Open(label));
            }
            Operator::Else => {
                let label = self.open[self.open.len() - 1];
                let known = &mut self.labels[label];
                known.kind = Kind::Else;
                known.after_first = self.reachable;
                self.reachable = known.entered;
                known.second_at = self.steps.len();
                let action = if self.reachable {
                    Action::Else(label)
                } else {
                    Action::Dead(None)
                };
                self.steps.push(Step { run, action });
            }
            Operator::End => {
                let label = self.open.pop().unwrap_or_default();
                let known = &self.labels[label];
                self.reachable |= known.entered
                    && (known.target && known.kind != Kind::Loop
                        || known.after_first
                        || known.kind == Kind::If);
                let action = if self.reachable {
                    Action::End(label)
                } else {
                    Action::Dead(Some(label))
                };
                self.steps.push(Step { run, action });
            }
            Operator::Br { relative_depth } => {
                let label = self.target(*relative_depth);
                step(self, Action::Jump(label));
                self.reachable = false;
            }
            Operator::BrIf { relative_depth } => {
                let label = self.target(*relative_depth);
                step(self, Action::JumpIf(label));
            }
            Operator::BrTable { targets } => {
                let depths = targets.targets().flatten().chain([targets.default()]);
                let mut labels: Vec<_> = depths.map(|depth| self.target(depth)).collect();
                labels.sort_unstable();
                labels.dedup();
                step(self, Action::JumpTable(labels));
                self.reachable = false;
            }
            Operator::Unreachable => {
                step(self, Action::Trap);
                self.reachable = false;
            }
            Operator::Return
            | Operator::Throw { .. }
            | Operator::ThrowRef
            | Operator::ReturnCall { .. }
            | Operator::ReturnCallIndirect { .. } => {
                step(self, Action::Leave);
                self.reachable = false;
            }
            _ => {
                if length != 0 && self.reachable && number > 0 {
                    let insertion = (number - 1, Insertion::Length(length));
                    self.plan.insertions.push(insertion);
                }
                let left = self.throws && CALLS.contains(&opcode);
                step(self, Action::Next(left));
            }
        }
    }

    /// Finds the levels, and charges by them. Also tells whether the function must be put into a block.
    pub fn plan(mut self) -> (Plan, bool) {
        const TRIES: u32 = 8;
        let mut tries = 0;
        let charges = loop {
            match self.charges() {
                Ok(charges) => break charges,
                Err(too_high) if tries < 2 * TRIES => {
                    for (label, cap) in too_high {
                        let cap = if tries < TRIES { cap } else { Run::default() };
                        let label = &mut self.labels[label];
                        label.cap = label.cap.min(cap);
                    }
                }
                // Nothing ahead is always right.
                Err(_) => {
                    for label in &mut self.labels {
                        label.cap = Run::default();
                    }
                }
            }
            tries += 1;
        };
        let mut jumps_out = false;
        let end = self.steps.len() as u32 - 1;
        for (number, run) in charges.into_iter().rev() {
            let insertion = match number {
                Some(number) if number == end => {
                    // A place behind the body, where jumps out of it arrive.
                    jumps_out = true;
                    let close = (end - 1, Insertion::CloseBlock);
                    self.plan.insertions.push(close);
                    (end - 1, Insertion::Charge(run))
                }
                Some(number) => (number, Insertion::Charge(run)),
                None if self.begins_pure => (0, Insertion::Charge(run)),
                None => {
                    self.plan.first = Some(run);
                    continue;
                }
            };
            self.plan.insertions.push(insertion);
        }
        (self.plan, jumps_out)
    }

    /// The charges behind instructions, or before the first; or the labels at which less must be charged ahead.
    #[allow(clippy::type_complexity)]
    fn charges(&mut self) -> Result<Vec<(Option<u32>, Run)>, Vec<(usize, Run)>> {
        let (mut charges, mut too_high) = (Vec::new(), Vec::new());
        let mut charge = |number: usize, run: Run| {
            if run != Run::default() {
                charges.push((Some(number as u32), run));
            }
        };
        let labels = &mut self.labels;
        // That of the place behind the instruction.
        let mut level = Level::default();
        for (number, step) in self.steps.iter().enumerate().rev() {
            let run = step.run;
            level = match &step.action {
                Action::Dead(None) => continue,
                Action::Dead(Some(at)) => {
                    // It is left by jumps, most likely out of the block around it.
                    let outer = labels[labels[*at].outer].arrival;
                    let label = &mut labels[*at];
                    label.arrival = outer.arrival(label.cap);
                    continue;
                }
                Action::Next(false) => level.before(run),
                Action::Next(true) => {
                    charge(number, level.run);
                    Level { run, trap: false }
                }
                Action::Leave => Level { run, trap: false },
                Action::Trap => Level { run, trap: true },
                Action::End(label) => {
                    let label = &mut labels[*label];
                    let whole = level.before(run);
                    label.arrival = match label.kind {
                        Kind::Function | Kind::Block if !label.target => whole,
                        _ => whole.arrival(label.cap),
                    };
                    if label.kind == Kind::Loop {
                        whole
                    } else {
                        charge(number, whole.above(label.arrival));
                        label.arrival
                    }
                }
                Action::Else(label) => {
                    labels[*label].second = level.before(run);
                    labels[*label].arrival
                }
                Action::Open(at) => {
                    let label = &labels[*at];
                    match label.kind {
                        Kind::Function | Kind::Block => level.before(run),
                        Kind::Loop => {
                            let whole = level.before(run);
                            if !whole.holds(label.arrival) {
                                too_high.push((*at, whole.run));
                            }
                            charge(number, whole.above(label.arrival));
                            label.arrival
                        }
                        Kind::If => {
                            let arrival = label.arrival;
                            if !level.holds(arrival) {
                                too_high.push((*at, level.run));
                            }
                            charge(number, level.above(arrival));
                            level.parting(arrival).before(run)
                        }
                        Kind::Else => {
                            let lower = level.lower(label.second);
                            charge(number, level.run.minus(lower.run));
                            charge(label.second_at, label.second.run.minus(lower.run));
                            lower.before(run)
                        }
                    }
                }
                Action::Jump(label) => labels[*label].arrival.before(run),
                Action::JumpIf(at) => {
                    let arrival = labels[*at].arrival;
                    if !level.holds(arrival) {
                        too_high.push((*at, level.run));
                    }
                    charge(number, level.above(arrival));
                    level.parting(arrival).before(run)
                }
                Action::JumpTable(targets) => {
                    let arrivals = || targets.iter().map(|label| labels[*label].arrival);
                    let lowest = arrivals().reduce(Level::lower).unwrap_or_default();
                    for label in targets {
                        let arrival = labels[*label].arrival;
                        if !arrival.trap && arrival.run != lowest.run {
                            too_high.push((*label, lowest.run));
                        }
                    }
                    lowest.before(run)
                }
            };
        }
        if !too_high.is_empty() {
            return Err(too_high);
        }
        if level.run != Run::default() {
            charges.push((None, level.run));
        }
        Ok(charges)
    }
}
