//! The base instructions, M, A, Zicsr and Zifencei, as "The RISC-V Instruction Set Manual" lists them.
//!
//! An encoding that is not listed there is illegal.

use super::op::{Code, Op};
use crate::word::{signed, unsigned};

/// The instruction at `pc`, of four bytes. `atomics`: the core has the A extension.
pub(super) fn decode(word: u32, pc: u32, atomics: bool) -> Op {
    let (rd, rs1, rs2) = (word >> 7 & 31, word >> 15 & 31, word >> 20 & 31);
    let (funct3, funct7) = (word >> 12 & 7, word >> 25);
    let op = |code, imm| Some(Op::new(code, rd, rs1, rs2, imm, true));
    let known = match word & 0x7F {
        0x37 => op(Code::Set, word & 0xFFFF_F000),
        0x17 => op(Code::Set, pc.wrapping_add(word & 0xFFFF_F000)),
        0x6F => op(Code::Jal, pc.wrapping_add(imm_j(word))),
        0x67 if funct3 == 0 => op(Code::Jalr, imm_i(word)),
        0x63 => branch(funct3).and_then(|code| op(code, pc.wrapping_add(imm_b(word)))),
        0x03 => load(funct3).and_then(|code| op(code, imm_i(word))),
        0x23 => store(funct3).and_then(|code| op(code, imm_s(word))),
        0x13 => immediate(funct3, funct7).and_then(|code| {
            let is_shift = matches!(code, Code::Slli | Code::Srli | Code::Srai);
            op(code, if is_shift { rs2 } else { imm_i(word) })
        }),
        0x33 => register(funct3, funct7).and_then(|code| op(code, 0)),
        0x0F => match funct3 {
            0 => op(Code::Nop, 0),
            1 => op(Code::FenceI, 0),
            _ => None,
        },
        0x2F if atomics && funct3 == 2 => atomic(funct7 >> 2, rs2).and_then(|code| op(code, funct7 >> 2)),
        0x73 => system(word, funct3).and_then(|code| op(code, word >> 20)),
        _ => None,
    };
    known.unwrap_or(Op::illegal(word, true))
}

fn branch(funct3: u32) -> Option<Code> {
    Some(match funct3 {
        0 => Code::Beq,
        1 => Code::Bne,
        4 => Code::Blt,
        5 => Code::Bge,
        6 => Code::Bltu,
        7 => Code::Bgeu,
        _ => return None,
    })
}

fn load(funct3: u32) -> Option<Code> {
    Some(match funct3 {
        0 => Code::Lb,
        1 => Code::Lh,
        2 => Code::Lw,
        4 => Code::Lbu,
        5 => Code::Lhu,
        _ => return None,
    })
}

fn store(funct3: u32) -> Option<Code> {
    Some(match funct3 {
        0 => Code::Sb,
        1 => Code::Sh,
        2 => Code::Sw,
        _ => return None,
    })
}

fn immediate(funct3: u32, funct7: u32) -> Option<Code> {
    Some(match (funct3, funct7) {
        (0, _) => Code::Addi,
        (1, 0) => Code::Slli,
        (2, _) => Code::Slti,
        (3, _) => Code::Sltiu,
        (4, _) => Code::Xori,
        (5, 0) => Code::Srli,
        (5, 0x20) => Code::Srai,
        (6, _) => Code::Ori,
        (7, _) => Code::Andi,
        _ => return None,
    })
}

fn register(funct3: u32, funct7: u32) -> Option<Code> {
    Some(match (funct7, funct3) {
        (0, 0) => Code::Add,
        (0, 1) => Code::Sll,
        (0, 2) => Code::Slt,
        (0, 3) => Code::Sltu,
        (0, 4) => Code::Xor,
        (0, 5) => Code::Srl,
        (0, 6) => Code::Or,
        (0, 7) => Code::And,
        (0x20, 0) => Code::Sub,
        (0x20, 5) => Code::Sra,
        (1, 0) => Code::Mul,
        (1, 1) => Code::Mulh,
        (1, 2) => Code::Mulhsu,
        (1, 3) => Code::Mulhu,
        (1, 4) => Code::Div,
        (1, 5) => Code::Divu,
        (1, 6) => Code::Rem,
        (1, 7) => Code::Remu,
        _ => return None,
    })
}

fn atomic(funct5: u32, rs2: u32) -> Option<Code> {
    match funct5 {
        2 => (rs2 == 0).then_some(Code::LoadReserved),
        3 => Some(Code::StoreConditional),
        0 | 1 | 4 | 8 | 0xC | 0x10 | 0x14 | 0x18 | 0x1C => Some(Code::Amo),
        _ => None,
    }
}

fn system(word: u32, funct3: u32) -> Option<Code> {
    Some(match (funct3, word) {
        (0, 0x0000_0073) => Code::Ecall,
        (0, 0x0010_0073) => Code::Ebreak,
        (0, 0x3020_0073) => Code::Mret,
        (0, 0x0020_0073) => Code::Uret,
        (0, 0x1050_0073) => Code::Wfi,
        (1, _) => Code::Csrrw,
        (2, _) => Code::Csrrs,
        (3, _) => Code::Csrrc,
        (5, _) => Code::Csrrwi,
        (6, _) => Code::Csrrsi,
        (7, _) => Code::Csrrci,
        _ => return None,
    })
}

fn imm_i(word: u32) -> u32 {
    unsigned(signed(word) >> 20)
}

fn imm_s(word: u32) -> u32 {
    imm_i(word) & !31 | word >> 7 & 31
}

fn imm_b(word: u32) -> u32 {
    imm_s(word) & !0x801 | (word << 4 & 0x800)
}

fn imm_j(word: u32) -> u32 {
    let sign = unsigned(signed(word) >> 11) & 0xFFF0_0000;
    sign | word & 0xFF000 | word >> 9 & 0x800 | word >> 20 & 0x7FE
}
