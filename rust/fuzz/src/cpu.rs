//! Bytes run as code, on memory that they lay out themselves.

use esp_cpu::riscv::{Cpu, Line, Model};
use esp_cpu::{Bus, Ran, Rights, Space, Stop};

const PAGE: u32 = 4096;
const CODE: u32 = 0x4200_0000;
const RAM: u32 = 0x3FC8_0000;
const ALIAS: u32 = 0x4038_0000;
const REGISTERS: u32 = 0x6000_0000;
const BUDGET: u64 = 1024;
/// One that the host is told of costs nothing of the budget.
const EXCEPTIONS: usize = 128;

const MTVEC: u16 = 0x305;
const MTVT: u16 = 0x307;
const MEPC: u16 = 0x341;
const PMPCFG: u16 = 0x3A0;
const PMPADDR: u16 = 0x3B0;

/// Registers that answer with what they heard, and now and then end a run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Echo {
    pub(crate) heard: u32,
    pub(crate) asks: bool,
}

impl Bus for Echo {
    fn read(&mut self, address: u32, size: u8) -> u32 {
        assert!(matches!(size, 1 | 2 | 4) && address % u32::from(size) == 0);
        self.heard = self.heard.wrapping_mul(0x0019_660D).wrapping_add(address);
        self.heard & u32::MAX >> (32 - 8 * u32::from(size))
    }

    fn write(&mut self, address: u32, size: u8, value: u32) {
        assert!(matches!(size, 1 | 2 | 4) && address % u32::from(size) == 0);
        self.heard ^= value.rotate_left(address & 31);
        self.asks = value & 7 == 0;
    }

    fn asks(&self) -> bool {
        self.asks
    }

    fn csr(&mut self, number: u16) -> Option<u32> {
        (number & 1 == 0).then_some(self.heard)
    }
}

struct World {
    cpu: Cpu,
    space: Space,
    bus: Echo,
    watches: [usize; 2],
    is_clic: bool,
}

impl World {
    /// `how` says what is where; the rest of the bytes are in memory, in every register, and at the program counter.
    fn new(how: u8, layout: u8, data: &[u8]) -> Self {
        let mut space = Space::new();
        let rights = |bits: u8| Rights::from_bits(u32::from(bits));
        let code = space.add(3 * PAGE as usize, &[(CODE, Rights::READ | Rights::EXECUTE)]);
        let windows = [(RAM, rights(layout)), (ALIAS, Rights::ALL), (CODE + 2 * PAGE, rights(layout >> 3))];
        let ram = space.add(2 * PAGE as usize, &windows[..usize::from(layout >> 6).max(1)]);
        space.add_registers(REGISTERS, REGISTERS + PAGE);
        let mut cpu = Cpu::new(Model { atomics: how & 1 == 0, clic: layout & 0x20 != 0, hart: 0 });
        cpu.host_traps = how & 2 != 0;
        let mut word = data.chunks(4).map(|chunk| chunk.iter().fold(0u32, |word, &byte| word << 8 | u32::from(byte)));
        for number in 1..32 {
            let value = word.next().unwrap_or_default();
            let bases = [RAM, ALIAS, CODE, REGISTERS, 0, CODE + 2 * PAGE];
            let base = bases.get(number % 8).copied();
            cpu.set_register(number, base.map_or(value, |base| base.wrapping_add(value >> 19)));
        }
        let start = if how & 4 == 0 { CODE } else { ALIAS } + u32::from(how & 0xF0) * 2;
        cpu.set_pc(start);
        cpu.set_csr(MTVEC, ALIAS + 0x100);
        cpu.set_csr(MTVT, ALIAS + 0x80);
        cpu.set_csr(MEPC, start + 0x40);
        if how & 8 != 0 {
            for (entry, four) in data.chunks(4).take(4).enumerate() {
                let word = four.iter().fold(0u32, |word, &byte| word << 8 | u32::from(byte));
                let base = [CODE, ALIAS, RAM, ALIAS][entry] + (word & 0x1FFC);
                cpu.set_csr(PMPADDR + entry as u16, base >> 2 | word >> 16 & 0x1FF);
            }
            cpu.set_csr(PMPCFG, u32::from_be_bytes([0x1F | how, 0x9F, layout ^ 0x9F, layout]));
        }
        for (block, from) in [(code, 32), (ram, 64)] {
            let data = data.get(from..).unwrap_or_default();
            space.put(block, 0, &data[..data.len().min(space.size(block))]);
        }
        let watches = [space.watch(RAM, RAM + 0x80), space.watch(CODE + 0x40, CODE + 0x40)];
        Self { cpu, space, bus: Echo::default(), watches, is_clic: layout & 0x20 != 0 }
    }

    /// Run for the budget in slices of so many instructions.
    fn run(&mut self, slice: u64) -> u64 {
        let (mut left, mut exceptions) = (BUDGET, 0);
        while left > 0 && exceptions < EXCEPTIONS {
            let budget = left.min(slice);
            let Ran { stop, instructions } = self.cpu.run(&mut self.space, &mut self.bus, budget);
            assert!(instructions <= budget, "the budget is kept");
            assert!(self.cpu.pc() & 1 == 0 && self.cpu.register(0) == 0);
            left -= instructions;
            self.bus.asks = false;
            match stop {
                Stop::Budget => assert!(instructions == budget, "the budget is used"),
                Stop::Break => assert!(instructions > 0, "there is progress"),
                Stop::Wait | Stop::Asked => {
                    assert!(instructions > 0, "there is progress");
                    self.interrupt();
                }
                // The host handles it: it goes on in the handler, or behind the instruction.
                Stop::Exception { cause, value } => {
                    exceptions += 1;
                    if value & 1 == 0 {
                        self.cpu.enter(cause, value);
                    } else {
                        self.cpu.set_pc(self.cpu.pc().wrapping_add(2));
                    }
                }
            }
        }
        BUDGET - left
    }

    /// Any line, where it gets in.
    fn interrupt(&mut self) {
        let [number, level, how, _] = self.bus.heard.to_le_bytes();
        let line = Line { number: u32::from(number), level, vectored: how & 1 == 0, user: how & 2 != 0 };
        if self.is_clic && self.cpu.accepts(line) {
            self.cpu.interrupt(&self.space, line);
        }
    }

    fn memory(&self) -> [Option<&[u8]>; 2] {
        [0, 1].map(|block| self.space.get(block, 0, self.space.size(block)))
    }
}

/// RISC-V: the same in one go, in slices, and again from a snapshot. How many instructions it was.
pub fn riscv(data: &[u8]) -> u64 {
    let [how, layout, slice, data @ ..] = data else { return 0 };
    let mut whole = World::new(*how, *layout, data);
    let (memory, before) = (whole.space.snapshot(), whole.cpu.save());
    let done = whole.run(BUDGET);
    let mut sliced = World::new(*how, *layout, data);
    if slice & 0x80 != 0 {
        sliced.watches.into_iter().for_each(|number| sliced.space.unwatch(number));
    }
    assert_eq!(sliced.run(u64::from(slice & 15) + 1), done, "slices change no count");
    assert!(whole.cpu.save() == sliced.cpu.save() && whole.bus == sliced.bus, "slices change nothing");
    assert!(whole.memory() == sliced.memory(), "slices change no memory");
    let after = whole.cpu.save();
    assert!(whole.space.restore(&memory));
    whole.cpu.restore(&before);
    whole.bus = Echo::default();
    assert_eq!(whole.run(BUDGET), done, "the same from a snapshot");
    assert!(whole.cpu.save() == after && whole.memory() == sliced.memory(), "the same from a snapshot");
    3 * done
}
