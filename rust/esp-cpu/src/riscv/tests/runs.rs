use super::{A0, A1, A2, Bench, CODE, EBREAK, NOP, PAGE, RAM, RS1, RS2, csr, done, exception};
use crate::space::Rights;
use crate::stop::{Ran, Stop};

/// addi a0, a0, 1
const COUNT: u32 = 0x0015_0513;
/// jal x0, -12
const BACK: u32 = 0xFF5F_F06F;
const BROKEN: Stop = Stop::Break;

#[test]
fn any_budget_is_kept_to_the_instruction() {
    let code = [COUNT, COUNT, COUNT, BACK];
    for budget in 0..40 {
        let mut bench = Bench::new(&code);
        assert_eq!((bench.run(budget), bench.x(A0)), (done(budget), (budget - budget / 4) as u32));
        assert_eq!(bench.cpu.pc(), CODE + 4 * (budget % 4) as u32);
        // The same in two runs.
        let mut bench = Bench::new(&code);
        assert_eq!(bench.run(budget / 3), done(budget / 3));
        bench.run(budget - budget / 3);
        assert_eq!(bench.x(A0), (budget - budget / 4) as u32);
    }
}

#[test]
fn a_long_run_of_code_is_more_than_one_block() {
    let mut bench = Bench::new(&vec![COUNT; 3000]);
    assert_eq!((bench.run(3000), bench.x(A0), bench.cpu.pc()), (done(3000), 3000, CODE + 12000));
}

#[test]
fn a_watched_instruction_is_not_done_unless_it_is_the_first() {
    let mut bench = Bench::new(&[COUNT, COUNT, COUNT, BACK]);
    bench.run(9);
    bench.cpu.set_pc(CODE);
    let number = bench.space.watch(CODE + 8, CODE + 8);
    let before = bench.x(A0);
    assert_eq!(bench.run(9), Ran { stop: BROKEN, instructions: 2 });
    assert_eq!((bench.cpu.pc(), bench.x(A0)), (CODE + 8, before + 2));
    assert_eq!(bench.run(9), Ran { stop: BROKEN, instructions: 4 });
    assert_eq!(bench.run(4), Ran { stop: BROKEN, instructions: 4 }, "before the budget");
    assert_eq!(bench.run(3), done(3));
    assert_eq!(bench.run(0), done(0));
    bench.space.unwatch(number);
    assert_eq!(bench.run(20), done(20));
}

#[test]
fn a_range_is_watched_wherever_code_gets_into_it() {
    // A jump to where no code is at all is seen before it fails.
    let mut bench = Bench::new(&[RS1 | 0x67]).with(&[(A1, 0x1234_5678)]);
    bench.space.watch(0, CODE - 1);
    assert_eq!((bench.run(9), bench.cpu.pc()), (Ran { stop: BROKEN, instructions: 1 }, 0x1234_5678));
    assert_eq!(bench.run(9), exception(1, 0x1234_5678, 0));
    // Within the range every instruction is watched.
    let mut bench = Bench::new(&[COUNT; 4]);
    bench.space.watch(CODE, CODE + 0xFF);
    assert_eq!([bench.run(9), bench.run(9)], [Ran { stop: BROKEN, instructions: 1 }; 2]);
}

#[test]
fn code_that_changes_the_next_instruction_runs_it_as_it_is_now() {
    // sw a2, 8(a1): the second instruction behind it is another one then.
    let store = RS2 | RS1 | 2 << 12 | 8 << 7 | 0x23;
    let mut bench = Bench::new(&[store, COUNT, COUNT, EBREAK]).with(&[(A1, CODE), (A2, NOP)]);
    assert_eq!((bench.run(9), bench.x(A0)), (exception(3, 0, 3), 1));
    bench.cpu.set_register(A2, COUNT);
    bench.cpu.set_pc(CODE);
    assert_eq!((bench.run(9), bench.x(A0)), (exception(3, 0, 3), 3));
}

#[test]
fn code_that_changes_through_another_window_is_new() {
    let mut bench = Bench::new(&[]);
    let block = bench.space.add(PAGE as usize, &[(0x4038_0000, Rights::ALL), (0x3FF0_0000, Rights::ALL)]);
    let store = RS2 | RS1 | 2 << 12 | 0x23;
    bench.space.write_at(0x4038_0000, &[COUNT, store, COUNT, EBREAK].map(u32::to_le_bytes).concat());
    bench = bench.with(&[(A1, 0x3FF0_0008), (A2, NOP)]);
    for expected in [1, 2] {
        bench.cpu.set_pc(0x4038_0000);
        assert_eq!((bench.run(9), bench.x(A0)), (exception(3, 0, 3), expected));
    }
    // By the host.
    bench.space.put(block, 0, &NOP.to_le_bytes());
    bench.cpu.set_pc(0x4038_0000);
    assert_eq!((bench.run(9), bench.x(A0)), (exception(3, 0, 3), 2));
}

#[test]
fn memory_and_registers_come_back_as_they_were() {
    // sw a0, 0(a1) between two counts.
    let code = [COUNT, 0x00A5_A023, COUNT, BACK];
    let mut bench = Bench::new(&code).with(&[(A1, RAM)]);
    let first = (bench.space.snapshot(), bench.cpu.save());
    for _ in 0..3 {
        assert_eq!((bench.run(4000), bench.x(A0), bench.word(RAM)), (done(4000), 2000, Some(1999)));
        bench.space.restore(&first.0);
        bench.cpu.restore(&first.1);
        assert_eq!((bench.x(A0), bench.word(RAM)), (0, Some(0)));
    }
}

#[test]
fn what_ends_a_block_early_is_counted_once() {
    let code = [COUNT, csr(1, 0x340, 10, 0), COUNT, 0x0000_100F, COUNT, 0x0006_2683, COUNT, EBREAK];
    for slice in 1..9 {
        let mut bench = Bench::new(&code).with(&[(A2, RAM)]);
        let mut sum = 0;
        let ran = loop {
            let ran = bench.run(slice);
            sum += ran.instructions;
            if ran.stop != Stop::Budget {
                break ran;
            }
        };
        assert_eq!((ran.stop, sum, bench.x(A0)), (exception(3, 0, 0).stop, 7, 4));
    }
}
