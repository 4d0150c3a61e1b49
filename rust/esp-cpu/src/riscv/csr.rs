//! The CSRs that the core has itself. All others are the chip's: the bus is asked.

use super::hart::{Hart, ILLEGAL, MIE, MPIE, MPP, MPRV, Trap};
use super::op::{Code, Op};
use super::pmp::Mode;
use crate::bus::Bus;

/// Espressif's JEDEC number.
const VENDOR: u32 = 0x612;
const ARCHITECTURE: u32 = 0x8000_0001;
const IMPLEMENTATION: u32 = 1;
/// RV32 with I, M, C and U, and with A.
const MISA: u32 = 0x4010_1104;
const MISA_A: u32 = 1;
/// User interrupts have their bits, and nothing more.
const UIE_UPIE: u32 = 0x11;
const STATUS: u32 = MIE | MPIE | MPP | MPRV | UIE_UPIE;

impl Hart {
    /// A CSR's value; `None` for one that is not the core's own.
    pub(super) fn csr(&self, number: u16) -> Option<u32> {
        let more = if self.model.clic { self.clic_csr(number) } else { None };
        if more.is_some() {
            return more;
        }
        let held = &self.held;
        Some(match number {
            0x300 => held.mstatus,
            0x301 => MISA | if self.model.atomics { MISA_A } else { 0 },
            0x304 => held.mie,
            0x305 => held.mtvec,
            0x340 => held.mscratch,
            0x341 => held.mepc,
            0x342 => held.mcause,
            0x343 => held.mtval,
            // The lines of interrupts are the chip's; one gets here as a trap only.
            0x344 => 0,
            0x3A0..=0x3A3 => self.pmp.config(usize::from(number - 0x3A0)),
            0x3B0..=0x3BF => self.pmp.address(usize::from(number - 0x3B0)),
            0x7A0..=0x7A5 => *held.triggers.get(usize::from(number - 0x7A0))?,
            0xF11 => VENDOR,
            0xF12 => ARCHITECTURE,
            0xF13 => IMPLEMENTATION,
            0xF14 => self.model.hart,
            _ => return None,
        })
    }

    /// Write one of the core's own; what cannot be written stays. False for one that is not its own.
    pub(super) fn set_csr(&mut self, number: u16, value: u32) -> bool {
        if self.model.clic && self.set_clic_csr(number, value) {
            return true;
        }
        let held = &mut self.held;
        match number {
            0x300 => {
                // There is no supervisor.
                let previous = if matches!(value & MPP, 0 | MPP) { value } else { held.mstatus } & MPP;
                held.mstatus = value & STATUS & !MPP | previous;
            }
            0x304 => held.mie = value,
            0x305 => held.mtvec = value & !2,
            0x340 => held.mscratch = value,
            0x341 => held.mepc = value & !1,
            0x342 => held.mcause = value,
            0x343 => held.mtval = value,
            0x3A0..=0x3A3 => self.pmp.set_config(usize::from(number - 0x3A0), value),
            0x3B0..=0x3BF => self.pmp.set_address(usize::from(number - 0x3B0), value),
            0x7A0..=0x7A5 => {
                if let Some(trigger) = held.triggers.get_mut(usize::from(number - 0x7A0)) {
                    *trigger = value;
                }
            }
            _ => return self.csr(number).is_some(),
        }
        true
    }

    /// One of the six instructions on a CSR.
    pub(super) fn on_csr(&mut self, op: Op, bus: &mut dyn Bus) -> Result<(), Trap> {
        let number = (op.imm & 0xFFF) as u16;
        let operand = match op.code {
            Code::Csrrwi | Code::Csrrsi | Code::Csrrci => op.rs1() as u32,
            _ => self.a(op),
        };
        let writes = matches!(op.code, Code::Csrrw | Code::Csrrwi) || op.rs1() != 0;
        let privileged = number >> 8 & 3 != 0 && self.mode == Mode::User;
        let illegal = Trap { cause: ILLEGAL, value: instruction(op) };
        if privileged || (writes && number >> 10 == 3) {
            return Err(illegal);
        }
        let own = self.csr(number);
        let old = own.or_else(|| bus.csr(number)).ok_or(illegal)?;
        if writes && own.is_some() {
            let new = match op.code {
                Code::Csrrw | Code::Csrrwi => operand,
                Code::Csrrs | Code::Csrrsi => old | operand,
                _ => old & !operand,
            };
            self.set_csr(number, new);
        }
        self.set_x(op.rd(), old);
        Ok(())
    }
}

/// The instruction that was decoded to this.
fn instruction(op: Op) -> u32 {
    let funct3 = match op.code {
        Code::Csrrw => 1,
        Code::Csrrs => 2,
        Code::Csrrc => 3,
        Code::Csrrwi => 5,
        Code::Csrrsi => 6,
        _ => 7,
    };
    op.imm << 20 | (op.rs1() as u32) << 15 | funct3 << 12 | (op.rd() as u32 & 31) << 7 | 0x73
}
