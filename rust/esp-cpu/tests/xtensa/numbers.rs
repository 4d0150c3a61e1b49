//! What steps.txt has not: the upper halves of products, and the chip's own way to divide and to take a root.

use crate::asm::{Machine, rrr};

/// A small generator of numbers, the same in every run.
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        let bits = (self.0 >> 20) as u32;
        [bits, bits >> 16, bits | 0xFFFF_0000, 1 << (bits & 31)][(self.0 >> 60) as usize & 3]
    }
}

#[test]
fn products_have_an_upper_half() {
    let mut machine = Machine::new(&[rrr(10, 2, 4, 2, 3), rrr(11, 2, 5, 2, 3)]);
    let mut numbers = Numbers(1);
    for _ in 0..1000 {
        let (x, y) = (numbers.next(), numbers.next());
        machine.cpu.set_pc(crate::asm::CODE);
        machine.cpu.set_register(2, x);
        machine.cpu.set_register(3, y);
        machine.steps(2);
        let unsigned = (u128::from(x) * u128::from(y)) >> 32;
        let signed = (i128::from(x as i32) * i128::from(y as i32)) >> 32;
        assert_eq!(u128::from(machine.cpu.register(4)), unsigned, "{x:x} {y:x}");
        assert_eq!(i128::from(machine.cpu.register(5) as i32), signed, "{x:x} {y:x}");
    }
}

#[test]
fn a_division_and_a_root_end_exactly_rounded() {
    // MKDADJ.S f7, f1 with the divisor in f7; ADDEXPM.S f0, f7; DIVN.S f0, f2, f6.
    // MKSADJ.S f8, f1; ADDEXPM.S f9, f8; DIVN.S f9, f2, f6.
    let quotient = [rrr(15, 10, 7, 1, 13), rrr(15, 10, 0, 7, 15), rrr(7, 10, 0, 2, 6)];
    let root = [rrr(15, 10, 8, 1, 12), rrr(15, 10, 9, 8, 15), rrr(7, 10, 9, 2, 6)];
    let mut machine = Machine::new(&[quotient.concat(), root.concat()]);
    machine.cpu.set_special(224, 1);
    let mut numbers = Numbers(2);
    for _ in 0..1000 {
        let (x, y) = (f32::from_bits(numbers.next()), f32::from_bits(numbers.next()));
        machine.cpu.set_pc(crate::asm::CODE);
        machine.cpu.set_float_register(1, x.to_bits());
        machine.cpu.set_float_register(7, y.to_bits());
        machine.steps(6);
        for (found, expected) in [(0, x / y), (9, x.sqrt())] {
            let found = f32::from_bits(machine.cpu.float_register(found));
            assert!(found.to_bits() == expected.to_bits() || found.is_nan() && expected.is_nan(), "{x} {y}");
        }
    }
}

#[test]
fn a_nan_that_no_operand_is_has_no_sign() {
    let mut machine = Machine::new(&[rrr(1, 10, 3, 1, 1), rrr(2, 10, 4, 1, 2), rrr(0, 10, 5, 6, 1)]);
    machine.cpu.set_special(224, 1);
    machine.cpu.set_float_register(1, f32::INFINITY.to_bits());
    machine.cpu.set_float_register(6, 0xFF80_0001);
    machine.steps(3);
    let registers = [3, 4, 5].map(|number| machine.cpu.float_register(number));
    assert_eq!(registers, [0x7FC0_0000, 0x7FC0_0000, 0xFFC0_0001]);
}
