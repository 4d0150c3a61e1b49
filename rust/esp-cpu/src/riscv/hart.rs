//! A hart: all that its next instruction depends on, besides memory.

use super::clic::Clic;
use super::op::Op;
use super::pmp::{Mode, Pmp, View};

/// Places in the register file: `x0` to `x31`, where nobody reads, and nothing.
const PLACES: usize = 64;

/// An exception of the privileged architecture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Trap {
    pub(super) cause: u32,
    pub(super) value: u32,
}

pub(super) const FETCH_FAULT: u32 = 1;
pub(super) const ILLEGAL: u32 = 2;
pub(super) const BREAKPOINT: u32 = 3;
pub(super) const LOAD_MISALIGNED: u32 = 4;
pub(super) const LOAD_FAULT: u32 = 5;
pub(super) const STORE_MISALIGNED: u32 = 6;
pub(super) const STORE_FAULT: u32 = 7;
pub(super) const CALL_FROM_USER: u32 = 8;
pub(super) const CALL_FROM_MACHINE: u32 = 11;

pub(super) const MIE: u32 = 1 << 3;
pub(super) const MPIE: u32 = 1 << 7;
pub(super) const MPP: u32 = 3 << 11;
pub(super) const MPRV: u32 = 1 << 17;

/// What one chip's core has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Model {
    /// The A extension.
    pub atomics: bool,
    /// A CLIC, and user mode's own traps with it.
    pub clic: bool,
    /// `mhartid`.
    pub hart: u32,
}

impl Default for Model {
    fn default() -> Self {
        Self { atomics: true, clic: false, hart: 0 }
    }
}

/// CSRs that only hold what was written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Held {
    pub(super) mstatus: u32,
    pub(super) mtvec: u32,
    pub(super) mepc: u32,
    pub(super) mcause: u32,
    pub(super) mtval: u32,
    pub(super) mscratch: u32,
    pub(super) mie: u32,
    /// `tselect`, `tdata1` to `tdata3`, two that are not, `tcontrol`: nothing is triggered.
    pub(super) triggers: [u32; 6],
}

/// The registers of a core, all of them: what `save` takes and `restore` gives back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hart {
    pub(super) model: Model,
    pub(super) pc: u32,
    x: [u32; PLACES],
    pub(super) mode: Mode,
    pub(super) held: Held,
    pub(super) clic: Clic,
    pub(super) pmp: Pmp,
    /// What `lr.w` reserved: the address, and what was there.
    pub(super) reserved: Option<(u32, u32)>,
}

impl Hart {
    pub(super) fn new(model: Model) -> Self {
        Self {
            model,
            pc: 0,
            x: [0; PLACES],
            mode: Mode::Machine,
            held: Held::default(),
            clic: Clic::default(),
            pmp: Pmp::default(),
            reserved: None,
        }
    }

    #[inline]
    pub(super) fn x(&self, place: usize) -> u32 {
        self.x.get(place % PLACES).copied().unwrap_or_default()
    }

    #[inline]
    pub(super) fn set_x(&mut self, place: usize, value: u32) {
        if let Some(register) = self.x.get_mut(place % PLACES) {
            *register = value;
        }
    }

    #[inline]
    pub(super) fn a(&self, op: Op) -> u32 {
        self.x(op.rs1())
    }

    #[inline]
    pub(super) fn b(&self, op: Op) -> u32 {
        self.x(op.rs2())
    }

    /// Whose rights loads and stores have.
    pub(super) fn data_mode(&self) -> Mode {
        match (self.held.mstatus & MPRV, self.held.mstatus & MPP) {
            (0, _) | (_, MPP) => self.mode,
            _ => Mode::User,
        }
    }

    /// What this hart may access as data, and execute.
    pub(super) fn view(&self) -> (View, View) {
        (self.pmp.view(self.data_mode()), self.pmp.view(self.mode))
    }

    /// A trap is taken from `pc`, which becomes its handler's.
    pub(super) fn enter(&mut self, cause: u32, value: u32) {
        if self.model.clic {
            self.clic.exception(self.mode);
        }
        self.trap(cause, value);
        let vectored = !self.model.clic && self.held.mtvec & 1 != 0 && cause >> 31 != 0;
        let offset = if vectored { cause << 2 } else { 0 };
        self.pc = (self.held.mtvec & !3).wrapping_add(offset);
    }

    /// What every trap to machine mode does, but for `pc`.
    pub(super) fn trap(&mut self, cause: u32, value: u32) {
        let status = self.held.mstatus;
        let enabled = if status & MIE == 0 { 0 } else { MPIE };
        let previous = if self.mode == Mode::Machine { MPP } else { 0 };
        self.held.mstatus = status & !(MIE | MPIE | MPP) | enabled | previous;
        (self.held.mepc, self.held.mcause, self.held.mtval) = (self.pc, cause, value);
        self.mode = Mode::Machine;
        self.reserved = None;
    }

    /// `mret`.
    pub(super) fn leave(&mut self) {
        let status = self.held.mstatus;
        let enabled = if status & MPIE == 0 { 0 } else { MIE };
        let machine = status & MPP != 0;
        let mprv = if machine { status & MPRV } else { 0 };
        self.held.mstatus = status & !(MIE | MPP | MPRV) | enabled | MPIE | mprv;
        self.mode = if machine { Mode::Machine } else { Mode::User };
        self.pc = self.held.mepc;
        self.reserved = None;
        if self.model.clic {
            self.clic.machine.fall();
        }
    }
}
