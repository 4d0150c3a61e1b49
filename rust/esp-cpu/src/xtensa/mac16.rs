//! MAC16: products of 16-bit halves into an accumulator of 40 bits, with loads beside them.

use super::State;
use super::exceptions::Trap;
use super::op::{Ins, MAC_DOWN, MAC_MUL, MAC_MULA, MAC_MULS, MAC_X_IS_M, MAC_Y_IS_M, Op};
use super::step::{Outside, Then, load_long};

impl State {
    pub(super) fn multiply_accumulate(&mut self, ins: &Ins, outside: &mut Outside) -> Result<Then, Trap> {
        let (down, target) = match ins.op {
            Op::Mac => {
                self.accumulate(ins);
                return Ok(Then::Next);
            }
            Op::MacLoad => (ins.imm & MAC_DOWN != 0, ins.r >> 4),
            op => (op == Op::Lddec, ins.r),
        };
        let address = self.get(ins.s).wrapping_add_signed(if down { -4 } else { 4 });
        let (value, then) = load_long(outside, address, 4)?;
        if ins.op == Op::MacLoad {
            self.accumulate(ins);
        }
        self.set(ins.s, address);
        if let Some(register) = self.m.get_mut(usize::from(target & 3)) {
            *register = value;
        }
        Ok(then)
    }

    fn accumulate(&mut self, ins: &Ins) {
        let factor = |register: u8, is_m: bool, upper: bool| {
            let word = if is_m {
                self.m.get(usize::from(register & 3)).copied().unwrap_or_default()
            } else {
                self.get(register)
            };
            (if upper { word >> 16 } else { word }) as u16
        };
        let x =
            factor(if ins.op == Op::MacLoad { ins.r & 3 } else { ins.r }, ins.imm & MAC_X_IS_M != 0, ins.imm & 1 != 0);
        let y = factor(ins.t, ins.imm & MAC_Y_IS_M != 0, ins.imm & 2 != 0);
        let product = i64::from(x as i16) * i64::from(y as i16);
        let sum = match ins.imm >> 2 & 3 {
            MAC_MUL => product,
            MAC_MULA => self.accumulator + product,
            MAC_MULS => self.accumulator - product,
            // UMUL
            _ => i64::from(x) * i64::from(y),
        };
        self.accumulator = sum << 24 >> 24;
    }
}
