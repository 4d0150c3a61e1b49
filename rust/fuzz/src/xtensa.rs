//! Bytes run as code by the Xtensa cores, vectors included.

use esp_cpu::xtensa::{Config, Cpu, ESP32, ESP32S2, ESP32S3, State};
use esp_cpu::{Ran, Rights, Space, Stop};

use crate::cpu::Echo;

const PAGE: usize = 4096;
const CODE: u32 = 0x4000_0000;
const RAM: u32 = 0x3FFB_0000;
const ALIAS: u32 = 0x4008_0000;
const REGISTERS: u32 = 0x6000_0000;
const BUDGET: u64 = 4096;
/// One that the host is told of costs nothing of the budget.
const EXCEPTIONS: usize = 512;
const CONFIGS: [Config; 3] = [ESP32, ESP32S2, ESP32S3];
/// Special registers that the bytes say the beginning of: loops, SAR, windows, CPENABLE, INTENABLE, PS, CCOMPARE0.
const SPECIALS: [u16; 9] = [0, 1, 2, 3, 73, 224, 228, 230, 240];

struct World {
    cpu: Cpu,
    space: Space,
    bus: Echo,
    watches: [usize; 2],
}

impl World {
    /// `how` says what is where; the rest of the bytes are in memory, in the registers, and at the program counter.
    fn new(how: u8, layout: u8, data: &[u8]) -> Self {
        let mut space = Space::new();
        let rights = |bits: u8| Rights::from_bits(u32::from(bits));
        let code = space.add(3 * PAGE, &[(CODE, Rights::READ | Rights::EXECUTE)]);
        let windows = [(RAM, rights(layout)), (ALIAS, Rights::ALL), (CODE + 2 * PAGE as u32, rights(layout >> 3))];
        let ram = space.add(2 * PAGE, &windows[..usize::from(layout >> 6).max(1)]);
        space.add_registers(REGISTERS, REGISTERS + PAGE as u32);
        let mut cpu = Cpu::new(CONFIGS[usize::from(how >> 2) % 3], 0);
        cpu.host_traps = how & 2 != 0;
        let mut word = data.chunks(4).map(|chunk| chunk.iter().fold(0u32, |word, &byte| word << 8 | u32::from(byte)));
        for number in 0..16 {
            let value = word.next().unwrap_or_default();
            let base = [RAM, ALIAS + 0x1000, CODE, REGISTERS, 0].get(number % 8).copied();
            cpu.set_register(number, base.map_or(value, |base| base.wrapping_add(value >> 19)));
        }
        for number in SPECIALS {
            let value = word.next().unwrap_or_default();
            let value = match number {
                0 | 1 => CODE | value & 0xFFF,
                230 if how & 1 == 0 => 0x0004_0020,
                240 => value & 0xFFF,
                _ => value,
            };
            cpu.set_special(number, value);
        }
        for (block, from) in [(code, 100), (ram, 164)] {
            let data = data.get(from..).unwrap_or_default();
            space.put(block, 0, &data[..data.len().min(space.size(block))]);
        }
        cpu.set_pc(CODE + u32::from(how & 0xF0) * 0x11);
        let watches = [space.watch(RAM, RAM + 0x80), space.watch(CODE + 0x40, CODE + 0x40)];
        Self { cpu, space, bus: Echo::default(), watches }
    }

    /// Run for the budget in slices of so many instructions.
    fn run(&mut self, slice: u64) -> u64 {
        let (mut left, mut exceptions) = (BUDGET, 0);
        while left > 0 && exceptions < EXCEPTIONS {
            let budget = left.min(slice);
            let Ran { stop, instructions } = self.cpu.run(&mut self.space, &mut self.bus, budget);
            assert!(instructions <= budget, "the budget is kept");
            left -= instructions;
            self.bus.asks = false;
            match stop {
                Stop::Budget => assert!(instructions == budget, "the budget is used"),
                Stop::Break | Stop::Asked => assert!(instructions > 0, "there is progress"),
                Stop::Wait => {
                    assert!(instructions > 0, "there is progress");
                    self.cpu.set_lines(self.bus.heard);
                }
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

    fn state(&self) -> State {
        self.cpu.save()
    }

    fn memory(&self) -> [Option<&[u8]>; 2] {
        [0, 1].map(|block| self.space.get(block, 0, self.space.size(block)))
    }
}

/// Xtensa: the same in one go, in slices, and again from a snapshot. How many instructions it was.
pub fn xtensa(data: &[u8]) -> u64 {
    let [how, layout, slice, data @ ..] = data else { return 0 };
    let mut whole = World::new(*how, *layout, data);
    let (memory, before) = (whole.space.snapshot(), whole.state());
    let done = whole.run(BUDGET);
    let mut sliced = World::new(*how, *layout, data);
    if slice & 0x80 != 0 {
        sliced.watches.into_iter().for_each(|number| sliced.space.unwatch(number));
    }
    assert_eq!(sliced.run(u64::from(slice & 15) + 1), done, "slices change no count");
    assert!(whole.state() == sliced.state() && whole.bus == sliced.bus, "slices change nothing");
    assert!(whole.memory() == sliced.memory(), "slices change no memory");
    let after = whole.state();
    assert!(whole.space.restore(&memory));
    whole.cpu.restore(&before);
    whole.bus = Echo::default();
    assert_eq!(whole.run(BUDGET), done, "the same from a snapshot");
    assert!(whole.state() == after && whole.memory() == sliced.memory(), "the same from a snapshot");
    3 * done
}
