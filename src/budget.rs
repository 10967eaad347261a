//! What all memories of an engine may have together.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use wasmer_types::{MemoryError, Pages};

#[derive(Debug)]
pub(crate) struct Budget {
    limit: usize,
    used: AtomicUsize,
}

impl Budget {
    /// A budget of so many pages; none if it is 0.
    pub fn new(pages: u64) -> Option<Arc<Self>> {
        (pages != 0).then(|| {
            Arc::new(Self {
                limit: pages as usize,
                used: AtomicUsize::new(0),
            })
        })
    }
}

/// The part of a budget that a memory has, which it gives back in the end.
#[derive(Debug, Default)]
pub(crate) struct Share {
    budget: Option<Arc<Budget>>,
    pages: usize,
}

impl Share {
    pub fn take(budget: Option<&Arc<Budget>>, pages: Pages) -> Result<Self, MemoryError> {
        let mut share = Self {
            budget: budget.cloned(),
            pages: 0,
        };
        match share.grow(pages) {
            true => Ok(share),
            false => Err(MemoryError::Region(format!(
                "{} pages more than the memories of the engine have would exceed EngineConfig.MaxTotalMemoryPages, {}",
                pages.0,
                budget.map_or(0, |budget| budget.limit)
            ))),
        }
    }

    /// Takes more, or reports that there is not so much left.
    pub fn grow(&mut self, pages: Pages) -> bool {
        let more = pages.0 as usize;
        if let Some(budget) = &self.budget {
            let fits = |used: usize| (used + more <= budget.limit).then_some(used + more);
            let order = Ordering::Relaxed;
            if budget.used.fetch_update(order, order, fits).is_err() {
                return false;
            }
        }
        self.pages += more;
        true
    }

    /// Gives back what could not be used.
    pub fn shrink(&mut self, pages: Pages) {
        self.pages -= pages.0 as usize;
        if let Some(budget) = &self.budget {
            budget.used.fetch_sub(pages.0 as usize, Ordering::Relaxed);
        }
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.shrink(Pages(self.pages as u32));
    }
}
