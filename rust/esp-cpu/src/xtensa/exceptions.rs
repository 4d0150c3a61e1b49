//! Exceptions: their numbers, and how the core enters a handler.

use super::config::DEBUG_LEVEL;
use super::{Cpu, PS_EXCM, PS_INTLEVEL, PS_UM, State};
use crate::stop::{Access, Fault};

/// An instruction that there is not.
pub(super) const ILLEGAL: u32 = 0;
/// SYSCALL.
pub(super) const SYSCALL: u32 = 1;
/// A level-1 interrupt.
pub(super) const LEVEL_1: u32 = 4;
/// MOVSP while the caller's frame is in memory.
pub(super) const ALLOCA: u32 = 5;
/// A division by zero.
pub(super) const DIVIDE: u32 = 6;
/// An access that must be aligned.
pub(super) const ALIGNMENT: u32 = 9;
const FETCH: u32 = 20;
const LOAD: u32 = 28;
const STORE: u32 = 29;
/// Coprocessor 0, the floating point, while CPENABLE does not enable it.
pub(super) const NO_FLOAT: u32 = 32;
/// What a host is told as the cause of BREAK and BREAK.N, whose exception has no number on the chip.
pub const DEBUG: u32 = 64;

/// An exception that an instruction raised.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Trap {
    /// EXCCAUSE, or [`DEBUG`].
    pub cause: u32,
    /// EXCVADDR, where the exception has an address.
    pub address: Option<u32>,
}

impl Trap {
    pub(super) const fn of(cause: u32) -> Self {
        Self { cause, address: None }
    }
}

impl From<Fault> for Trap {
    fn from(fault: Fault) -> Self {
        let cause = match fault.access {
            Access::Load => LOAD,
            Access::Store => STORE,
            Access::Fetch => FETCH,
        };
        Self { cause, address: Some(fault.address) }
    }
}

impl Cpu {
    /// Enter the handler of an exception of the instruction at the program counter, as the chip does. `value` is
    /// EXCVADDR's where the cause is an access.
    pub fn enter(&mut self, cause: u32, value: u32) {
        let address = matches!(cause, 2 | 3 | ALIGNMENT | 12..=18 | FETCH | 24..=LOAD | STORE).then_some(value);
        self.state.enter(Trap { cause, address });
    }
}

impl State {
    pub(super) fn enter(&mut self, trap: Trap) {
        if trap.cause == DEBUG {
            self.enter_level(DEBUG_LEVEL, 0x280);
            return;
        }
        if let Some(address) = trap.address {
            self.vaddr = address;
        }
        self.cause = trap.cause;
        let vector = if self.ps & PS_EXCM != 0 {
            self.depc = self.pc;
            0x3C0
        } else {
            if let Some(epc) = self.epc.get_mut(1) {
                *epc = self.pc;
            }
            if self.ps & PS_UM != 0 { 0x340 } else { 0x300 }
        };
        self.set_ps(self.ps | PS_EXCM);
        self.pc = self.vecbase.wrapping_add(vector);
    }

    /// A handler with registers of its own: an interrupt above level 1, or a debug exception.
    pub(super) fn enter_level(&mut self, level: u32, vector: u32) {
        let (pc, ps) = (self.pc, self.ps);
        if let Some(epc) = self.epc.get_mut(level as usize) {
            *epc = pc;
        }
        if let Some(eps) = self.eps.get_mut(level as usize) {
            *eps = ps;
        }
        self.set_ps(ps & !PS_INTLEVEL | level | PS_EXCM);
        self.pc = self.vecbase.wrapping_add(vector);
    }

    /// The end of such a handler: where to go on.
    pub(super) fn return_from_level(&mut self, level: u32) -> u32 {
        let at = |registers: &[u32; 8]| registers.get(level as usize).copied().unwrap_or_default();
        let (pc, ps) = (at(&self.epc), at(&self.eps));
        self.set_ps(ps);
        pc
    }
}
