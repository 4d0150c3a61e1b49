//! RV32IMAC with Zicsr and Zifencei, M and U mode, memory protection and, where the chip has one, a CLIC: the cores of the
//! ESP32-C and -H chips.
//!
//! Semantics are those of "The RISC-V Instruction Set Manual", volumes I and II. Where it leaves a choice: loads and stores
//! may be misaligned, atomic ones may not; `mtval` is the address touched, the instruction, or 0; `wfi` always waits.

mod clic;
mod compressed;
mod csr;
mod decode;
mod execute;
mod hart;
mod levels;
mod memory;
mod op;
mod pmp;
mod run;
#[cfg(test)]
mod tests;
mod translate;

use crate::blocks::Blocks;
use crate::space::Space;

pub use clic::Line;
pub use hart::{Hart, Model};

use op::Op;
use pmp::View;

/// One core. It runs on one [`Space`], always the same.
pub struct Cpu {
    hart: Hart,
    blocks: Blocks<Op>,
    /// Whether exceptions end the run, for the host to see; else the core enters its handler.
    pub host_traps: bool,
    /// What the hart was allowed when the pages that are open were opened.
    view: (View, View),
}

impl Cpu {
    /// A core after its reset: in machine mode, all registers zero.
    pub fn new(model: Model) -> Self {
        Self {
            hart: Hart::new(model),
            blocks: Blocks::new(),
            host_traps: false,
            view: (View::Everything, View::Everything),
        }
    }

    /// Where it runs.
    pub fn pc(&self) -> u32 {
        self.hart.pc
    }

    /// Go on elsewhere.
    pub fn set_pc(&mut self, address: u32) {
        self.hart.pc = address & !1;
    }

    /// `x0` to `x31`; 0 for a number that is none.
    pub fn register(&self, number: usize) -> u32 {
        if number < 32 { self.hart.x(number) } else { 0 }
    }

    /// The same, written; `x0` stays zero.
    pub fn set_register(&mut self, number: usize, value: u32) {
        if (1..32).contains(&number) {
            self.hart.set_x(number, value);
        }
    }

    /// Whether there is an instruction at an address: it can be fetched, and its encoding is not illegal.
    pub fn is_legal(&self, space: &mut Space, address: u32) -> bool {
        translate::is_legal(&self.hart, space, address)
    }

    /// A CSR of the core's own; `None` for another one.
    pub fn csr(&self, number: u16) -> Option<u32> {
        self.hart.csr(number)
    }

    /// The same, written as an instruction would; false for one that is not the core's own.
    pub fn set_csr(&mut self, number: u16, value: u32) -> bool {
        self.hart.set_csr(number, value)
    }

    /// A trap is entered now, by the privileged architecture: of an interrupt, bit 31 of `cause` set, or an exception.
    pub fn enter(&mut self, cause: u32, value: u32) {
        self.hart.enter(cause, value);
    }

    /// Whether it has a CLIC.
    pub fn has_clic(&self) -> bool {
        self.hart.model.clic
    }

    /// Whether an interrupt on `line` would be taken now, by levels and thresholds: of a core that has a CLIC.
    pub fn accepts(&self, line: Line) -> bool {
        self.hart.accepts(line)
    }

    /// An interrupt on `line` is taken now. Its vector is read in `space`.
    pub fn interrupt(&mut self, space: &Space, line: Line) {
        self.hart.interrupt(space, line);
    }

    /// Where the vector of a line is, if it has one.
    pub fn vector(&self, line: Line) -> Option<u32> {
        line.vectored.then(|| self.hart.vector(line))
    }

    /// All registers.
    pub fn save(&self) -> Hart {
        self.hart.clone()
    }

    /// All registers as they were at [`Cpu::save`].
    pub fn restore(&mut self, saved: &Hart) {
        self.hart.clone_from(saved);
    }

    /// All registers as after a reset.
    pub fn reset(&mut self) {
        self.hart = Hart::new(self.hart.model);
    }
}
