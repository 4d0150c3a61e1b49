//! The C extension for RV32 without floating point.

use super::op::{Code, Op};
use crate::word::{signed, unsigned};

const SP: u32 = 2;
const RA: u32 = 1;

/// The instruction at `pc`, of two bytes, whose lowest two bits are not both set.
pub(super) fn decode(half: u32, pc: u32) -> Op {
    let known = match half & 3 {
        0 => quadrant0(half),
        1 => quadrant1(half, pc),
        _ => quadrant2(half),
    };
    known.unwrap_or(Op::illegal(half, false))
}

#[allow(clippy::unnecessary_wraps, reason = "what is no instruction is none beside it")]
fn op(code: Code, rd: u32, rs1: u32, rs2: u32, imm: u32) -> Option<Op> {
    Some(Op::new(code, rd, rs1, rs2, imm, false))
}

fn quadrant0(half: u32) -> Option<Op> {
    let (low, high) = (8 + (half >> 2 & 7), 8 + (half >> 7 & 7));
    let word = half >> 7 & 0x38 | half >> 4 & 4 | half << 1 & 0x40;
    match half >> 13 {
        0 => {
            let imm = half >> 7 & 0x30 | half >> 1 & 0x3C0 | half >> 4 & 4 | half >> 2 & 8;
            if imm == 0 { None } else { op(Code::Addi, low, SP, 0, imm) }
        }
        2 => op(Code::Lw, low, high, 0, word),
        6 => op(Code::Sw, 0, high, low, word),
        _ => None,
    }
}

fn quadrant1(half: u32, pc: u32) -> Option<Op> {
    let rd = half >> 7 & 31;
    let short = 8 + (half >> 7 & 7);
    let imm = extended(half >> 7 & 0x20 | half >> 2 & 0x1F, 6);
    match half >> 13 {
        0 => op(Code::Addi, rd, rd, 0, imm),
        1 => op(Code::Jal, RA, 0, 0, pc.wrapping_add(imm_j(half))),
        2 => op(Code::Set, rd, 0, 0, imm),
        3 if imm == 0 => None,
        3 if rd == SP => {
            let bits = half >> 3 & 0x200 | half >> 2 & 0x10 | half << 1 & 0x40 | half << 4 & 0x180 | half << 3 & 0x20;
            op(Code::Addi, SP, SP, 0, extended(bits, 10))
        }
        3 => op(Code::Set, rd, 0, 0, imm << 12),
        4 => arithmetic(half, short, imm),
        5 => op(Code::Jal, 0, 0, 0, pc.wrapping_add(imm_j(half))),
        6 => op(Code::Beq, 0, short, 0, pc.wrapping_add(imm_b(half))),
        _ => op(Code::Bne, 0, short, 0, pc.wrapping_add(imm_b(half))),
    }
}

fn arithmetic(half: u32, rd: u32, imm: u32) -> Option<Op> {
    let high = half & 0x1000 != 0;
    let rs2 = 8 + (half >> 2 & 7);
    match (half >> 10 & 3, half >> 5 & 3) {
        (0 | 1, _) if high => None,
        (0, _) => op(Code::Srli, rd, rd, 0, imm),
        (1, _) => op(Code::Srai, rd, rd, 0, imm),
        (2, _) => op(Code::Andi, rd, rd, 0, imm),
        _ if high => None,
        (_, 0) => op(Code::Sub, rd, rd, rs2, 0),
        (_, 1) => op(Code::Xor, rd, rd, rs2, 0),
        (_, 2) => op(Code::Or, rd, rd, rs2, 0),
        _ => op(Code::And, rd, rd, rs2, 0),
    }
}

fn quadrant2(half: u32) -> Option<Op> {
    let (rd, rs2) = (half >> 7 & 31, half >> 2 & 31);
    let high = half & 0x1000 != 0;
    match half >> 13 {
        0 if !high => op(Code::Slli, rd, rd, 0, rs2),
        2 if rd != 0 => op(Code::Lw, rd, SP, 0, half >> 7 & 0x20 | half >> 2 & 0x1C | half << 4 & 0xC0),
        4 => match (high, rd, rs2) {
            (false, 0, 0) => None,
            (false, _, 0) => op(Code::Jalr, 0, rd, 0, 0),
            (false, ..) => op(Code::Add, rd, 0, rs2, 0),
            (true, 0, 0) => op(Code::Ebreak, 0, 0, 0, 0),
            (true, _, 0) => op(Code::Jalr, RA, rd, 0, 0),
            (true, ..) => op(Code::Add, rd, rd, rs2, 0),
        },
        6 => op(Code::Sw, 0, SP, rs2, half >> 7 & 0x3C | half >> 1 & 0xC0),
        _ => None,
    }
}

fn imm_j(half: u32) -> u32 {
    let bits = half >> 1 & 0x800
        | half >> 7 & 0x10
        | half >> 1 & 0x300
        | half << 2 & 0x400
        | half >> 1 & 0x40
        | half << 1 & 0x80
        | half >> 2 & 0xE
        | half << 3 & 0x20;
    extended(bits, 12)
}

fn imm_b(half: u32) -> u32 {
    let bits = half >> 4 & 0x100 | half >> 7 & 0x18 | half << 1 & 0xC0 | half >> 2 & 6 | half << 3 & 0x20;
    extended(bits, 9)
}

/// A number of so many bits, sign-extended.
fn extended(bits: u32, width: u32) -> u32 {
    unsigned(signed(bits << (32 - width)) >> (32 - width))
}
