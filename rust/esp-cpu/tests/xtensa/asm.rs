//! A core with memory, and as much of an assembler as the tests need.

use esp_cpu::bus::Silence;
use esp_cpu::xtensa::{Config, Cpu, ESP32};
use esp_cpu::{Ran, Rights, Space, Stop};

/// Where the memory begins: the vectors are here.
pub(crate) const BASE: u32 = 0x4000_0000;
/// Where programs begin.
pub(crate) const CODE: u32 = BASE + 0x1000;
/// Data, and the stack below it.
pub(crate) const DATA: u32 = BASE + 0x8000;
pub(crate) const PS: u16 = 230;
pub(crate) const EXCCAUSE: u16 = 232;
pub(crate) const EXCVADDR: u16 = 238;
pub(crate) const EPC1: u16 = 177;

pub(crate) struct Machine {
    pub(crate) cpu: Cpu,
    pub(crate) space: Space,
}

impl Machine {
    /// A program at [`CODE`], user mode, windows on.
    pub(crate) fn new(code: &[Vec<u8>]) -> Self {
        Self::of(ESP32, code)
    }

    pub(crate) fn of(config: Config, code: &[Vec<u8>]) -> Self {
        let mut machine = Self { cpu: Cpu::new(config, 0), space: Space::new() };
        machine.space.add(0x10000, &[(BASE, Rights::ALL)]);
        machine.put(CODE, code);
        machine.cpu.set_pc(CODE);
        machine.cpu.set_special(PS, 0x0004_0020);
        machine.cpu.set_register(1, DATA);
        machine
    }

    pub(crate) fn put(&mut self, address: u32, code: &[Vec<u8>]) {
        assert!(self.space.write_at(address, &code.concat()));
    }

    pub(crate) fn run(&mut self, budget: u64) -> Ran {
        self.cpu.run(&mut self.space, &mut Silence, budget)
    }

    /// Runs exactly `budget` instructions.
    pub(crate) fn steps(&mut self, budget: u64) {
        assert_eq!(self.run(budget), Ran { stop: Stop::Budget, instructions: budget });
    }

    pub(crate) fn special(&self, number: u16) -> u32 {
        self.cpu.special(number).unwrap_or(0xDEAD_BEEF)
    }

    pub(crate) fn word(&self, address: u32) -> u32 {
        let bytes = self.space.read_at(address, 4).unwrap_or_default();
        bytes.iter().rev().fold(0, |word, &byte| word << 8 | u32::from(byte))
    }
}

/// Three bytes.
pub(crate) fn word(word: u32) -> Vec<u8> {
    word.to_le_bytes()[..3].to_vec()
}

/// Fields of the format RRR: op2, op1, r, s, t; op0 is 0.
pub(crate) fn rrr(op2: u32, op1: u32, r: u32, s: u32, t: u32) -> Vec<u8> {
    word(op2 << 20 | op1 << 16 | r << 12 | s << 8 | t << 4)
}

/// Fields of the format RRI8: op0, r, s, t, imm8.
pub(crate) fn rri8(op0: u32, r: u32, s: u32, t: u32, imm8: i32) -> Vec<u8> {
    word((imm8 as u32 & 255) << 16 | r << 12 | s << 8 | t << 4 | op0)
}

pub(crate) fn movi(t: u32, value: i32) -> Vec<u8> {
    rri8(2, 10, value as u32 >> 8 & 15, t, value)
}
pub(crate) fn addi(t: u32, s: u32, value: i32) -> Vec<u8> {
    rri8(2, 12, s, t, value)
}
pub(crate) fn l32i(t: u32, s: u32, offset: i32) -> Vec<u8> {
    rri8(2, 2, s, t, offset / 4)
}
pub(crate) fn s32i(t: u32, s: u32, offset: i32) -> Vec<u8> {
    rri8(2, 6, s, t, offset / 4)
}
pub(crate) fn rsr(number: u32, t: u32) -> Vec<u8> {
    rrr(0, 3, number >> 4, number & 15, t)
}
pub(crate) fn wsr(number: u32, t: u32) -> Vec<u8> {
    rrr(1, 3, number >> 4, number & 15, t)
}
pub(crate) fn entry(s: u32, size: u32) -> Vec<u8> {
    word((size / 8) << 12 | s << 8 | 0x36)
}
/// CALL0, 4, 8, 12 by `windows`, from the address `at`, a multiple of four.
pub(crate) fn call(windows: u32, at: u32, to: u32) -> Vec<u8> {
    word((to.wrapping_sub(at + 4) >> 2 & 0x3FFFF) << 6 | windows << 4 | 5)
}
/// Jump by `distance` from the instruction itself.
pub(crate) fn jump(distance: i32) -> Vec<u8> {
    word(((distance - 4) as u32 & 0x3FFFF) << 6 | 6)
}
pub(crate) fn retw() -> Vec<u8> {
    word(0x90)
}
pub(crate) fn nop() -> Vec<u8> {
    word(0x20F0)
}
