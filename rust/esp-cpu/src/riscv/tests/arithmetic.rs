use super::{A0, A1, Bench, CODE, RD, RS1, RS2, done, exception, itype, result};

const MIN: u32 = 0x8000_0000;
const MAX: u32 = 0x7FFF_FFFF;
const ONES: u32 = u32::MAX;

const fn register(funct7: u32, funct3: u32) -> u32 {
    funct7 << 25 | RS2 | RS1 | funct3 << 12 | RD | 0x33
}

#[test]
fn register_to_register() {
    let vectors = [
        ("add", register(0, 0), ONES, 2, 1),
        ("sub", register(0x20, 0), 0, 1, ONES),
        ("sub over the edge", register(0x20, 0), MIN, 1, MAX),
        ("sll takes five bits", register(0, 1), 1, 0xFFFF_FF3F, MIN),
        ("sll by 32 is by 0", register(0, 1), 5, 32, 5),
        ("slt", register(0, 2), MIN, 0, 1),
        ("slt of equals", register(0, 2), 7, 7, 0),
        ("sltu", register(0, 3), MIN, 0, 0),
        ("sltu of the largest", register(0, 3), 0, ONES, 1),
        ("xor", register(0, 4), 0xFF00_FF00, 0x0FF0_0FF0, 0xF0F0_F0F0),
        ("srl", register(0, 5), MIN, 31, 1),
        ("srl by 33 is by 1", register(0, 5), MIN, 33, 0x4000_0000),
        ("sra", register(0x20, 5), MIN, 31, ONES),
        ("sra by 32 is by 0", register(0x20, 5), MIN, 32, MIN),
        ("or", register(0, 6), 0xF0, 0x0F, 0xFF),
        ("and", register(0, 7), 0xF0, 0x3F, 0x30),
        ("mul", register(1, 0), 0x1_0001, 0x1_0001, 0x2_0001),
        ("mul of -1", register(1, 0), ONES, ONES, 1),
        ("mulh", register(1, 1), MIN, MIN, 0x4000_0000),
        ("mulh of -1 and 1", register(1, 1), ONES, 1, ONES),
        ("mulhsu", register(1, 2), ONES, ONES, ONES),
        ("mulhsu of the smallest", register(1, 2), MIN, MIN, 0xC000_0000),
        ("mulhu", register(1, 3), ONES, ONES, 0xFFFF_FFFE),
        ("div", register(1, 4), 0xFFFF_FFF9, 2, 0xFFFF_FFFD),
        ("div by zero", register(1, 4), 5, 0, ONES),
        ("div overflows", register(1, 4), MIN, ONES, MIN),
        ("divu", register(1, 5), MIN, ONES, 0),
        ("divu by zero", register(1, 5), 5, 0, ONES),
        ("rem", register(1, 6), 0xFFFF_FFF9, 2, ONES),
        ("rem takes the dividend's sign", register(1, 6), 7, 0xFFFF_FFFE, 1),
        ("rem by zero", register(1, 6), 5, 0, 5),
        ("rem overflows", register(1, 6), MIN, ONES, 0),
        ("remu", register(1, 7), ONES, 10, 5),
        ("remu by zero", register(1, 7), ONES, 0, ONES),
    ];
    for (name, instruction, a1, a2, expected) in vectors {
        assert_eq!(result(instruction, a1, a2), Some(expected), "{name}");
    }
}

#[test]
fn immediates() {
    let vectors = [
        ("addi", itype(0x13, 0, 0xFFF), 0, ONES),
        ("addi of the smallest", itype(0x13, 0, 0x800), 0, 0xFFFF_F800),
        ("slti", itype(0x13, 2, 0xFFF), MIN, 1),
        ("slti of equals", itype(0x13, 2, 0xFFF), ONES, 0),
        ("sltiu extends the sign first", itype(0x13, 3, 0xFFF), 0xFFFF_FFFE, 1),
        ("sltiu of equals", itype(0x13, 3, 5), 5, 0),
        ("sltiu 1 is whether it is zero", itype(0x13, 3, 1), 0, 1),
        ("xori -1 inverts", itype(0x13, 4, 0xFFF), 0x1234_5678, 0xEDCB_A987),
        ("ori", itype(0x13, 6, 0x7FF), MIN, 0x8000_07FF),
        ("andi", itype(0x13, 7, 0xF0F), ONES, 0xFFFF_FF0F),
        ("slli", itype(0x13, 1, 31), 3, MIN),
        ("srli", itype(0x13, 5, 31), MIN, 1),
        ("srai", itype(0x13, 5, 0x400 | 31), MIN, ONES),
        ("srai 0", itype(0x13, 5, 0x400), MIN, MIN),
    ];
    for (name, instruction, a1, expected) in vectors {
        assert_eq!(result(instruction, a1, 0), Some(expected), "{name}");
    }
    assert_eq!(result(0x8000_0000 | RD | 0x37, 0, 0), Some(MIN), "lui");
    assert_eq!(result(0xFFFF_F000 | RD | 0x17, 0, 0), Some(CODE - 0x1000), "auipc");
}

#[test]
fn the_first_register_stays_zero() {
    let mut bench = Bench::new(&[0x0050_0013, 0x0000_0533]).with(&[(0, 9), (A0, 1)]);
    assert_eq!((bench.run(2), bench.x(0), bench.x(A0)), (done(2), 0, 0));
}

#[test]
fn what_the_manual_does_not_list_is_illegal() {
    let words = [
        0xFFFF_FFFF,
        0x0000_0007,       // flw
        0x0000_0053,       // fadd.s
        0x0000_001F,       // longer than 32 bits
        register(2, 0),    // no such funct7
        register(0x20, 1), // sub's funct7 on sll
        register(0x21, 5),
        itype(0x13, 1, 0x400 | 1), // slli with srai's bit
        itype(0x13, 5, 0x200 | 1),
        itype(0x03, 3, 0), // ld
        itype(0x03, 6, 0), // lwu
        itype(0x23, 3, 0), // sd
        itype(0x63, 2, 0), // no such branch
        itype(0x67, 1, 0), // jalr's funct3
        itype(0x0F, 2, 0), // fence's
        itype(0x73, 4, 0),
        0x1020_0073, // sret: there is no supervisor
        0x1200_0073, // sfence.vma
        0x3020_00F3, // mret with a destination
    ];
    for word in words {
        let mut bench = Bench::new(&[word]).with(&[(A1, 1)]);
        assert_eq!(bench.run(5), exception(2, word, 0), "0x{word:08x}");
        assert_eq!(bench.cpu.pc(), CODE, "0x{word:08x}");
    }
}
