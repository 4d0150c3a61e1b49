use super::{A0, A1, A2, Bench, CODE, RAM, RD, RS1, RS2, done, exception};
use crate::riscv::{Cpu, Model};

const fn amo(funct5: u32) -> u32 {
    funct5 << 27 | RS2 | RS1 | 2 << 12 | RD | 0x2F
}

const LR: u32 = 2 << 27 | RS1 | 2 << 12 | RD | 0x2F;
const SC: u32 = amo(3);

#[test]
fn each_returns_what_was_and_leaves_what_it_makes() {
    let vectors = [
        ("amoadd", 0, 0xFFFF_FFFF, 2, 1),
        ("amoswap", 1, 5, 9, 9),
        ("amoxor", 4, 0xFF, 0x0F, 0xF0),
        ("amoor", 8, 0xF0, 0x0F, 0xFF),
        ("amoand", 0xC, 0xF0, 0x3C, 0x30),
        ("amomin", 0x10, 1, 0xFFFF_FFFF, 0xFFFF_FFFF),
        ("amomax", 0x14, 1, 0xFFFF_FFFF, 1),
        ("amominu", 0x18, 1, 0xFFFF_FFFF, 1),
        ("amomaxu", 0x1C, 1, 0xFFFF_FFFF, 0xFFFF_FFFF),
    ];
    for (name, funct5, before, operand, after) in vectors {
        let mut bench = Bench::new(&[amo(funct5)]).with(&[(A1, RAM + 8), (A2, operand)]);
        bench.set_word(RAM + 8, before);
        assert_eq!((bench.run(1), bench.x(A0), bench.word(RAM + 8)), (done(1), before, Some(after)), "{name}");
    }
}

#[test]
fn a_conditional_store_needs_its_reservation() {
    let stored = |code: &[u32]| {
        let mut bench = Bench::new(code).with(&[(A0, 7), (A1, RAM), (A2, 5), (13, RAM + 4)]);
        assert_eq!(bench.run(code.len() as u64), done(code.len() as u64));
        (bench.x(A0), bench.word(RAM))
    };
    assert_eq!(stored(&[LR, SC]), (0, Some(5)));
    assert_eq!(stored(&[SC]), (1, Some(0)), "none");
    assert_eq!(stored(&[LR, SC, SC]), (1, Some(5)), "used up");
    assert_eq!(stored(&[LR ^ RS1 | 13 << 15, SC]), (1, Some(0)), "of another address");
    // addi a2, a2, 1; sw a2, 0(a1); the word is another one since.
    assert_eq!(stored(&[LR, 0x0016_0613, 0x00C5_A023, SC]), (1, Some(6)), "written since");
}

#[test]
fn they_are_aligned_and_fail_as_stores() {
    for (name, instruction, misaligned, nowhere) in [("lr", LR, 4, 5), ("sc", SC, 6, 7), ("amoadd", amo(0), 6, 7)] {
        let mut bench = Bench::new(&[instruction]).with(&[(A1, RAM + 2)]);
        assert_eq!((bench.run(5), bench.cpu.pc()), (exception(misaligned, RAM + 2, 0), CODE), "{name}");
        if instruction != SC {
            let mut bench = Bench::new(&[instruction]).with(&[(A1, 0x100)]);
            assert_eq!((bench.run(5), bench.cpu.pc()), (exception(nowhere, 0x100, 0), CODE), "{name}");
        }
    }
}

#[test]
fn without_the_extension_and_in_reserved_forms_they_are_illegal() {
    for word in [LR | RS2, amo(5), amo(0) ^ 1 << 12, amo(0x1F)] {
        assert_eq!(Bench::new(&[word]).run(5), exception(2, word, 0), "0x{word:08x}");
    }
    for word in [LR, SC, amo(0)] {
        let mut bench = Bench::new(&[word]).with(&[(A1, RAM)]);
        bench.cpu = Cpu::new(Model { atomics: false, ..Model::default() });
        bench.cpu.host_traps = true;
        bench.cpu.set_pc(CODE);
        assert_eq!(bench.run(5), exception(2, word, 0), "0x{word:08x}");
        assert_eq!(bench.cpu.csr(0x301), Some(0x4010_1104));
    }
}
