//! What Espressif's three Xtensa cores have, as their `core-isa.h` says; the rest of their configuration is the same.

use super::op::Op;

/// One core's configuration: which options of the ISA it has, and what it says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "options are there or not")]
pub struct Config {
    /// Zero-overhead loops.
    pub loops: bool,
    /// Boolean registers.
    pub booleans: bool,
    /// The 16-bit multiply-accumulate unit.
    pub mac16: bool,
    /// SALT and SALTU, which the LX7 has.
    pub salt: bool,
    /// S32C1I, the store that compares first.
    pub s32c1i: bool,
    /// Single-precision floating point, coprocessor 0.
    pub float: bool,
    /// CONFIGID0 and CONFIGID1.
    pub config_id: [u32; 2],
    /// User registers that RUR and WUR know beside THREADPTR, as a range of numbers.
    pub user: (u16, u16),
}

/// ESP32: LX6, two of them.
pub const ESP32: Config = Config {
    loops: true,
    booleans: true,
    mac16: true,
    salt: false,
    s32c1i: true,
    float: true,
    config_id: [0xC2BC_FFFE, 0x1CC5_FE96],
    // The double-precision accelerator's registers: kept and restored by applications, its instructions are not here.
    user: (234, 236),
};

/// ESP32-S2: one LX7 without most options; user register 0 is the dedicated GPIO's output.
pub const ESP32S2: Config = Config {
    loops: false,
    booleans: false,
    mac16: false,
    salt: true,
    s32c1i: false,
    float: false,
    config_id: [0xC2EC_FAFE, 0x2207_5F76],
    user: (0, 0),
};

/// ESP32-S3: two LX7. Its vector instructions (PIE) are not here: an illegal instruction each.
pub const ESP32S3: Config = Config {
    salt: true,
    config_id: [0xC2F0_FFFE, 0x2309_0F1F],
    // 12: the dedicated GPIO's output.
    user: (12, 12),
    ..ESP32
};

impl Config {
    /// Whether the core has an instruction at all.
    pub fn has(&self, op: Op) -> bool {
        match op {
            Op::Loop | Op::Loopnez | Op::Loopgtz => self.loops,
            Op::Bf | Op::Bt | Op::Movf | Op::Movt | Op::Andb | Op::Andbc | Op::Orb | Op::Orbc | Op::Xorb => {
                self.booleans
            }
            Op::Any4 | Op::All4 | Op::Any8 | Op::All8 => self.booleans,
            Op::Mac | Op::MacLoad | Op::Ldinc | Op::Lddec => self.mac16,
            Op::Salt | Op::Saltu => self.salt,
            Op::S32c1i => self.s32c1i,
            Op::Illegal => false,
            op => self.float || !is_float(op),
        }
    }
}

/// Whether an instruction is coprocessor 0's.
pub fn is_float(op: Op) -> bool {
    use Op::{
        FloatCompare, FloatMath, FloatMove, FloatToInt, IntToFloat, Lsi, Lsip, Lsx, Lsxp, Rfr, Ssi, Ssip, Ssx, Ssxp,
        Wfr,
    };
    matches!(
        op,
        Lsi | Lsip
            | Lsx
            | Lsxp
            | Ssi
            | Ssip
            | Ssx
            | Ssxp
            | FloatMath
            | FloatCompare
            | FloatMove
            | FloatToInt
            | IntToFloat
            | Rfr
            | Wfr
    )
}

/// The interrupts of each level, 0 to 7, by line: the same on the three.
pub const LEVELS: [u32; 8] = [0, 0x0006_37FF, 0x0038_0000, 0x28C0_8800, 0x5300_0000, 0x8401_0000, 0, 0x0000_4000];
/// Lines that follow their source.
pub const LEVEL_LINES: u32 = 0x8FBE_333F;
/// Lines that keep a rising edge until it is cleared; the NMI is one.
pub const EDGE_LINES: u32 = 0x5040_4400;
/// Lines that software sets and clears.
pub const SOFTWARE_LINES: u32 = 0x2000_0080;
/// The lines of CCOMPARE0, 1 and 2.
pub const TIMER_LINES: [u32; 3] = [1 << 6, 1 << 15, 1 << 16];
/// The level that PS.EXCM masks up to.
pub const EXCM_LEVEL: u32 = 3;
/// The level of the debug exception.
pub const DEBUG_LEVEL: u32 = 6;
/// The level that nothing masks.
pub const NMI_LEVEL: u32 = 7;
/// Its line.
pub const NMI_LINE: u32 = 1 << 14;
