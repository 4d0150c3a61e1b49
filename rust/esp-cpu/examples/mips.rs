//! How many million RISC-V instructions the core does in a second: on a straight loop, and where code is large.

use std::io::Write;
use std::time::Instant;

use esp_cpu::bus::Silence;
use esp_cpu::riscv::{Cpu, Model};
use esp_cpu::{Rights, Space};

const CODE: u32 = 0x4200_0000;
const RAM: u32 = 0x3FC8_0000;
const FUNCTIONS: u32 = 4000;

const fn r(funct7: u32, rs2: u32, rs1: u32, funct3: u32, rd: u32) -> u32 {
    funct7 << 25 | rs2 << 20 | rs1 << 15 | funct3 << 12 | rd << 7 | 0x33
}

const fn i(opcode: u32, imm: u32, rs1: u32, funct3: u32, rd: u32) -> u32 {
    imm << 20 | rs1 << 15 | funct3 << 12 | rd << 7 | opcode
}

const fn sw(rs2: u32, imm: u32, rs1: u32) -> u32 {
    imm >> 5 << 25 | rs2 << 20 | rs1 << 15 | 2 << 12 | (imm & 31) << 7 | 0x23
}

const fn bne(rs1: u32, rs2: u32, offset: u32) -> u32 {
    (offset >> 12 & 1) << 31
        | (offset >> 5 & 63) << 25
        | rs2 << 20
        | rs1 << 15
        | 1 << 12
        | (offset >> 1 & 15) << 8
        | (offset >> 11 & 1) << 7
        | 0x63
}

const RET: u32 = i(0x67, 0, 1, 0, 0);

/// What a checksum is made of: loads, shifts, exclusive ors, a store; around and around.
fn straight() -> Vec<u32> {
    let mut code = Vec::new();
    for step in 0..8 {
        code.extend([
            i(0x03, 4 * step, 2, 2, 10), // lw a0, 4*step(sp)
            r(0, 11, 10, 4, 11),         // xor a1, a1, a0
            i(0x13, 5, 11, 1, 12),       // slli a2, a1, 5
            i(0x13, 27, 11, 5, 13),      // srli a3, a1, 27
            r(0, 13, 12, 6, 11),         // or a1, a2, a3
            sw(11, 64 + 4 * step, 2),    // sw a1, 64+4*step(sp)
        ]);
    }
    code.push(i(0x13, 1, 5, 0, 5)); // addi t0, t0, 1
    code.push(bne(5, 0, (4 * code.len() as u32).wrapping_neg()));
    code
}

/// Thousands of small functions with a loop each, called through a table in an order that no cache likes.
fn large() -> (Vec<u32>, Vec<u32>) {
    let mut code = vec![
        i(0x03, 0, 8, 2, 6), // lw t1, 0(s0)
        i(0x67, 0, 6, 0, 1), // jalr t1
        i(0x13, 4, 8, 0, 8), // addi s0, s0, 4
        bne(8, 9, 12u32.wrapping_neg()),
        r(0, 0, 18, 0, 8), // add s0, s2, x0
        bne(18, 0, 20u32.wrapping_neg()),
    ];
    let mut table = Vec::new();
    for number in 0..FUNCTIONS {
        table.push(CODE + 4 * code.len() as u32);
        code.extend([i(0x13, 0xFF0, 2, 0, 2), sw(1, 12, 2), sw(8, 8, 2), i(0x13, 3, 0, 0, 14)]);
        code.extend([
            i(0x03, 8, 2, 2, 10),
            i(0x13, number & 0x7FF, 10, 0, 11),
            r(0, 11, 10, 4, 12),
            r(1, 11, 12, 0, 13),
            sw(13, 4, 2),
            i(0x13, 0xFFF, 14, 0, 14),
            bne(14, 0, 24u32.wrapping_neg()),
        ]);
        code.extend([i(0x13, 0xFF, 13, 7, 13), bne(13, 0, 8), i(0x13, 1, 13, 0, 13)]);
        code.extend([i(0x03, 12, 2, 2, 1), i(0x03, 8, 2, 2, 8), i(0x13, 16, 2, 0, 2), RET]);
    }
    // A generator of the full period of the table's size.
    let order = (0..FUNCTIONS).map(|at| (at * 1361 + 7) % FUNCTIONS);
    let table = order.filter_map(|at| table.get(at as usize).copied()).collect();
    (code, table)
}

fn bytes(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_le_bytes()).collect()
}

fn mips(code: &[u32], table: &[u32], instructions: u32) -> f64 {
    let mut space = Space::new();
    space.add(0x20_0000, &[(CODE, Rights::READ | Rights::EXECUTE)]);
    space.add(0x6_0000, &[(RAM, Rights::READ | Rights::WRITE), (0x4038_0000, Rights::ALL)]);
    space.write_at(CODE, &bytes(code));
    space.write_at(RAM, &bytes(table));
    let mut cpu = Cpu::new(Model::default());
    cpu.set_pc(CODE);
    cpu.set_register(2, RAM + 0x5_0000);
    for (register, value) in [(8, RAM), (18, RAM), (9, RAM + 4 * table.len() as u32)] {
        cpu.set_register(register, value);
    }
    cpu.run(&mut space, &mut Silence, u64::from(instructions / 10));
    let start = Instant::now();
    cpu.run(&mut space, &mut Silence, u64::from(instructions));
    f64::from(instructions) / start.elapsed().as_secs_f64() / 1e6
}

fn main() -> std::io::Result<()> {
    let mut out = std::io::stdout();
    let (code, table) = large();
    writeln!(out, "straight code: {:.0} MIPS", mips(&straight(), &[], 300_000_000))?;
    writeln!(out, "{} KiB of code: {:.0} MIPS", code.len() / 256, mips(&code, &table, 200_000_000))
}
