//! Interrupts by the levels of a CLIC, the traps of user mode, and the CSRs of both.

use super::clic::{Clic, LOW, Line};
use super::hart::{FETCH_FAULT, Hart, MIE, MPIE, MPP};
use super::pmp::Mode;
use crate::space::Space;

/// What `mtvec` holds besides the address: interrupts go by the CLIC, always.
const BY_CLIC: u32 = 3;
const BASE: u32 = !0x3F;
/// `mcause`: an interrupt; the fetch of a vector failed; the number.
const INTERRUPT: u32 = 1 << 31;
const IN_FETCH: u32 = 1 << 30;
const NUMBER: u32 = 0xFFF;
const UIE: u32 = 1;
const UPIE: u32 = 1 << 4;

impl Hart {
    /// Whether an interrupt on `line` would be taken before the next instruction. Without a CLIC nothing has a level.
    pub(super) fn accepts(&self, line: Line) -> bool {
        let (status, level) = (self.held.mstatus, line.level | LOW);
        match (line.user, self.mode) {
            (false, Mode::Machine) => status & MIE != 0 && self.clic.machine.lets_in(level),
            (false, Mode::User) => true,
            (true, Mode::User) => status & UIE != 0 && self.clic.user.lets_in(level),
            (true, Mode::Machine) => false,
        }
    }

    /// Where the vector of `line` is.
    pub(super) fn vector(&self, line: Line) -> u32 {
        let levels = if line.user { &self.clic.user } else { &self.clic.machine };
        levels.table.wrapping_add((line.number & NUMBER) << 2)
    }

    /// An interrupt on `line` is taken from `pc`.
    pub(super) fn interrupt(&mut self, space: &Space, line: Line) {
        let cause = INTERRUPT | line.number & NUMBER;
        let levels = if line.user { &mut self.clic.user } else { &mut self.clic.machine };
        levels.rise(line.level);
        let base = if line.user {
            self.enter_user(cause);
            self.clic.own.vector
        } else {
            self.trap(cause, 0);
            self.held.mtvec
        } & BASE;
        self.pc = base;
        if line.vectored {
            let entry = self.vector(line);
            match space.read_at(entry, 4).as_deref().and_then(<[u8]>::first_chunk) {
                Some(vector) => self.pc = u32::from_le_bytes(*vector) & !1,
                None => self.no_vector(entry),
            }
        }
    }

    /// The table of vectors is where nothing can be read: an exception of its own.
    fn no_vector(&mut self, entry: u32) {
        self.pc = entry;
        self.enter(FETCH_FAULT, entry);
        self.held.mcause |= IN_FETCH;
    }

    fn enter_user(&mut self, cause: u32) {
        let status = self.held.mstatus;
        let enabled = if status & UIE == 0 { 0 } else { UPIE };
        self.held.mstatus = status & !(UIE | UPIE) | enabled;
        (self.clic.own.epc, self.clic.own.cause) = (self.pc, cause);
        self.reserved = None;
    }

    /// `uret`.
    pub(super) fn leave_user(&mut self) {
        let status = self.held.mstatus;
        let enabled = if status & UPIE == 0 { 0 } else { UIE };
        self.held.mstatus = status & !UIE | UPIE | enabled;
        self.clic.user.fall();
        self.mode = Mode::User;
        self.pc = self.clic.own.epc;
        self.reserved = None;
    }

    /// A CSR that is there, or is another one, with a CLIC only.
    pub(super) fn clic_csr(&self, number: u16) -> Option<u32> {
        let (held, Clic { machine, user, own }) = (&self.held, &self.clic);
        Some(match number {
            0x000 => held.mstatus & (UIE | UPIE),
            0x005 => own.vector,
            0x007 => user.table,
            0x040 => own.scratch,
            0x041 => own.epc,
            0x042 => own.cause | (held.mstatus & UPIE) << 23 | u32::from(user.before) << 16,
            0x047 => u32::from(user.threshold),
            0xCB1 => u32::from(user.now),
            0x304 => 0,
            0x307 => machine.table,
            0x342 => {
                let enabled = (held.mstatus & MPIE) << 20;
                let mode = (held.mstatus & MPP) << 17;
                held.mcause | mode | enabled | u32::from(machine.before) << 16
            }
            0x347 => u32::from(machine.threshold),
            0xFB1 => u32::from(machine.now) << 24 | u32::from(user.now),
            _ => return None,
        })
    }

    /// One of these written; false for another.
    pub(super) fn set_clic_csr(&mut self, number: u16, value: u32) -> bool {
        let (held, Clic { machine, user, own }) = (&mut self.held, &mut self.clic);
        let before = (value >> 16) as u8;
        match number {
            0x000 => held.mstatus = held.mstatus & !(UIE | UPIE) | value & (UIE | UPIE),
            0x005 => own.vector = value & BASE | BY_CLIC,
            0x007 => user.table = value & BASE,
            0x040 => own.scratch = value,
            0x041 => own.epc = value & !1,
            0x042 => {
                (own.cause, user.before) = (value & (INTERRUPT | NUMBER), before);
                held.mstatus = held.mstatus & !UPIE | value >> 23 & UPIE;
            }
            0x047 => user.threshold = value as u8 | LOW,
            0x304 => {}
            0x305 => held.mtvec = value & BASE | BY_CLIC,
            0x307 => machine.table = value & BASE,
            0x342 => {
                (held.mcause, machine.before) = (value & (INTERRUPT | IN_FETCH | NUMBER), before);
                let mode = value >> 17 & MPP;
                let mode = if matches!(mode, 0 | MPP) { mode } else { held.mstatus & MPP };
                held.mstatus = held.mstatus & !(MPIE | MPP) | mode | value >> 20 & MPIE;
            }
            0x347 => machine.threshold = value as u8 | LOW,
            _ => return false,
        }
        true
    }
}
