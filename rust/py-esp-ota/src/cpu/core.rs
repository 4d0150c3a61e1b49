//! The cores by instruction set: what of a call, a trap or a fault is each one's own.

use esp_cpu::riscv::{self, Hart, Model};
use esp_cpu::{Access, Bus, Fault, Ran, Space};

const RA: usize = 1;
const SP: usize = 2;
const T0: usize = 5;
const A0: usize = 10;
const MSTATUS: u16 = 0x300;
const MEPC: u16 = 0x341;
const MSCRATCH: u16 = 0x340;
const MIE: u32 = 1 << 3;
/// `c.jr t0`
const JUMPS: [u8; 2] = [0x82, 0x82];

/// One core. Its exceptions are the host's to see.
pub(super) enum Core {
    Riscv(Box<riscv::Cpu>),
}

/// All of its registers.
#[derive(Clone)]
pub(super) enum State {
    Riscv(Box<Hart>),
}

impl Core {
    /// The core that executes `isa`, or none.
    pub(super) fn new(isa: &str) -> Option<Self> {
        let mut core = riscv::Cpu::new(Model::default());
        core.host_traps = true;
        (isa == "riscv").then(|| Self::Riscv(Box::new(core)))
    }

    pub(super) fn run(&mut self, space: &mut Space, bus: &mut dyn Bus, budget: u64) -> Ran {
        match self {
            Self::Riscv(core) => core.run(space, bus, budget),
        }
    }

    pub(super) fn pc(&self) -> u32 {
        match self {
            Self::Riscv(core) => core.pc(),
        }
    }

    pub(super) fn set_pc(&mut self, pc: u32) {
        match self {
            Self::Riscv(core) => core.set_pc(pc),
        }
    }

    pub(super) fn register(&self, number: usize) -> u32 {
        match self {
            Self::Riscv(core) => core.register(number),
        }
    }

    pub(super) fn set_register(&mut self, number: usize, value: u32) {
        match self {
            Self::Riscv(core) => core.set_register(number, value),
        }
    }

    pub(super) fn sp(&self) -> u32 {
        match self {
            Self::Riscv(core) => core.register(SP),
        }
    }

    pub(super) fn ra(&self) -> u32 {
        match self {
            Self::Riscv(core) => core.register(RA),
        }
    }

    pub(super) fn set_ra(&mut self, address: u32) {
        match self {
            Self::Riscv(core) => core.set_register(RA, address),
        }
    }

    pub(super) fn argument(&self, index: usize) -> u32 {
        match self {
            Self::Riscv(core) => core.register(A0 + index),
        }
    }

    pub(super) fn set_argument(&mut self, index: usize, value: u32) {
        match self {
            Self::Riscv(core) => core.set_register(A0 + index, value),
        }
    }

    /// Word `index` of what the function that runs returns.
    pub(super) fn set_result(&mut self, index: usize, value: u32) {
        self.set_argument(index, value);
    }

    /// Where code that only jumps goes on.
    pub(super) fn go_to(&mut self, address: u32) {
        match self {
            Self::Riscv(core) => core.set_register(T0, address),
        }
    }

    /// Do by hand what `code` does, the one instruction of a function of ROM.
    pub(super) fn leave_call(&mut self, code: &[u8]) {
        match self {
            Self::Riscv(core) => core.set_pc(core.register(if code == JUMPS { T0 } else { RA })),
        }
    }

    /// What an exception of this number failed at in memory; `None`: it is none of memory.
    pub(super) fn access(&self, cause: u32) -> Option<Access> {
        match (self, cause) {
            (Self::Riscv(_), 1) => Some(Access::Fetch),
            (Self::Riscv(_), 5) => Some(Access::Load),
            (Self::Riscv(_), 7) => Some(Access::Store),
            _ => None,
        }
    }

    /// Whether the code at `pc` is an instruction, when it can be fetched.
    pub(super) fn is_legal(&self, space: &mut Space, pc: u32) -> Result<bool, Fault> {
        match self {
            Self::Riscv(core) => core.is_legal(space, pc),
        }
    }

    pub(super) fn interruptible(&self) -> bool {
        match self {
            Self::Riscv(core) => core.csr(MSTATUS).unwrap_or_default() & MIE != 0,
        }
    }

    pub(super) fn enter(&mut self, cause: u32, value: u32) {
        match self {
            Self::Riscv(core) => core.enter(cause, value),
        }
    }

    pub(super) fn save(&self) -> State {
        match self {
            Self::Riscv(core) => State::Riscv(Box::new(core.save())),
        }
    }

    pub(super) fn restore(&mut self, state: &State) {
        match (self, state) {
            (Self::Riscv(core), State::Riscv(hart)) => core.restore(hart),
        }
    }

    /// All that decides what the core does next, but for its memory.
    pub(super) fn words(&self) -> Vec<u32> {
        match self {
            Self::Riscv(core) => {
                let general = (1..32).map(|number| core.register(number));
                let special = [MSTATUS, MEPC, MSCRATCH].into_iter().map(|number| core.csr(number).unwrap_or_default());
                std::iter::once(core.pc()).chain(general).chain(special).collect()
            }
        }
    }

    /// General registers as after power-on, but for the stack pointer.
    pub(super) fn reset(&mut self, stack_top: u32) {
        for number in 1..32 {
            self.set_register(number, 0);
        }
        match self {
            Self::Riscv(core) => core.set_register(SP, stack_top),
        }
    }
}
