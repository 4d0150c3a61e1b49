//! One run, and the flash as a power cut at any of its operations leaves it.

use super::{Flash, Op, OpKind, SECTOR};
use crate::err::{EspErr, Failure, Fault};
use crate::fault::{Cut, FaultPlan, Tear};

/// One completed operation with what it programmed.
#[derive(Clone)]
pub(super) struct Step {
    pub(super) op: Op,
    pub(super) data: Box<[u8]>,
}

/// The operations of a run over the flash that it began with.
pub struct Recording {
    base: Flash,
    steps: Vec<Step>,
    /// The flash after so many operations: cuts are asked for in order, so it rarely goes back.
    reached: (usize, Flash),
}

impl Flash {
    /// The operations since [`record`](Self::record) was switched on, and the flash as it was then.
    pub fn recording(&self) -> Option<Recording> {
        let journal = self.journal.as_ref()?;
        Some(Recording::new(journal.base.fork(), journal.steps.clone()))
    }

    fn redo(&mut self, step: &Step) -> Result<(), Failure> {
        match step.op.kind {
            OpKind::Program => self.program(step.op.address, &step.data),
            OpKind::Erase => self.erase(step.op.address, SECTOR as u64),
        }
    }
}

impl Recording {
    fn new(mut base: Flash, steps: Vec<Step>) -> Self {
        base.set_fault(None);
        base.power_on();
        Self { reached: (0, base.fork()), base, steps }
    }

    /// The operations.
    pub fn ops(&self) -> impl ExactSizeIterator<Item = Op> + '_ {
        self.steps.iter().map(|step| step.op)
    }

    /// The same operations over another flash, which must lead to the same.
    #[must_use]
    pub fn over(&self, flash: &Flash) -> Self {
        Self::new(flash.fork(), self.steps.clone())
    }

    /// The flash after `count` of the operations, with power.
    pub fn flash_after(&mut self, count: usize) -> Result<Flash, Failure> {
        if count < self.reached.0 {
            self.reached = (0, self.base.fork());
        }
        for step in self.steps.iter().take(count).skip(self.reached.0) {
            self.reached.1.redo(step)?;
        }
        self.reached.0 = count.min(self.steps.len());
        Ok(self.reached.1.fork())
    }

    /// The flash as this cut leaves it, without power. Refused: a cut beyond the last operation, a tear of the other kind.
    pub fn cut(&mut self, cut: Cut) -> Result<Flash, Failure> {
        let refused = |found: String, expected: String| -> Failure {
            Fault::new(EspErr::InvalidArg, "power cut", 0, found, expected).into()
        };
        let index = usize::try_from(cut.operations).unwrap_or(usize::MAX);
        let Some(step) = self.steps.get(index).cloned() else {
            return Err(refused(cut.operations.to_string(), format!("one of {} operations", self.steps.len())));
        };
        if let Tear::Torn(kind, _) = cut.tear {
            if kind != step.op.kind {
                let found = format!("{}{}", cut.operations, cut.tear);
                return Err(refused(found, format!("a tear of the other kind: {:?}", step.op.kind).to_lowercase()));
            }
        }
        let mut flash = self.flash_after(index)?;
        flash.set_fault(Some(FaultPlan::cut(0, cut.tear)));
        match flash.redo(&step) {
            Err(Failure::PowerLost(_)) => Ok(flash),
            Err(other) => Err(other),
            Ok(()) => Err(refused(cut.operations.to_string(), "an operation that can be cut".to_owned())),
        }
    }
}
