//! The cores behind one trait: what of a call, a trap or a fault is each architecture's own.

mod riscv;
mod xtensa;

use std::any::Any;

use esp_cpu::riscv::Line;
use esp_cpu::{Access, Bus, Ran, Space};

/// All registers of a core. Only a core of the same architecture takes them back.
pub(super) type State = Box<dyn Any + Send + Sync>;

/// One core. Its exceptions are the host's to see.
pub(super) trait Core: Send + Sync {
    fn run(&mut self, space: &mut Space, bus: &mut dyn Bus, budget: u64) -> Ran;
    fn pc(&self) -> u32;
    fn set_pc(&mut self, pc: u32);
    fn register(&self, number: usize) -> u32;
    fn set_register(&mut self, number: usize, value: u32);
    /// A register that instructions of its own read and write; `None` for a number that is none.
    fn special(&self, number: u16) -> Option<u32>;
    fn set_special(&mut self, number: u16, value: u32) -> bool;
    fn save(&self) -> State;
    fn restore(&mut self, state: &State);
    /// All that decides what it does next, but for its memory.
    fn words(&self) -> Vec<u32>;
    /// As after power-on, but for the stack pointer.
    fn reset(&mut self, stack_top: u32);

    /// What an exception of this number failed at in memory; `None`: it is none of memory.
    fn access(&self, cause: u32) -> Option<Access>;
    /// How many zero bytes are the instruction that is illegal for good.
    fn nothing(&self) -> usize;
    fn interruptible(&self) -> bool;
    fn enter(&mut self, cause: u32, value: u32);
    /// Where the vector of `line` is, on a core with a CLIC.
    fn vector(&self, line: Line) -> Option<u32> {
        let _ = line;
        None
    }
    /// Go on in the handler of `line` if its level gets through, on a core with a CLIC: whether it did.
    fn let_in(&mut self, space: &Space, line: Line) -> bool {
        let _ = (space, line);
        false
    }
    /// Pull these lines of the core, and no others.
    fn set_lines(&mut self, mask: u32);
    /// So many cycles pass while it waits.
    fn advance(&mut self, cycles: u32);
    /// So many pass with each look at a cycle counter of its own, beside the instruction's.
    fn set_look(&mut self, cycles: u32);

    fn sp(&self) -> u32;
    fn ra(&self) -> u32;
    fn set_ra(&mut self, address: u32);
    fn argument(&self, index: usize) -> u32;
    fn set_argument(&mut self, index: usize, value: u32);
    /// Where code that only jumps goes on.
    fn go_to(&mut self, address: u32);
    /// Do by hand what `code` does, the one instruction of a function of ROM.
    fn leave_call(&mut self, code: &[u8]);
}

/// The first core of a chip, or none for one that is not known.
pub(super) fn of(chip: &str) -> Option<Box<dyn Core>> {
    riscv::of(chip).or_else(|| xtensa::of(chip))
}
