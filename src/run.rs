//! Sums of what instructions cost, and how much of that has been charged at a place in the code; see `level.rs`.

/// What executing some instructions costs.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Run {
    pub instructions: u64,
    pub cost: u64,
}

impl Run {
    pub const MOST: Self = Self {
        instructions: u64::MAX,
        cost: u64::MAX,
    };

    pub fn plus(self, other: Run) -> Run {
        Run {
            instructions: self.instructions.saturating_add(other.instructions),
            cost: self.cost.saturating_add(other.cost),
        }
    }

    pub fn minus(self, other: Run) -> Run {
        Run {
            instructions: self.instructions.saturating_sub(other.instructions),
            cost: self.cost.saturating_sub(other.cost),
        }
    }

    pub fn min(self, other: Run) -> Run {
        Run {
            instructions: self.instructions.min(other.instructions),
            cost: self.cost.min(other.cost),
        }
    }
}

/// What has been charged ahead. With `trap`, what a way costs that ends in a trap.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Level {
    pub run: Run,
    pub trap: bool,
}

impl Level {
    pub fn before(self, run: Run) -> Level {
        Level {
            run: self.run.plus(run),
            ..self
        }
    }

    pub fn lower(self, other: Level) -> Level {
        match (self.trap, other.trap) {
            (true, false) => other,
            (false, true) => self,
            (trap, _) => Level {
                run: self.run.min(other.run),
                trap,
            },
        }
    }

    /// The level at which jumps come to this place. What ends in a trap is charged behind it.
    pub fn arrival(self, cap: Run) -> Level {
        Level {
            run: if self.trap {
                Run::default()
            } else {
                self.run.min(cap)
            },
            ..self
        }
    }

    /// The level where a jump to a place of that arrival parts from the way on. A jump to a trap takes any.
    pub fn parting(self, arrival: Level) -> Level {
        if arrival.trap { self } else { arrival }
    }

    /// Whether the way on is not the cheaper one.
    pub fn holds(self, arrival: Level) -> bool {
        self.trap || arrival.trap || self.run.min(arrival.run) == arrival.run
    }

    /// What the way on costs more.
    pub fn above(self, arrival: Level) -> Run {
        self.run.minus(self.parting(arrival).run)
    }
}
