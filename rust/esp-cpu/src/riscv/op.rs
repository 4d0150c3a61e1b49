//! A decoded instruction.

/// What an instruction does. Compressed forms are the instruction that they stand for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Code {
    /// `lui` and `auipc`: `rd` becomes `imm`.
    Set,
    Add,
    Sub,
    Sll,
    Slt,
    Sltu,
    Xor,
    Srl,
    Sra,
    Or,
    And,
    Addi,
    Slti,
    Sltiu,
    Xori,
    Ori,
    Andi,
    Slli,
    Srli,
    Srai,
    Mul,
    Mulh,
    Mulhsu,
    Mulhu,
    Div,
    Divu,
    Rem,
    Remu,
    Lb,
    Lh,
    Lw,
    Lbu,
    Lhu,
    Sb,
    Sh,
    Sw,
    /// Jumps and branches: `imm` is where to, but for `jalr`.
    Jal,
    Jalr,
    Beq,
    Bne,
    Blt,
    Bge,
    Bltu,
    Bgeu,
    LoadReserved,
    StoreConditional,
    /// The atomic operation whose number is `imm`.
    Amo,
    /// `fence`: there is one hart, in order.
    Nop,
    FenceI,
    /// `imm` is the CSR, `rs1` a register or, in the last three, a value.
    Csrrw,
    Csrrs,
    Csrrc,
    Csrrwi,
    Csrrsi,
    Csrrci,
    Ecall,
    Ebreak,
    Mret,
    Uret,
    Wfi,
    /// `imm` is the instruction.
    Illegal,
}

impl Code {
    /// Whether nothing behind it in memory is done before something else is looked at.
    pub(super) const fn ends_block(self) -> bool {
        let plain = matches!(self, Self::LoadReserved | Self::StoreConditional | Self::Amo | Self::Nop);
        self as u8 >= Self::Jal as u8 && !plain
    }
}

/// Where `x0` is written: nobody reads it.
const NOWHERE: u8 = 32;
const WIDE: u8 = 0x80;

/// An instruction with its operands; addresses are absolute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Op {
    pub(super) code: Code,
    rd: u8,
    rs1: u8,
    rs2: u8,
    pub(super) imm: u32,
}

impl Op {
    /// `wide`: it has four bytes, not two.
    pub(super) fn new(code: Code, rd: u32, rs1: u32, rs2: u32, imm: u32, wide: bool) -> Self {
        let rd = if rd == 0 { NOWHERE } else { rd as u8 };
        Self { code, rd: rd | if wide { WIDE } else { 0 }, rs1: rs1 as u8, rs2: rs2 as u8, imm }
    }

    pub(super) const fn illegal(instruction: u32, wide: bool) -> Self {
        Self { code: Code::Illegal, rd: NOWHERE | if wide { WIDE } else { 0 }, rs1: 0, rs2: 0, imm: instruction }
    }

    /// A place in the register file, where `x0` is elsewhere.
    #[inline]
    pub(super) const fn rd(self) -> usize {
        (self.rd & 63) as usize
    }

    #[inline]
    pub(super) const fn rs1(self) -> usize {
        (self.rs1 & 63) as usize
    }

    #[inline]
    pub(super) const fn rs2(self) -> usize {
        (self.rs2 & 63) as usize
    }

    /// Its bytes of code.
    pub(super) const fn length(self) -> u32 {
        if self.rd & WIDE == 0 { 2 } else { 4 }
    }
}
