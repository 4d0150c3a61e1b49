//! Vectors from the ISA manual, instruction by instruction.

mod arithmetic;
mod atomic;
mod clic;
mod compressed;
mod control;
mod memory;
mod protection;
mod runs;
mod traps;

use super::{Cpu, Model};
use crate::bus::{Bus, Silence};
use crate::space::{Rights, Space};
use crate::stop::{Ran, Stop};

const CODE: u32 = 0x4200_0000;
const RAM: u32 = 0x3FC8_0000;
const REGISTERS: u32 = 0x6000_0000;
const PAGE: u32 = 4096;

const EBREAK: u32 = 0x0010_0073;
const MRET: u32 = 0x3020_0073;
const WFI: u32 = 0x1050_0073;
const NOP: u32 = 0x0000_0013;

/// The registers that vectors use: a0 is written, a1 and a2 are read.
const A0: usize = 10;
const A1: usize = 11;
const A2: usize = 12;
const RD: u32 = 10 << 7;
const RS1: u32 = 11 << 15;
const RS2: u32 = 12 << 20;

/// A core with code and memory, whose exceptions the host is told of.
struct Bench {
    cpu: Cpu,
    space: Space,
}

impl Bench {
    fn new(code: &[u32]) -> Self {
        Self::of_bytes(&code.iter().flat_map(|word| word.to_le_bytes()).collect::<Vec<_>>())
    }

    fn of_halves(code: &[u16]) -> Self {
        Self::of_bytes(&code.iter().flat_map(|half| half.to_le_bytes()).collect::<Vec<_>>())
    }

    fn of_bytes(code: &[u8]) -> Self {
        let mut space = Space::new();
        space.add(4 * PAGE as usize, &[(CODE, Rights::ALL)]);
        space.add(4 * PAGE as usize, &[(RAM, Rights::READ | Rights::WRITE)]);
        space.add_registers(REGISTERS, REGISTERS + PAGE);
        space.write_at(CODE, code);
        let mut cpu = Cpu::new(Model::default());
        cpu.host_traps = true;
        cpu.set_pc(CODE);
        Self { cpu, space }
    }

    fn with(mut self, registers: &[(usize, u32)]) -> Self {
        for &(number, value) in registers {
            self.cpu.set_register(number, value);
        }
        self
    }

    fn run(&mut self, budget: u64) -> Ran {
        self.run_on(&mut Silence, budget)
    }

    fn run_on(&mut self, bus: &mut dyn Bus, budget: u64) -> Ran {
        self.cpu.run(&mut self.space, bus, budget)
    }

    fn x(&self, number: usize) -> u32 {
        self.cpu.register(number)
    }

    fn word(&self, address: u32) -> Option<u32> {
        let bytes = self.space.read_at(address, 4)?;
        bytes.first_chunk().map(|bytes| u32::from_le_bytes(*bytes))
    }

    fn set_word(&mut self, address: u32, value: u32) {
        self.space.write_at(address, &value.to_le_bytes());
    }
}

/// What a0 is behind one instruction with these in a1 and a2.
fn result(instruction: u32, a1: u32, a2: u32) -> Option<u32> {
    let mut bench = Bench::new(&[instruction]).with(&[(A0, 0xDEAD_BEEF), (A1, a1), (A2, a2)]);
    (bench.run(1) == done(1)).then(|| bench.x(A0))
}

/// The budget was used up.
const fn done(instructions: u64) -> Ran {
    Ran { stop: Stop::Budget, instructions }
}

const fn exception(cause: u32, value: u32, instructions: u64) -> Ran {
    Ran { stop: Stop::Exception { cause, value }, instructions }
}

const fn itype(opcode: u32, funct3: u32, imm: u32) -> u32 {
    imm << 20 | RS1 | funct3 << 12 | RD | opcode
}

const fn csr(funct3: u32, number: u32, rs1: u32, rd: u32) -> u32 {
    number << 20 | rs1 << 15 | funct3 << 12 | rd << 7 | 0x73
}
