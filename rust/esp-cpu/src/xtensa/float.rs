//! The single-precision option: sixteen registers of its own, coprocessor 0.
//!
//! A division or square root is a sequence on the chip: an estimate, steps that refine it, and a last instruction that
//! rounds. Here the step that prepares the last one (MKDADJ.S, MKSADJ.S) has the result already, exactly rounded, and
//! ADDEXPM.S and DIVN.S hand it on; the estimates are exact too.

use super::State;
use super::config::is_float;
use super::exceptions::{NO_FLOAT, Trap};
use super::op::{Ins, Op};
use super::step::{Outside, Then, load_long, store};
use crate::word::{signed, unsigned};

/// What CONST.S loads.
const CONSTANTS: [f32; 4] = [0.0, 1.0, 2.0, 0.5];

impl State {
    fn f(&self, register: u8) -> f32 {
        f32::from_bits(self.f_bits(register))
    }

    fn f_bits(&self, register: u8) -> u32 {
        self.float.get(usize::from(register & 15)).copied().unwrap_or_default()
    }

    fn set_f_bits(&mut self, register: u8, bits: u32) {
        if let Some(place) = self.float.get_mut(usize::from(register & 15)) {
            *place = bits;
        }
    }

    fn set_f(&mut self, register: u8, value: f32) {
        self.set_f_bits(register, value.to_bits());
    }

    #[expect(clippy::many_single_char_names, reason = "r, s and t are the ISA's")]
    #[expect(clippy::float_cmp, reason = "equal is what OEQ.S asks")]
    pub(super) fn float(&mut self, ins: &Ins, outside: &mut Outside) -> Result<Then, Trap> {
        debug_assert!(is_float(ins.op), "{ins:?}");
        if self.coprocessors & 1 == 0 {
            return Err(Trap::of(NO_FLOAT));
        }
        let (r, s, t) = (ins.r, ins.s, ins.t);
        match ins.op {
            Op::Lsi | Op::Lsip | Op::Lsx | Op::Lsxp | Op::Ssi | Op::Ssip | Op::Ssx | Op::Ssxp => {
                return self.float_memory(ins, outside);
            }
            Op::FloatMath => self.float_math(ins),
            Op::FloatCompare => {
                let (x, y) = (self.f(s), self.f(t));
                let unordered = x.is_nan() || y.is_nan();
                self.set_boolean(
                    r,
                    match ins.imm {
                        1 => unordered,
                        2 => x == y,
                        3 => unordered || x == y,
                        4 => x < y,
                        5 => unordered || x < y,
                        6 => x <= y,
                        _ => unordered || x <= y,
                    },
                );
            }
            Op::FloatMove => {
                let value = self.get(t);
                let moves = match ins.imm {
                    8 => value == 0,
                    9 => value != 0,
                    10 => signed(value) < 0,
                    11 => signed(value) >= 0,
                    12 => !self.boolean(t),
                    _ => self.boolean(t),
                };
                if moves {
                    self.set_f_bits(r, self.f_bits(s));
                }
            }
            Op::FloatToInt => {
                let scaled = f64::from(self.f(s)) * f64::from(1u32 << (t & 15));
                let integer = match ins.imm {
                    8 => scaled.round_ties_even(),
                    10 => scaled.floor(),
                    11 => scaled.ceil(),
                    _ => scaled.trunc(),
                };
                let value = if ins.imm == 14 { to_unsigned(integer) } else { to_signed(integer) };
                self.set(r, value);
            }
            Op::IntToFloat => {
                let value = self.get(s);
                let value = if ins.imm == 12 { f64::from(signed(value)) } else { f64::from(value) };
                // Exact in 64 bits, so it is rounded once.
                self.set_f(r, (value / f64::from(1u32 << (t & 15))) as f32);
            }
            Op::Rfr => self.set(r, self.f_bits(s)),
            _ => self.set_f_bits(r, self.get(s)),
        }
        Ok(Then::Next)
    }

    fn float_memory(&mut self, ins: &Ins, outside: &mut Outside) -> Result<Then, Trap> {
        let indexed = matches!(ins.op, Op::Lsx | Op::Lsxp | Op::Ssx | Op::Ssxp);
        let offset = if indexed { self.get(ins.t) } else { unsigned(ins.imm) };
        let register = if indexed { ins.r } else { ins.t };
        // The P is for post-increment: the offset is added behind the access.
        let updates = matches!(ins.op, Op::Lsip | Op::Lsxp | Op::Ssip | Op::Ssxp);
        let base = self.get(ins.s);
        let address = if updates { base } else { base.wrapping_add(offset) };
        let then = if matches!(ins.op, Op::Lsi | Op::Lsip | Op::Lsx | Op::Lsxp) {
            let (value, then) = load_long(outside, address, 4)?;
            self.set_f_bits(register, value);
            then
        } else {
            store(outside, address, self.f_bits(register).to_le_bytes())?
        };
        if updates {
            self.set(ins.s, base.wrapping_add(offset));
        }
        Ok(then)
    }

    fn float_math(&mut self, ins: &Ins) {
        let (r, x, y, z) = (ins.r, self.f(ins.s), self.f(ins.t), self.f(ins.r));
        // The value, and the operands whose NaN it would be.
        let (value, operands) = match ins.imm {
            0 => (x + y, [x, y, x]),
            1 => (x - y, [x, y, x]),
            2 => (x * y, [x, y, x]),
            4 | 6 => (x.mul_add(y, z), [z, x, y]),
            5 => ((-x).mul_add(y, z), [z, x, y]),
            // DIVN.S and ADDEXP.S leave what is there, ADDEXPM.S hands it on; so does MOV.S.
            7 | 30 => return,
            31 | 16 => return self.set_f_bits(r, self.f_bits(ins.s)),
            17 => return self.set_f_bits(r, self.f_bits(ins.s) & 0x7FFF_FFFF),
            22 => return self.set_f_bits(r, self.f_bits(ins.s) ^ 0x8000_0000),
            19 => {
                return self
                    .set_f_bits(r, CONSTANTS.get(usize::from(ins.s & 3)).copied().unwrap_or_default().to_bits());
            }
            // NEXP01.S: the negated number without its exponent.
            27 => return self.set_f_bits(r, self.f_bits(ins.s) & 0x807F_FFFF ^ 0xBF80_0000),
            // DIV0.S and RECIP0.S
            23 | 24 => (x.recip(), [x; 3]),
            // SQRT0.S and RSQRT0.S: both estimate what a square root is divided by.
            25 | 26 => (x.sqrt().recip(), [x; 3]),
            28 => (x.sqrt(), [x; 3]),
            // MKDADJ.S: the divisor is in the target.
            _ => (x / z, [z, x, x]),
        };
        self.set_f_bits(r, if value.is_nan() { quiet(operands) } else { value.to_bits() });
    }
}

/// The NaN that operands make: the first of them that is one, quiet, else the default one. Hosts differ here.
fn quiet(operands: [f32; 3]) -> u32 {
    operands.into_iter().find(|operand| operand.is_nan()).map_or(0x7FC0_0000, |nan| nan.to_bits() | 0x0040_0000)
}

fn to_signed(value: f64) -> u32 {
    if value.is_nan() { 0x7FFF_FFFF } else { unsigned(value as i32) }
}

/// UTRUNC.S: what is below zero stays a signed number, at most as small as it can be.
fn to_unsigned(value: f64) -> u32 {
    if value.is_nan() {
        u32::MAX
    } else if value < 0.0 {
        unsigned(value as i32)
    } else {
        value as u32
    }
}
