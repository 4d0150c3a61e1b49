use super::{A1, A2, Bench, CODE, PAGE, RS1, RS2, done, exception};

const fn branch(funct3: u32) -> u32 {
    // 8 bytes on
    RS2 | RS1 | funct3 << 12 | 8 << 7 | 0x63
}

#[test]
fn branches_compare_as_they_say() {
    let (minus, one) = (u32::MAX, 1);
    // Of (-1, 1), (1, -1) and (1, 1) those that branch.
    let vectors = [
        ("beq", 0, [false, false, true]),
        ("bne", 1, [true, true, false]),
        ("blt", 4, [true, false, false]),
        ("bge", 5, [false, true, true]),
        ("bltu", 6, [false, true, false]),
        ("bgeu", 7, [true, false, true]),
    ];
    for (name, funct3, taken) in vectors {
        for ((a1, a2), taken) in [(minus, one), (one, minus), (one, one)].into_iter().zip(taken) {
            let mut bench = Bench::new(&[branch(funct3)]).with(&[(A1, a1), (A2, a2)]);
            assert_eq!(bench.run(1), done(1));
            assert_eq!(bench.cpu.pc(), CODE + if taken { 8 } else { 4 }, "{name} {a1:x} {a2:x}");
        }
    }
}

#[test]
fn every_bit_of_an_offset_counts() {
    let beq =
        |imm: u32| (imm >> 12 & 1) << 31 | (imm >> 5 & 63) << 25 | (imm >> 1 & 15) << 8 | (imm >> 11 & 1) << 7 | 0x63;
    let jal = |imm: u32| {
        (imm >> 20 & 1) << 31 | (imm >> 1 & 0x3FF) << 21 | (imm >> 11 & 1) << 20 | (imm >> 12 & 0xFF) << 12 | 0xEF
    };
    let after = |word: u32| {
        let mut bench = Bench::new(&[word]);
        (bench.run(1), bench.cpu.pc(), bench.x(1))
    };
    for bit in 1..12 {
        assert_eq!(after(beq(1 << bit)), (done(1), CODE + (1 << bit), 0));
        assert_eq!(after(beq(0u32.wrapping_sub(1 << bit))), (done(1), CODE - (1 << bit), 0));
    }
    assert_eq!(after(beq(0x1000)).1, CODE - 0x1000);
    for bit in 1..20 {
        assert_eq!(after(jal(1 << bit)), (done(1), CODE + (1 << bit), CODE + 4));
        assert_eq!(after(jal(0u32.wrapping_sub(1 << bit))), (done(1), CODE - (1 << bit), CODE + 4));
    }
    assert_eq!(after(jal(0x10_0000)).1, CODE - 0x10_0000);
}

#[test]
fn jalr_clears_the_lowest_bit_and_may_link_its_own_base() {
    let jalr = |rd: u32, imm: u32| imm << 20 | RS1 | rd << 7 | 0x67;
    let mut bench = Bench::new(&[jalr(11, 7)]).with(&[(A1, CODE + 0x100)]);
    assert_eq!((bench.run(1), bench.cpu.pc(), bench.x(A1)), (done(1), CODE + 0x106, CODE + 4));
    let mut bench = Bench::new(&[jalr(0, 0xFFF)]).with(&[(A1, 0)]);
    assert_eq!((bench.run(1), bench.cpu.pc()), (done(1), 0xFFFF_FFFE));
}

#[test]
fn a_jump_to_nowhere_is_done_and_what_is_there_is_not() {
    let mut bench = Bench::new(&[RS1 | 0x67]).with(&[(A1, 0x100)]);
    assert_eq!((bench.run(9), bench.cpu.pc()), (exception(1, 0x100, 1), 0x100));
    // An instruction whose second half is not there.
    let mut bench = Bench::new(&[]);
    let last = CODE + 4 * PAGE - 2;
    bench.space.write_at(last, &[0x13, 0]);
    bench.cpu.set_pc(last);
    assert_eq!((bench.run(9), bench.cpu.pc()), (exception(1, last + 2, 0), last));
}

#[test]
fn fences_do_nothing_that_can_be_seen() {
    let mut bench = Bench::new(&[0x0FF0_000F, 0x8330_000F, 0x0000_100F]);
    assert_eq!((bench.run(3), bench.cpu.pc()), (done(3), CODE + 12));
}
