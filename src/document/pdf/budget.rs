//! What checking one file may cost.

use std::cell::Cell;

use super::PdfProblem;

/// Most bytes that compressed parts may inflate to, all together: thousands of times what a report's tables need.
const INFLATED: usize = 16 << 20;
/// Most objects built.
const VALUES: usize = 300_000;

/// Spent step by step; when it is empty, the file is too complex.
#[derive(Debug)]
pub(super) struct Budget {
    bytes: Cell<usize>,
    values: Cell<usize>,
    inflated: Cell<usize>,
}

impl Budget {
    /// Enough to read every byte a few times.
    pub(super) fn for_file(length: usize) -> Self {
        Self {
            bytes: Cell::new(length.saturating_mul(4).saturating_add(4 << 20)),
            values: Cell::new(VALUES),
            inflated: Cell::new(INFLATED),
        }
    }

    /// Pays for looking at `count` bytes.
    pub(super) fn read(&self, count: usize) -> Result<(), PdfProblem> {
        spend(&self.bytes, count)
    }

    /// Pays for one object or table entry.
    pub(super) fn build(&self) -> Result<(), PdfProblem> {
        spend(&self.values, 1)
    }

    /// Pays for `count` inflated bytes.
    pub(super) fn inflate(&self, count: usize) -> Result<(), PdfProblem> {
        spend(&self.inflated, count)
    }

    /// How much may still be inflated.
    pub(super) fn inflatable(&self) -> usize {
        self.inflated.get()
    }
}

fn spend(from: &Cell<usize>, count: usize) -> Result<(), PdfProblem> {
    let left = from.get().checked_sub(count).ok_or(PdfProblem::TooComplex)?;
    from.set(left);
    Ok(())
}
