//! Decoded instructions.

/// What an instruction does. A narrow one decodes to its wide twin; the length tells them apart.
#[allow(missing_docs, reason = "the names are the ISA's mnemonics")]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Op {
    Illegal,
    // moves, arithmetic, logic
    Mov,
    Movi,
    Add,
    Addi,
    Addx2,
    Addx4,
    Addx8,
    Sub,
    Subx2,
    Subx4,
    Subx8,
    Neg,
    Abs,
    And,
    Or,
    Xor,
    Moveqz,
    Movnez,
    Movltz,
    Movgez,
    Min,
    Max,
    Minu,
    Maxu,
    Salt,
    Saltu,
    Sext,
    Clamps,
    Nsa,
    Nsau,
    // shifts
    Slli,
    Srai,
    Srli,
    Extui,
    Sll,
    Srl,
    Sra,
    Src,
    Ssr,
    Ssl,
    Ssa8l,
    Ssa8b,
    Ssai,
    // multiply, divide
    Mull,
    Muluh,
    Mulsh,
    Mul16u,
    Mul16s,
    Quou,
    Quos,
    Remu,
    Rems,
    // memory
    L8ui,
    L16ui,
    L16si,
    L32i,
    L32r,
    L32ai,
    L32e,
    S8i,
    S16i,
    S32i,
    S32ri,
    S32e,
    S32c1i,
    // branches, loops, calls
    J,
    Jx,
    Beqz,
    Bnez,
    Bltz,
    Bgez,
    Beqi,
    Bnei,
    Blti,
    Bgei,
    Bltui,
    Bgeui,
    Beq,
    Bne,
    Blt,
    Bge,
    Bltu,
    Bgeu,
    Bnone,
    Bany,
    Ball,
    Bnall,
    Bbc,
    Bbs,
    Bbci,
    Bbsi,
    Bf,
    Bt,
    Loop,
    Loopnez,
    Loopgtz,
    Call0,
    Call,
    Callx0,
    Callx,
    Ret,
    Retw,
    // windows
    Entry,
    Movsp,
    Rotw,
    Rfwo,
    Rfwu,
    // booleans
    Andb,
    Andbc,
    Orb,
    Orbc,
    Xorb,
    Any4,
    All4,
    Any8,
    All8,
    Movf,
    Movt,
    // the system
    Nop,
    Rsr,
    Wsr,
    Xsr,
    Rur,
    Wur,
    Rer,
    Wer,
    Rsil,
    Waiti,
    Rfe,
    Rfde,
    Rfi,
    Syscall,
    Break,
    ReadTlb,
    ProbeTlb,
    WriteTlb,
    ForgetTlb,
    // MAC16
    Mac,
    MacLoad,
    Ldinc,
    Lddec,
    // single precision
    Lsi,
    Lsip,
    Lsx,
    Lsxp,
    Ssi,
    Ssip,
    Ssx,
    Ssxp,
    FloatMath,
    FloatCompare,
    FloatMove,
    FloatToInt,
    IntToFloat,
    Rfr,
    Wfr,
}

/// One decoded instruction. `r`, `s`, `t` are the fields of those names; `imm` is what the format encodes, scaled.
///
/// Targets in `imm` are relative to the instruction (`L32r`, `Call0`, `Call`: to its address rounded down to four), so
/// a decoded block serves every alias of its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ins {
    /// What it does.
    pub op: Op,
    /// Field r, most often the target.
    pub r: u8,
    /// Field s.
    pub s: u8,
    /// Field t.
    pub t: u8,
    /// The constant, the distance, the special register's number, or what [`Op`] says of it.
    pub imm: i32,
    /// Where it stands in its block, in bytes.
    pub at: u16,
    /// Two or three bytes.
    pub length: u8,
    /// How many windows of four registers beyond the first it touches: 0 to 3.
    pub reach: u8,
}

/// How a multiply-accumulate changes the accumulator, in `imm` of [`Op::Mac`] and [`Op::MacLoad`] (bits 2 and 3).
pub const MAC_UMUL: i32 = 0;
/// The product replaces the accumulator.
pub const MAC_MUL: i32 = 1;
/// The product is added.
pub const MAC_MULA: i32 = 2;
/// The product is taken off.
pub const MAC_MULS: i32 = 3;
/// In `imm`: the first factor is a MAC16 register, not an address register.
pub const MAC_X_IS_M: i32 = 1 << 4;
/// The same of the second factor.
pub const MAC_Y_IS_M: i32 = 1 << 5;
/// [`Op::MacLoad`] goes down through memory, not up.
pub const MAC_DOWN: i32 = 1 << 6;

/// The highest window of four that an instruction's address registers are in; what ENTRY needs depends on PS.CALLINC.
#[allow(clippy::enum_glob_use, reason = "a table of mnemonics")]
#[expect(clippy::many_single_char_names, reason = "r, s and t are the ISA's")]
pub(super) fn reach(ins: &Ins) -> u8 {
    use Op::*;
    let (r, s, t) = (ins.r >> 2, ins.s >> 2, ins.t >> 2);
    match ins.op {
        Add | Addx2 | Addx4 | Addx8 | Sub | Subx2 | Subx4 | Subx8 | And | Or | Xor | Moveqz | Movnez | Movltz
        | Movgez | Min | Max | Minu | Maxu | Salt | Saltu | Src | Mull | Muluh | Mulsh | Mul16u | Mul16s | Quou
        | Quos | Remu | Rems => r.max(s).max(t),
        Slli | Sext | Clamps | Sll | Movf | Movt => r.max(s),
        Neg | Abs | Srai | Srli | Extui | Srl | Sra => r.max(t),
        Mov | Addi | Nsa | Nsau | L8ui | L16ui | L16si | L32i | L32ai | L32e | S8i | S16i | S32i | S32ri | S32e
        | S32c1i | Beq | Bne | Blt | Bge | Bltu | Bgeu | Bnone | Bany | Ball | Bnall | Bbc | Bbs | Movsp | Rer
        | Wer | ReadTlb | ProbeTlb | WriteTlb | Lsx | Lsxp | Ssx | Ssxp => s.max(t),
        Movi | L32r | Rsr | Wsr | Xsr | Wur | Rsil => t,
        Ssr | Ssl | Ssa8l | Ssa8b | Jx | Beqz | Bnez | Bltz | Bgez | Beqi | Bnei | Blti | Bgei | Bltui | Bgeui
        | Bbci | Bbsi | Loop | Loopnez | Loopgtz | Callx0 | ForgetTlb | Ldinc | Lddec | Lsi | Lsip | Ssi | Ssip
        | Wfr | IntToFloat => s,
        Call => ins.t,
        Callx => s.max(ins.t),
        Rur | Rfr | FloatToInt => r,
        FloatMove if (8..12).contains(&ins.imm) => t,
        Mac | MacLoad => {
            let x = if ins.imm & MAC_X_IS_M == 0 { r } else { 0 };
            let y = if ins.imm & MAC_Y_IS_M == 0 { t } else { 0 };
            x.max(y).max(if ins.op == MacLoad { s } else { 0 })
        }
        _ => 0,
    }
}
