//! Xtensa LX6 and LX7 as Espressif configures them: ESP32, ESP32-S2 and ESP32-S3.
//!
//! What is here is the ISA manual's: windowed registers with their overflow and underflow, zero-overhead loops, the
//! density, boolean, multiply, divide, MAC16 and single-precision options, exceptions and seven levels of interrupts.
//! One instruction is one cycle of CCOUNT. Arithmetic rounds to nearest whatever FCR asks, and no flag of FSR is set;
//! the ESP32's double-precision accelerator and the S3's vector instructions are illegal instructions.

#![allow(
    clippy::cast_possible_wrap,
    clippy::cast_sign_loss,
    reason = "registers have no sign: each instruction gives them one"
)]

pub mod config;

pub mod decode;
mod exceptions;
mod float;
mod interrupts;
mod mac16;
pub mod op;
mod run;
mod special;
mod step;
mod windows;

pub use config::{Config, ESP32, ESP32S2, ESP32S3};
pub use exceptions::DEBUG;

use crate::blocks::Blocks;
use op::Ins;

/// PS: the level that interrupts must be above.
pub const PS_INTLEVEL: u32 = 15;
/// PS: an exception is being handled.
pub const PS_EXCM: u32 = 1 << 4;
/// PS: exceptions go to the user vector.
pub const PS_UM: u32 = 1 << 5;
/// PS: window overflows are looked for.
pub const PS_WOE: u32 = 1 << 18;
/// How many registers a window shows, how many there are, and how many are kept.
const NEAR: usize = 16;
const ALL: usize = 64;
const FAR: usize = ALL + NEAR - 4;
const PS_OWB: u32 = 8;
const PS_CALLINC: u32 = 16;
const PS_ALL: u32 = 0x0007_0FFF;

/// Everything that a core remembers: its registers as a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct State {
    config_id: [u32; 2],
    prid: u32,
    /// The address of the next instruction.
    pc: u32,
    /// The sixteen registers that code sees now; theirs in `far` are old.
    near: [u32; NEAR],
    /// All registers, and once more the first twelve: a window lies in one piece.
    far: [u32; FAR],
    base: u8,
    start: u16,
    /// How many windows beyond the first may be touched without an overflow.
    free: u8,
    ps: u32,
    sar: u32,
    lbeg: u32,
    lend: u32,
    lcount: u32,
    booleans: u16,
    scompare: u32,
    accumulator: i64,
    m: [u32; 4],
    float: [u32; 16],
    fcr: u32,
    fsr: u32,
    thread: u32,
    user: [u32; 4],
    vecbase: u32,
    epc: [u32; 8],
    eps: [u32; 8],
    excsave: [u32; 8],
    depc: u32,
    cause: u32,
    vaddr: u32,
    debug_cause: u32,
    coprocessors: u32,
    interrupt: u32,
    enabled: u32,
    lines: u32,
    /// Whether an interrupt is to be taken before the next instruction.
    attention: bool,
    ccount: u32,
    ccompare: [u32; 3],
    misc: [u32; 4],
    /// Registers of breakpoints, tracing and the like, that are kept and do nothing.
    kept: [u32; 10],
    regions: [[u8; 8]; 2],
}

/// One core. Its blocks of decoded code belong to the one [`crate::Space`] it runs on.
pub struct Cpu {
    state: State,
    /// Whether exceptions are the host's: [`crate::Stop::Exception`] names them. What a program cannot do without (window
    /// overflows and underflows, MOVSP's, SYSCALL, interrupts) the core enters by itself all the same.
    pub host_traps: bool,
    /// Cycles that pass with each look at CCOUNT, beside the instruction's own: code that waits by it waits less long.
    pub look: u32,
    config: Config,
    blocks: Blocks<Ins>,
}

impl Cpu {
    /// A core as it is behind a reset. `number`: 0, or 1 for the second one, which PRID tells.
    pub fn new(config: Config, number: u32) -> Self {
        let prid = if number == 0 { 0xCDCD } else { 0xABAB };
        Self { state: State::new(config.config_id, prid), host_traps: false, look: 0, config, blocks: Blocks::new() }
    }

    /// Where it runs.
    pub fn pc(&self) -> u32 {
        self.state.pc
    }

    /// Go on elsewhere.
    pub fn set_pc(&mut self, address: u32) {
        self.state.pc = address;
    }

    /// `a0` to `a15` of the current window; 0 for a number that is none.
    pub fn register(&self, number: usize) -> u32 {
        self.state.near.get(number).copied().unwrap_or_default()
    }

    /// The same, written.
    pub fn set_register(&mut self, number: usize, value: u32) {
        if let Some(register) = self.state.near.get_mut(number) {
            *register = value;
        }
    }

    /// `f0` to `f15`, as bits; 0 for a number that is none.
    pub fn float_register(&self, number: usize) -> u32 {
        self.state.float.get(number).copied().unwrap_or_default()
    }

    /// The same, written.
    pub fn set_float_register(&mut self, number: usize, bits: u32) {
        if let Some(register) = self.state.float.get_mut(number) {
            *register = bits;
        }
    }

    /// All registers.
    pub fn save(&self) -> State {
        self.state.clone()
    }

    /// All registers as they were at [`Cpu::save`].
    pub fn restore(&mut self, saved: &State) {
        self.state.clone_from(saved);
    }

    /// All registers as after a reset.
    pub fn reset(&mut self) {
        self.state = State::new(self.state.config_id, self.state.prid);
    }
}

impl State {
    fn new(config_id: [u32; 2], prid: u32) -> Self {
        Self {
            config_id,
            prid,
            pc: 0x4000_0400,
            near: [0; NEAR],
            far: [0; FAR],
            base: 0,
            start: 1,
            free: 3,
            ps: PS_INTLEVEL | PS_EXCM,
            sar: 0,
            lbeg: 0,
            lend: 0,
            lcount: 0,
            booleans: 0,
            scompare: 0,
            accumulator: 0,
            m: [0; 4],
            float: [0; 16],
            fcr: 0,
            fsr: 0,
            thread: 0,
            user: [0; 4],
            vecbase: 0x4000_0000,
            epc: [0; 8],
            eps: [0; 8],
            excsave: [0; 8],
            depc: 0,
            cause: 0,
            vaddr: 0,
            debug_cause: 0,
            coprocessors: 0,
            interrupt: 0,
            enabled: 0,
            lines: 0,
            attention: false,
            ccount: 0,
            ccompare: [0; 3],
            misc: [0; 4],
            kept: [0; 10],
            regions: [[2; 8]; 2],
        }
    }

    /// An address register of the current window.
    #[inline]
    fn get(&self, number: u8) -> u32 {
        self.near.get(usize::from(number & 15)).copied().unwrap_or_default()
    }

    #[inline]
    fn set(&mut self, number: u8, value: u32) {
        if let Some(register) = self.near.get_mut(usize::from(number & 15)) {
            *register = value;
        }
    }

    /// A boolean register.
    fn boolean(&self, number: u8) -> bool {
        self.booleans >> (number & 15) & 1 != 0
    }

    fn set_boolean(&mut self, number: u8, value: bool) {
        let bit = 1 << (number & 15);
        self.booleans = if value { self.booleans | bit } else { self.booleans & !bit };
    }

    /// PS, and what follows from it.
    fn set_ps(&mut self, value: u32) {
        self.ps = value & PS_ALL;
        self.look_at_windows();
        self.look_at_interrupts();
    }
}
