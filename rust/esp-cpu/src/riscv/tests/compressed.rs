use super::{Bench, CODE, RAM, done, exception};

/// Registers as they are before each vector: what the number says, and places in memory.
fn bench(code: &[u16]) -> Bench {
    let bench = Bench::of_halves(code);
    bench.with(&[(1, CODE + 0x40), (2, RAM + 0x100), (5, 50), (8, RAM), (9, 9), (10, 0xFFFF_FFF0), (15, 15)])
}

/// One instruction, and a register behind it.
fn register(code: u16, number: usize) -> (u32, u32) {
    let mut bench = bench(&[code]);
    bench.set_word(RAM + 0x44, 0x1234_5678);
    bench.set_word(RAM + 0x1FC, 0x8765_4321);
    assert_eq!(bench.run(1), done(1), "0x{code:04x}");
    (bench.x(number), bench.cpu.pc() - CODE)
}

#[test]
fn forms_that_write_a_register() {
    let vectors = [
        ("c.addi4spn s0, sp, 4", 0x0040, 8, RAM + 0x104),
        ("c.addi4spn s1, sp, 1020", 0x1FE4, 9, RAM + 0x100 + 1020),
        ("c.lw a0, 68(s0)", 0x4068, 10, 0x1234_5678),
        ("c.addi t0, -1", 0x12FD, 5, 49),
        ("c.addi t0, 31", 0x02FD, 5, 81),
        ("c.li t0, -32", 0x5281, 5, 0xFFFF_FFE0),
        ("c.addi16sp sp, -512", 0x7101, 2, RAM + 0x100 - 512),
        ("c.addi16sp sp, 496", 0x617D, 2, RAM + 0x100 + 496),
        ("c.lui t0, -1", 0x72FD, 5, 0xFFFF_F000),
        ("c.lui t0, 1", 0x6285, 5, 0x1000),
        ("c.srli a0, 4", 0x8111, 10, 0x0FFF_FFFF),
        ("c.srai a0, 4", 0x8511, 10, 0xFFFF_FFFF),
        ("c.andi a5, -2", 0x9BF9, 15, 14),
        ("c.sub a5, s1", 0x8F85, 15, 6),
        ("c.xor a5, s1", 0x8FA5, 15, 6),
        ("c.or a5, s1", 0x8FC5, 15, 15),
        ("c.and a5, s1", 0x8FE5, 15, 9),
        ("c.slli t0, 31", 0x02FE, 5, 0),
        ("c.slli a5, 4", 0x0792, 15, 240),
        ("c.lwsp t0, 252(sp)", 0x52FE, 5, 0x8765_4321),
        ("c.mv t0, a5", 0x82BE, 5, 15),
        ("c.add t0, a5", 0x92BE, 5, 65),
    ];
    for (name, code, number, expected) in vectors {
        assert_eq!(register(code, number), (expected, 2), "{name}");
    }
}

#[test]
fn forms_that_store() {
    let vectors = [("c.sw s1, 124(s0)", 0xDC64, RAM + 124, 9), ("c.swsp t0, 252(sp)", 0xDF96, RAM + 0x1FC, 50)];
    for (name, code, address, expected) in vectors {
        let mut bench = bench(&[code]);
        assert_eq!((bench.run(1), bench.word(address)), (done(1), Some(expected)), "{name}");
    }
}

#[test]
fn forms_that_jump() {
    let vectors = [
        ("c.jal -2048", 0x3001, CODE - 2048, CODE + 2),
        ("c.jal 2046", 0x2FFD, CODE + 2046, CODE + 2),
        ("c.j 0x20", 0xA005, CODE + 0x20, CODE + 0x40),
        ("c.beqz s1, 4", 0xC091, CODE + 2, CODE + 0x40),
        ("c.bnez s1, -256", 0xF081, CODE - 256, CODE + 0x40),
        ("c.bnez s1, 254", 0xECFD, CODE + 254, CODE + 0x40),
        ("c.jr ra", 0x8082, CODE + 0x40, CODE + 0x40),
        ("c.jalr ra", 0x9082, CODE + 0x40, CODE + 2),
    ];
    for (name, code, to, ra) in vectors {
        let mut bench = bench(&[code]);
        assert_eq!((bench.run(1), bench.cpu.pc(), bench.x(1)), (done(1), to, ra), "{name}");
    }
}

#[test]
fn hints_do_nothing() {
    for (name, code) in
        [("c.nop", 0x0001), ("c.nop 5", 0x0015), ("c.li x0", 0x4015), ("c.lui x0", 0x6015), ("c.mv x0", 0x8016)]
    {
        let mut bench = bench(&[code]);
        let before: Vec<_> = (0..32).map(|number| bench.x(number)).collect();
        assert_eq!((bench.run(1), bench.cpu.pc()), (done(1), CODE + 2), "{name}");
        assert_eq!((0..32).map(|number| bench.x(number)).collect::<Vec<_>>(), before, "{name}");
    }
}

#[test]
fn reserved_forms_and_floating_point_are_illegal() {
    let codes: [(&str, u16); 14] = [
        ("all zeros", 0x0000),
        ("c.addi4spn by 0", 0x0008),
        ("c.fld", 0x2000),
        ("c.flw", 0x6000),
        ("quadrant 0, 4", 0x8000),
        ("c.fsw", 0xE000),
        ("c.addi16sp by 0", 0x6101),
        ("c.lui by 0", 0x6281),
        ("c.srli by 32", 0x9101),
        ("c.subw", 0x9C05),
        ("c.slli by 32", 0x1282),
        ("c.lwsp x0", 0x4002),
        ("c.jr x0", 0x8002),
        ("c.fswsp", 0xE002),
    ];
    for (name, code) in codes {
        let mut bench = bench(&[code]);
        assert_eq!((bench.run(5), bench.cpu.pc()), (exception(2, code.into(), 0), CODE), "{name}");
    }
    let mut bench = bench(&[0x9002]);
    assert_eq!((bench.run(5), bench.cpu.pc()), (exception(3, 0, 0), CODE), "c.ebreak");
}

#[test]
fn a_long_instruction_may_lie_across_pages() {
    // addi a0, a0, 0x123 in the last two bytes of a page and the first two of the next one.
    let mut bench = Bench::new(&[]).with(&[(10, 1)]);
    bench.space.write_at(CODE + 0xFFE, &0x1235_0513_u32.to_le_bytes());
    bench.cpu.set_pc(CODE + 0xFFE);
    assert_eq!((bench.run(1), bench.cpu.pc(), bench.x(10)), (done(1), CODE + 0x1002, 0x124));
    // Its second half changes: it is another one.
    bench.space.write_at(CODE + 0x1000, &[0x45, 0x67]);
    bench.cpu.set_pc(CODE + 0xFFE);
    assert_eq!((bench.run(1), bench.x(10)), (done(1), 0x124 + 0x674));
}
