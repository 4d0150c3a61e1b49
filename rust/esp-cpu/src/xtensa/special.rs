//! Special and user registers, and the instructions of the system.

use super::config::Config;
use super::exceptions::{ILLEGAL, NO_FLOAT, Trap};
use super::op::{Ins, Op};
use super::step::Then;
use super::{Cpu, PS_EXCM, PS_INTLEVEL, State};
use crate::word::unsigned;

/// The special registers that are kept without doing anything, in the order of [`State::kept`]: IBREAKENABLE, MEMCTL,
/// ATOMCTL, DDR, IBREAKA0, IBREAKA1, DBREAKA0, DBREAKA1, DBREAKC0, DBREAKC1.
const KEPT: [u16; 10] = [96, 97, 99, 104, 128, 129, 144, 145, 160, 161];
const CONFIG_ID_0: u16 = 176;
const CONFIG_ID_1: u16 = 208;
const INTSET: u16 = 226;
const INTCLEAR: u16 = 227;
const DEBUG_CAUSE: u16 = 233;
const CCOUNT: u16 = 234;
const PRID: u16 = 235;
const READ_ONLY: [u16; 3] = [CONFIG_ID_0, CONFIG_ID_1, PRID];
const BR: u16 = 4;
const SCOMPARE1: u16 = 12;

/// Whether a special register is the time, or when a timer is to fire.
pub(super) fn is_time(number: u16) -> bool {
    matches!(number, CCOUNT | 240..=242)
}

impl Cpu {
    /// A special register by its number, as RSR reads it; `None`: there is none of that number.
    pub fn special(&self, number: u16) -> Option<u32> {
        self.state.special(number)
    }

    /// A special register, as WSR writes it; false: none can be written under that number.
    pub fn set_special(&mut self, number: u16, value: u32) -> bool {
        self.state.set_special(number, value)
    }
}

impl Config {
    /// Whether a core has the special or user register that an instruction names.
    pub(super) fn has_register(&self, ins: &Ins) -> bool {
        match (ins.op, ins.imm as u16) {
            (Op::Rsr | Op::Wsr | Op::Xsr, number) => match number {
                0..=2 => self.loops,
                BR => self.booleans,
                SCOMPARE1 => self.s32c1i,
                16 | 17 | 32..=35 => self.mac16,
                _ => true,
            },
            (Op::Rur | Op::Wur, 231) => true,
            (Op::Rur | Op::Wur, 232 | 233) => self.float,
            (Op::Rur | Op::Wur, number) => (self.user.0..=self.user.1).contains(&number),
            _ => true,
        }
    }
}

impl State {
    fn special(&self, number: u16) -> Option<u32> {
        let level = number as usize & 7;
        let at = |registers: &[u32; 8]| registers.get(level).copied();
        Some(match number {
            0 => self.lbeg,
            1 => self.lend,
            2 => self.lcount,
            3 => self.sar,
            BR => u32::from(self.booleans),
            SCOMPARE1 => self.scompare,
            16 => self.accumulator as u32,
            17 => (self.accumulator >> 32) as u32,
            32..=35 => self.m.get(level & 3).copied()?,
            72 => self.base(),
            73 => self.start(),
            177..=183 => at(&self.epc)?,
            192 => self.depc,
            194..=199 => at(&self.eps)?,
            209..=215 => at(&self.excsave)?,
            224 => self.coprocessors,
            INTSET => self.interrupt,
            228 => self.enabled,
            230 => self.ps,
            231 => self.vecbase,
            232 => self.cause,
            DEBUG_CAUSE => self.debug_cause,
            CCOUNT => self.ccount,
            PRID => self.prid,
            CONFIG_ID_0 => self.config_id[0],
            CONFIG_ID_1 => self.config_id[1],
            236 | 237 => 0,
            238 => self.vaddr,
            240..=242 => self.ccompare.get(level).copied()?,
            244..=247 => self.misc.get(level & 3).copied()?,
            _ => KEPT.iter().position(|&kept| kept == number).and_then(|at| self.kept.get(at)).copied()?,
        })
    }

    /// Whether there is a special register of the number that an instruction names, to be read or written.
    pub(super) fn has_special(&self, ins: &Ins) -> bool {
        let number = ins.imm as u16;
        match ins.op {
            Op::Rsr => self.special(number).is_some(),
            Op::Wsr => number == INTCLEAR || self.special(number).is_some() && !READ_ONLY.contains(&number),
            Op::Xsr => self.special(number).is_some() && !READ_ONLY.contains(&number),
            _ => true,
        }
    }

    fn set_special(&mut self, number: u16, value: u32) -> bool {
        let level = number as usize & 7;
        let place = match number {
            0 => &mut self.lbeg,
            1 => &mut self.lend,
            2 => &mut self.lcount,
            3 => {
                self.sar = value & 63;
                return true;
            }
            BR => {
                self.booleans = value as u16;
                return true;
            }
            SCOMPARE1 => &mut self.scompare,
            16 => {
                self.accumulator = self.accumulator & !0xFFFF_FFFF | i64::from(value);
                return true;
            }
            17 => {
                self.accumulator = i64::from(value as i8) << 32 | self.accumulator & 0xFFFF_FFFF;
                return true;
            }
            72 => {
                self.turn_to(value as u8);
                return true;
            }
            73 => {
                self.set_start(value);
                return true;
            }
            192 => &mut self.depc,
            224 => {
                self.coprocessors = value & 255;
                return true;
            }
            INTSET => {
                self.raise(value);
                return true;
            }
            INTCLEAR => {
                self.clear(value);
                return true;
            }
            228 => {
                self.enabled = value;
                self.look_at_interrupts();
                return true;
            }
            230 => {
                self.set_ps(value);
                return true;
            }
            231 => {
                self.vecbase = value & !0x3FF;
                return true;
            }
            232 => {
                self.cause = value & 63;
                return true;
            }
            CCOUNT => &mut self.ccount,
            236 | 237 => return true,
            238 => &mut self.vaddr,
            240..=242 => {
                self.set_compare(level, value);
                return true;
            }
            _ => match self.kept_or_numbered(number) {
                Some(place) => place,
                None => return false,
            },
        };
        *place = value;
        true
    }

    fn kept_or_numbered(&mut self, number: u16) -> Option<&mut u32> {
        let level = number as usize & 7;
        match number {
            32..=35 => self.m.get_mut(level & 3),
            177..=183 => self.epc.get_mut(level),
            194..=199 => self.eps.get_mut(level),
            209..=215 => self.excsave.get_mut(level),
            244..=247 => self.misc.get_mut(level & 3),
            _ => KEPT.iter().position(|&kept| kept == number).and_then(|at| self.kept.get_mut(at)),
        }
    }

    fn user_register(&mut self, number: u16) -> Result<&mut u32, Trap> {
        match number {
            231 => Ok(&mut self.thread),
            232 | 233 if self.coprocessors & 1 == 0 => Err(Trap::of(NO_FLOAT)),
            232 => Ok(&mut self.fcr),
            233 => Ok(&mut self.fsr),
            _ => self.user.get_mut(number as usize & 3).ok_or(Trap::of(ILLEGAL)),
        }
    }

    /// Instructions that only a system needs. What they change is looked at behind each of them.
    pub(super) fn step_system(&mut self, ins: &Ins) -> Result<Then, Trap> {
        let (r, s, t) = (ins.r, ins.s, ins.t);
        match ins.op {
            Op::Rsr => {
                let value = self.special(ins.imm as u16).ok_or(Trap::of(ILLEGAL))?;
                self.set(t, value);
                if ins.imm as u16 == CCOUNT {
                    return Ok(Then::Clock);
                }
            }
            Op::Wsr => {
                let value = self.get(t);
                self.write_special(ins.imm as u16, value)?;
            }
            Op::Xsr => {
                let (old, new) = (self.special(ins.imm as u16).ok_or(Trap::of(ILLEGAL))?, self.get(t));
                self.write_special(ins.imm as u16, new)?;
                self.set(t, old);
            }
            Op::Rur => {
                let value = *self.user_register(ins.imm as u16)?;
                self.set(r, value);
            }
            Op::Wur => {
                let value = self.get(t);
                *self.user_register(ins.imm as u16)? = value;
            }
            // No external register is here: they are a debugger's.
            Op::Rer => self.set(t, 0),
            Op::Rsil => {
                let old = self.ps;
                self.set_ps(old & !PS_INTLEVEL | u32::from(s));
                self.set(t, old);
            }
            Op::Waiti => {
                self.set_ps(self.ps & !PS_INTLEVEL | u32::from(s));
                return Ok(if self.wants_interrupt() { Then::Look } else { Then::Wait });
            }
            Op::Rfe => {
                self.set_ps(self.ps & !PS_EXCM);
                return Ok(Then::To(self.special(177).unwrap_or_default()));
            }
            Op::Rfde => return Ok(Then::To(self.depc)),
            Op::Rfi => match ins.imm {
                level @ 2..=7 => return Ok(Then::To(self.return_from_level(unsigned(level)))),
                _ => return Err(Trap::of(ILLEGAL)),
            },
            Op::ReadTlb | Op::ProbeTlb | Op::WriteTlb | Op::ForgetTlb => self.region(ins),
            _ => {}
        }
        Ok(Then::Look)
    }

    fn write_special(&mut self, number: u16, value: u32) -> Result<(), Trap> {
        if self.set_special(number, value) { Ok(()) } else { Err(Trap::of(ILLEGAL)) }
    }

    /// The region protection: eight regions of 512 MiB, each with an attribute for code and one for data. They are kept,
    /// what they forbid is not: nothing is mapped there.
    fn region(&mut self, ins: &Ins) {
        let address = self.get(ins.s);
        let place =
            self.regions.get_mut((ins.imm & 1) as usize).and_then(|half| half.get_mut((address >> 29) as usize));
        let Some(attribute) = place else { return };
        let region = address & 0xE000_0000;
        let answer = match ins.op {
            Op::ReadTlb if ins.imm & 2 == 0 => region,
            Op::ReadTlb => region | u32::from(*attribute),
            Op::ProbeTlb => region | 1,
            Op::WriteTlb => {
                *attribute = self.near.get(usize::from(ins.t & 15)).map_or(0, |&value| value as u8 & 15);
                return;
            }
            _ => return,
        };
        self.set(ins.t, answer);
    }
}
