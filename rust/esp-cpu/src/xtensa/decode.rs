//! Xtensa's instruction formats: three bytes, or two (the density option), as the ISA manual's opcode maps have them.
//!
//! [`decode`] is a pure function of the bytes: what a core's configuration lacks (see [`super::config`]) is dropped by
//! the caller, so every table here is the whole ISA's.

use super::op::{Ins, MAC_DOWN, MAC_X_IS_M, MAC_Y_IS_M, Op, reach};
use crate::word::signed;

/// The constants that BEQI, BNEI, BLTI and BGEI choose from.
const SIGNED: [i32; 16] = [-1, 1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 16, 32, 64, 128, 256];
/// Those of BLTUI and BGEUI.
const UNSIGNED: [i32; 16] = [32768, 65536, 2, 3, 4, 5, 6, 7, 8, 10, 12, 16, 32, 64, 128, 256];

/// The length of an instruction by its first byte: two for the density option's, else three.
pub fn length(first: u8) -> u8 {
    if (8..14).contains(&(first & 15)) { 2 } else { 3 }
}

/// Decodes the instruction in the low three bytes of `word`; the third does not matter to a narrow one.
pub fn decode(word: u32) -> Ins {
    let fields = Fields(word);
    let mut ins = match word & 15 {
        0 => qrst(fields),
        1 => fields.with(Op::L32r, signed((0xFFFF_0000 | (word >> 8)) << 2)),
        2 => loads_and_stores(fields),
        3 => {
            let op = match fields.r() {
                0 => Op::Lsi,
                4 => Op::Ssi,
                8 => Op::Lsip,
                12 => Op::Ssip,
                _ => Op::Illegal,
            };
            fields.with(op, fields.imm8() << 2)
        }
        4 => mac16(fields),
        5 => {
            let op = if fields.n() == 0 { Op::Call0 } else { Op::Call };
            let mut ins = fields.with(op, (fields.offset18() << 2) + 4);
            ins.t = fields.n();
            ins
        }
        6 => jumps(fields),
        7 => branches(fields),
        8 => fields.with(Op::L32i, i32::from(fields.r()) << 2),
        9 => fields.with(Op::S32i, i32::from(fields.r()) << 2),
        10 => fields.with(Op::Add, 0),
        11 => {
            let mut ins = fields.with(Op::Addi, if fields.t() == 0 { -1 } else { i32::from(fields.t()) });
            (ins.t, ins.r) = (ins.r, ins.t);
            ins
        }
        12 => narrow_constant_or_branch(fields),
        13 => narrow_rest(fields),
        _ => fields.with(Op::Illegal, 0),
    };
    ins.length = length(word as u8);
    ins.reach = reach(&ins);
    ins
}

/// The fields of an instruction word, by the ISA manual's names.
#[derive(Clone, Copy)]
struct Fields(u32);

impl Fields {
    fn nibble(self, bit: u32) -> u8 {
        (self.0 >> bit) as u8 & 15
    }
    fn t(self) -> u8 {
        self.nibble(4)
    }
    fn s(self) -> u8 {
        self.nibble(8)
    }
    fn r(self) -> u8 {
        self.nibble(12)
    }
    fn op1(self) -> u8 {
        self.nibble(16)
    }
    fn op2(self) -> u8 {
        self.nibble(20)
    }
    fn n(self) -> u8 {
        self.t() & 3
    }
    fn m(self) -> u8 {
        self.t() >> 2
    }
    fn imm8(self) -> i32 {
        i32::from((self.0 >> 16) as u8)
    }
    fn signed8(self) -> i32 {
        i32::from((self.0 >> 16) as i8)
    }
    fn signed12(self) -> i32 {
        signed(self.0 << 8) >> 20
    }
    fn offset18(self) -> i32 {
        signed(self.0 << 8) >> 14
    }
    /// The number of a special register.
    fn sr(self) -> i32 {
        signed(self.0 >> 8 & 255)
    }
    fn with(self, op: Op, imm: i32) -> Ins {
        Ins { op, r: self.r(), s: self.s(), t: self.t(), imm, at: 0, length: 3, reach: 0 }
    }
    /// The same, where the format asks for zero in a field that no operand uses.
    fn only_if(self, holds: bool, op: Op, imm: i32) -> Ins {
        self.with(if holds { op } else { Op::Illegal }, imm)
    }
}

fn qrst(f: Fields) -> Ins {
    match f.op1() {
        0 => rst0(f),
        1 => rst1(f),
        2 => rst2(f),
        3 => rst3(f),
        4 | 5 => {
            let shift = i32::from(f.s()) | i32::from(f.op1() & 1) << 4;
            f.with(Op::Extui, shift | i32::from(f.op2()) << 8)
        }
        8 => f.with(
            match f.op2() {
                0 => Op::Lsx,
                1 => Op::Lsxp,
                4 => Op::Ssx,
                5 => Op::Ssxp,
                _ => Op::Illegal,
            },
            0,
        ),
        9 => f.with(
            match f.op2() {
                0 => Op::L32e,
                4 => Op::S32e,
                _ => Op::Illegal,
            },
            (i32::from(f.r()) << 2) - 64,
        ),
        10 => float_math(f),
        11 => match f.op2() {
            1..=7 => f.with(Op::FloatCompare, i32::from(f.op2())),
            8..=13 => f.with(Op::FloatMove, i32::from(f.op2())),
            _ => f.with(Op::Illegal, 0),
        },
        _ => f.with(Op::Illegal, 0),
    }
}

fn rst0(f: Fields) -> Ins {
    let op = match f.op2() {
        0 => return st0(f),
        1 => Op::And,
        2 => Op::Or,
        3 => Op::Xor,
        4 => return st1(f),
        5 => return tlb(f),
        6 => match f.s() {
            0 => Op::Neg,
            1 => Op::Abs,
            _ => Op::Illegal,
        },
        8 => Op::Add,
        9 => Op::Addx2,
        10 => Op::Addx4,
        11 => Op::Addx8,
        12 => Op::Sub,
        13 => Op::Subx2,
        14 => Op::Subx4,
        15 => Op::Subx8,
        _ => Op::Illegal,
    };
    f.with(op, 0)
}

fn st0(f: Fields) -> Ins {
    match f.r() {
        0 => match (f.m(), f.n()) {
            (2, 0) => f.only_if(f.s() == 0, Op::Ret, 0),
            (2, 1) => f.only_if(f.s() == 0, Op::Retw, 0),
            (2, 2) => f.with(Op::Jx, 0),
            (3, 0) => f.with(Op::Callx0, 0),
            (3, n) => {
                let mut ins = f.with(Op::Callx, 0);
                ins.t = n;
                ins
            }
            _ => f.with(Op::Illegal, 0),
        },
        1 => f.with(Op::Movsp, 0),
        // ISYNC, RSYNC, ESYNC, DSYNC, EXCW, MEMW, EXTW, NOP: everything is in order here.
        2 => f.only_if(f.s() == 0 && matches!(f.t(), 0..=3 | 8 | 12 | 13 | 15), Op::Nop, 0),
        3 => match (f.t(), f.s()) {
            (0, 0) => f.with(Op::Rfe, 0),
            (0, 2) => f.with(Op::Rfde, 0),
            (0, 4) => f.with(Op::Rfwo, 0),
            (0, 5) => f.with(Op::Rfwu, 0),
            (1, level) => f.with(Op::Rfi, i32::from(level)),
            _ => f.with(Op::Illegal, 0),
        },
        4 => f.with(Op::Break, 0),
        5 => f.only_if(f.s() == 0 && f.t() == 0, Op::Syscall, 0),
        6 => f.with(Op::Rsil, 0),
        7 => f.only_if(f.t() == 0, Op::Waiti, 0),
        8 => f.with(Op::Any4, 0),
        9 => f.with(Op::All4, 0),
        10 => f.with(Op::Any8, 0),
        11 => f.with(Op::All8, 0),
        _ => f.with(Op::Illegal, 0),
    }
}

fn st1(f: Fields) -> Ins {
    match f.r() {
        0 => f.only_if(f.t() == 0, Op::Ssr, 0),
        1 => f.only_if(f.t() == 0, Op::Ssl, 0),
        2 => f.only_if(f.t() == 0, Op::Ssa8l, 0),
        3 => f.only_if(f.t() == 0, Op::Ssa8b, 0),
        4 => f.only_if(f.t() < 2, Op::Ssai, i32::from(f.s()) | i32::from(f.t() & 1) << 4),
        6 => f.with(Op::Rer, 0),
        7 => f.with(Op::Wer, 0),
        8 => f.only_if(f.s() == 0, Op::Rotw, signed(u32::from(f.t()) << 28) >> 28),
        14 => f.with(Op::Nsa, 0),
        15 => f.with(Op::Nsau, 0),
        _ => f.with(Op::Illegal, 0),
    }
}

/// The region protection's instructions; `imm` bit 0: of data, bit 1: the second word of a read.
fn tlb(f: Fields) -> Ins {
    let data = i32::from(f.r() >> 3);
    match f.r() & 7 {
        3 => f.with(Op::ReadTlb, data),
        4 => f.only_if(f.t() == 0, Op::ForgetTlb, data),
        5 => f.with(Op::ProbeTlb, data),
        6 => f.with(Op::WriteTlb, data),
        7 => f.with(Op::ReadTlb, data | 2),
        _ => f.with(Op::Illegal, 0),
    }
}

fn rst1(f: Fields) -> Ins {
    let high = i32::from(f.op2() & 1) << 4;
    match f.op2() {
        0 | 1 => f.with(Op::Slli, 32 - (i32::from(f.t()) | high)),
        2 | 3 => f.with(Op::Srai, i32::from(f.s()) | high),
        4 => f.with(Op::Srli, i32::from(f.s())),
        6 => f.with(Op::Xsr, f.sr()),
        8 => f.with(Op::Src, 0),
        9 => f.only_if(f.s() == 0, Op::Srl, 0),
        10 => f.only_if(f.t() == 0, Op::Sll, 0),
        11 => f.only_if(f.s() == 0, Op::Sra, 0),
        12 => f.with(Op::Mul16u, 0),
        13 => f.with(Op::Mul16s, 0),
        _ => f.with(Op::Illegal, 0),
    }
}

fn rst2(f: Fields) -> Ins {
    let op = match f.op2() {
        0 => Op::Andb,
        1 => Op::Andbc,
        2 => Op::Orb,
        3 => Op::Orbc,
        4 => Op::Xorb,
        6 => Op::Saltu,
        7 => Op::Salt,
        8 => Op::Mull,
        10 => Op::Muluh,
        11 => Op::Mulsh,
        12 => Op::Quou,
        13 => Op::Quos,
        14 => Op::Remu,
        15 => Op::Rems,
        _ => Op::Illegal,
    };
    f.with(op, 0)
}

fn rst3(f: Fields) -> Ins {
    let op = match f.op2() {
        0 => return f.with(Op::Rsr, f.sr()),
        1 => return f.with(Op::Wsr, f.sr()),
        2 => return f.with(Op::Sext, i32::from(f.t()) + 7),
        3 => return f.with(Op::Clamps, i32::from(f.t()) + 7),
        4 => Op::Min,
        5 => Op::Max,
        6 => Op::Minu,
        7 => Op::Maxu,
        8 => Op::Moveqz,
        9 => Op::Movnez,
        10 => Op::Movltz,
        11 => Op::Movgez,
        12 => Op::Movf,
        13 => Op::Movt,
        14 => return f.with(Op::Rur, i32::from(f.s()) << 4 | i32::from(f.t())),
        _ => return f.with(Op::Wur, f.sr()),
    };
    f.with(op, 0)
}

fn float_math(f: Fields) -> Ins {
    match f.op2() {
        8..=11 | 14 => f.with(Op::FloatToInt, i32::from(f.op2())),
        12 | 13 => f.with(Op::IntToFloat, i32::from(f.op2())),
        3 => f.with(Op::Illegal, 0),
        15 => match f.t() {
            4 => f.with(Op::Rfr, 0),
            5 => f.with(Op::Wfr, 0),
            2 => f.with(Op::Illegal, 0),
            t => f.with(Op::FloatMath, i32::from(t) | 16),
        },
        op2 => f.with(Op::FloatMath, i32::from(op2)),
    }
}

fn loads_and_stores(f: Fields) -> Ins {
    let (op, imm) = match f.r() {
        0 => (Op::L8ui, f.imm8()),
        1 => (Op::L16ui, f.imm8() << 1),
        2 => (Op::L32i, f.imm8() << 2),
        4 => (Op::S8i, f.imm8()),
        5 => (Op::S16i, f.imm8() << 1),
        6 => (Op::S32i, f.imm8() << 2),
        // Caches are the chip's own business on all three: their instructions do nothing.
        7 => (Op::Nop, 0),
        9 => (Op::L16si, f.imm8() << 1),
        10 => (Op::Movi, (i32::from(f.s()) << 28 >> 20) | f.imm8()),
        11 => (Op::L32ai, f.imm8() << 2),
        12 => (Op::Addi, f.signed8()),
        13 => (Op::Addi, f.signed8() << 8),
        14 => (Op::S32c1i, f.imm8() << 2),
        15 => (Op::S32ri, f.imm8() << 2),
        _ => (Op::Illegal, 0),
    };
    f.with(op, imm)
}

/// MAC16: `r` is the first MAC16 factor, `t` the second (or the address registers' numbers), `imm` bits 0 and 1 take
/// the upper halves, bits 2 and 3 say what happens to the accumulator. With a load, `r`'s upper bits are its target.
fn mac16(f: Fields) -> Ins {
    let (mx, my, mw) = (f.r() >> 2 & 1, 2 + (f.t() >> 2 & 1), f.r() & 3);
    let spare_r = matches!(f.r(), 0 | 4);
    let kind = i32::from(f.op1());
    let multiplies = f.op1() >= 4;
    let accumulates = f.op1() >> 2 == 2;
    let (op, x, y, imm) = match f.op2() {
        group @ (0 | 1 | 4 | 5) if accumulates && f.r() < 8 => {
            let down = if group & 1 == 1 { MAC_DOWN } else { 0 };
            if group < 4 {
                if f.t() & 0xB != 0 {
                    return f.with(Op::Illegal, 0);
                }
                (Op::MacLoad, mx, my, down | MAC_X_IS_M | MAC_Y_IS_M)
            } else {
                (Op::MacLoad, mx, f.t(), down | MAC_X_IS_M)
            }
        }
        2 if multiplies && spare_r && f.s() == 0 && f.t() & 0xB == 0 => (Op::Mac, mx, my, MAC_X_IS_M | MAC_Y_IS_M),
        3 if multiplies && f.r() == 0 && f.t() & 0xB == 0 => (Op::Mac, f.s(), my, MAC_Y_IS_M),
        6 if multiplies && spare_r && f.s() == 0 => (Op::Mac, mx, f.t(), MAC_X_IS_M),
        7 if f.r() == 0 => (Op::Mac, f.s(), f.t(), 0),
        8 if f.op1() == 0 && f.t() == 0 && f.r() < 4 => return f.with(Op::Ldinc, 0),
        9 if f.op1() == 0 && f.t() == 0 && f.r() < 4 => return f.with(Op::Lddec, 0),
        _ => return f.with(Op::Illegal, 0),
    };
    let mut ins = f.with(op, kind | imm);
    (ins.r, ins.t) = (x | if op == Op::MacLoad { mw << 4 } else { 0 }, y);
    ins
}

fn jumps(f: Fields) -> Ins {
    let branch = |op| f.with(op, f.signed12() + 4);
    let constant = |op, table: &[i32; 16]| {
        // The constant in `imm`, looked up once; the distance, as it is encoded, takes the place of field t.
        let mut ins = f.with(op, table.get(usize::from(f.r())).copied().unwrap_or(0));
        ins.t = (f.0 >> 16) as u8;
        ins
    };
    match (f.n(), f.m()) {
        (0, _) => f.with(Op::J, f.offset18() + 4),
        (1, 0) => branch(Op::Beqz),
        (1, 1) => branch(Op::Bnez),
        (1, 2) => branch(Op::Bltz),
        (1, _) => branch(Op::Bgez),
        (2, 0) => constant(Op::Beqi, &SIGNED),
        (2, 1) => constant(Op::Bnei, &SIGNED),
        (2, 2) => constant(Op::Blti, &SIGNED),
        (2, _) => constant(Op::Bgei, &SIGNED),
        (_, 0) => f.with(Op::Entry, signed(f.0 >> 12) << 3),
        (_, 1) => match f.r() {
            0 => f.with(Op::Bf, f.signed8() + 4),
            1 => f.with(Op::Bt, f.signed8() + 4),
            8 => f.with(Op::Loop, f.imm8() + 4),
            9 => f.with(Op::Loopnez, f.imm8() + 4),
            10 => f.with(Op::Loopgtz, f.imm8() + 4),
            _ => f.with(Op::Illegal, 0),
        },
        (_, 2) => constant(Op::Bltui, &UNSIGNED),
        _ => constant(Op::Bgeui, &UNSIGNED),
    }
}

fn branches(f: Fields) -> Ins {
    let op = match f.r() {
        0 => Op::Bnone,
        1 => Op::Beq,
        2 => Op::Blt,
        3 => Op::Bltu,
        4 => Op::Ball,
        5 => Op::Bbc,
        6 | 7 => Op::Bbci,
        8 => Op::Bany,
        9 => Op::Bne,
        10 => Op::Bge,
        11 => Op::Bgeu,
        12 => Op::Bnall,
        13 => Op::Bbs,
        _ => Op::Bbsi,
    };
    let mut ins = f.with(op, f.signed8() + 4);
    if matches!(op, Op::Bbci | Op::Bbsi) {
        ins.t |= (f.r() & 1) << 4;
    }
    ins
}

fn narrow_constant_or_branch(f: Fields) -> Ins {
    let distance = i32::from(f.t() & 3) << 4 | i32::from(f.r());
    match f.t() >> 2 {
        2 => f.with(Op::Beqz, distance + 4),
        3 => f.with(Op::Bnez, distance + 4),
        _ => {
            let constant = i32::from(f.t() & 7) << 4 | i32::from(f.r());
            let mut ins = f.with(Op::Movi, if constant >= 96 { constant - 128 } else { constant });
            ins.t = f.s();
            ins
        }
    }
}

fn narrow_rest(f: Fields) -> Ins {
    match f.r() {
        0 => f.with(Op::Mov, 0),
        15 => match (f.t(), f.s()) {
            (0, 0) => f.with(Op::Ret, 0),
            (1, 0) => f.with(Op::Retw, 0),
            (2, _) => f.with(Op::Break, 1),
            (3, 0) => f.with(Op::Nop, 0),
            _ => f.with(Op::Illegal, 0),
        },
        _ => f.with(Op::Illegal, 0),
    }
}
