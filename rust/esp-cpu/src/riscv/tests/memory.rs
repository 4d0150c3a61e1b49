use super::{A0, A1, A2, Bench, CODE, PAGE, RAM, REGISTERS, RS1, RS2, done, exception, itype};
use crate::bus::Bus;
use crate::stop::{Ran, Stop};

const fn store(funct3: u32, imm: u32) -> u32 {
    imm >> 5 << 25 | RS2 | RS1 | funct3 << 12 | (imm & 31) << 7 | 0x23
}

#[test]
fn loads_extend_as_they_say() {
    let vectors =
        [("lb", 0, 0xFFFF_FF80), ("lh", 1, 0xFFFF_9080), ("lw", 2, 0xB0A0_9080), ("lbu", 4, 0x80), ("lhu", 5, 0x9080)];
    for (name, funct3, expected) in vectors {
        // At the beginning, at an odd address, across pages, and by a negative offset.
        for (at, imm) in [(RAM, 0), (RAM + 1, 0), (RAM + PAGE - 1, 0), (RAM + 0x18, 0xFF8)] {
            let mut bench = Bench::new(&[itype(0x03, funct3, imm)]).with(&[(A1, at)]);
            let address = if imm == 0 { at } else { at - 8 };
            bench.set_word(address, 0xB0A0_9080);
            assert_eq!((bench.run(1), bench.x(A0)), (done(1), expected), "{name} 0x{at:08x}");
        }
    }
}

#[test]
fn stores_write_their_bytes_and_no_others() {
    let vectors = [("sb", 0, 0xFFFF_FF78), ("sh", 1, 0xFFFF_5678), ("sw", 2, 0x1234_5678)];
    for (name, funct3, expected) in vectors {
        for at in [RAM, RAM + 3, RAM + PAGE - 1, RAM + PAGE - 2] {
            let mut bench = Bench::new(&[store(funct3, 0xFFC)]).with(&[(A1, at + 4), (A2, 0x1234_5678)]);
            bench.set_word(at, u32::MAX);
            assert_eq!((bench.run(1), bench.word(at)), (done(1), Some(expected)), "{name} 0x{at:08x}");
            assert_eq!(bench.space.read_at(at + 4, 1), Some(vec![0]), "{name} 0x{at:08x}");
        }
    }
}

#[test]
fn a_fault_says_what_was_touched_and_leaves_everything() {
    let end = RAM + 4 * PAGE;
    let vectors = [
        ("nothing is there", itype(0x03, 2, 0), 16, exception(5, 16, 0)),
        ("the second half is not", itype(0x03, 2, 0), end - 2, exception(5, end, 0)),
        ("nothing to store into", store(2, 0), 20, exception(7, 20, 0)),
        ("the second half is not", store(2, 0), end - 1, exception(7, end, 0)),
    ];
    for (name, instruction, address, expected) in vectors {
        let mut bench = Bench::new(&[0x0010_0293, instruction]).with(&[(A0, 3), (A1, address), (A2, 9)]);
        let Ran { stop, instructions } = bench.run(9);
        assert_eq!((stop, instructions), (expected.stop, 1), "{name}");
        assert_eq!((bench.cpu.pc(), bench.x(A0), bench.x(5)), (CODE + 4, 3, 1), "{name}");
        assert_eq!(bench.space.read_at(end - 2, 2), Some(vec![0, 0]), "{name}");
    }
}

/// Registers that remember, and ask when they are told to.
#[derive(Default)]
struct Recorder {
    seen: Vec<(u32, u8, Option<u32>)>,
    asks: bool,
}

impl Bus for Recorder {
    fn read(&mut self, address: u32, size: u8) -> u32 {
        self.seen.push((address, size, None));
        0x9ABC_DEF0 & (u32::MAX >> (32 - 8 * u32::from(size)))
    }

    fn write(&mut self, address: u32, size: u8, value: u32) {
        self.seen.push((address, size, Some(value)));
        self.asks = value == 7;
    }

    fn asks(&self) -> bool {
        self.asks
    }
}

#[test]
fn the_bus_answers_where_registers_are() {
    let mut bus = Recorder::default();
    let code =
        [itype(0x03, 2, 4), itype(0x03, 0, 8), itype(0x03, 5, 12), store(2, 16), store(0, 20), itype(0x03, 1, 1)];
    let mut bench = Bench::new(&code).with(&[(A1, REGISTERS), (A2, 7)]);
    let mut loaded = Vec::new();
    for _ in 0..3 {
        bench.run_on(&mut bus, 1);
        loaded.push(bench.x(A0));
    }
    assert_eq!(loaded, [0x9ABC_DEF0, 0xFFFF_FFF0, 0xDEF0]);
    let asked = Ran { stop: Stop::Asked, instructions: 1 };
    assert_eq!((bench.run_on(&mut bus, 9), bench.run_on(&mut bus, 9)), (asked, asked));
    assert_eq!(bench.cpu.pc(), CODE + 20);
    bus.asks = false;
    bench.run_on(&mut bus, 1);
    let at = |offset, size, value| (REGISTERS + offset, size, value);
    let expected = [
        at(4, 4, None),
        at(8, 1, None),
        at(12, 2, None),
        at(16, 4, Some(7)),
        at(20, 1, Some(7)),
        // A register is not read across.
        at(1, 1, None),
        at(2, 1, None),
    ];
    assert_eq!(bus.seen, expected);
}

#[test]
fn registers_are_not_executed() {
    let mut bench = Bench::new(&[]);
    bench.cpu.set_pc(REGISTERS);
    assert_eq!(bench.run(1), exception(1, REGISTERS, 0));
}
