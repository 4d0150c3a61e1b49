//! The Xtensa cores. Code of theirs calls nothing of ours: their ROM is real.

use esp_cpu::xtensa::{self, Cpu, ESP32, ESP32S2, ESP32S3, PS_EXCM, PS_INTLEVEL};
use esp_cpu::{Access, Bus, Ran, Space};

use super::{Core, State};

const RA: usize = 0;
const SP: usize = 1;
/// The first argument, as a function that was entered sees it.
const ARGUMENT: usize = 2;
const PS: u16 = 230;

pub(super) fn of(chip: &str) -> Option<Box<dyn Core>> {
    let config = match chip {
        "esp32" => ESP32,
        "esp32s2" => ESP32S2,
        "esp32s3" => ESP32S3,
        _ => return None,
    };
    let mut core = Cpu::new(config, 0);
    core.host_traps = true;
    Some(Box::new(core))
}

impl Core for Cpu {
    fn run(&mut self, space: &mut Space, bus: &mut dyn Bus, budget: u64) -> Ran {
        self.run(space, bus, budget)
    }

    fn pc(&self) -> u32 {
        self.pc()
    }

    fn set_pc(&mut self, pc: u32) {
        self.set_pc(pc);
    }

    fn register(&self, at: usize) -> u32 {
        self.register(at)
    }

    fn set_register(&mut self, at: usize, value: u32) {
        self.set_register(at, value);
    }

    fn special(&self, number: u16) -> Option<u32> {
        self.special(number)
    }

    fn set_special(&mut self, number: u16, value: u32) -> bool {
        self.set_special(number, value)
    }

    fn save(&self) -> State {
        Box::new(self.save())
    }

    fn restore(&mut self, state: &State) {
        if let Some(state) = state.downcast_ref::<xtensa::State>() {
            self.restore(state);
        }
    }

    fn words(&self) -> Vec<u32> {
        let general = (0..16).map(|number| self.register(number));
        let special = [0, 1, 2, 3, 72, 73, 177, PS].into_iter().filter_map(|number| self.special(number));
        std::iter::once(self.pc()).chain(general).chain(special).collect()
    }

    fn reset(&mut self, stack_top: u32) {
        self.reset();
        self.set_register(SP, stack_top);
    }

    fn access(&self, cause: u32) -> Option<Access> {
        match cause {
            20 => Some(Access::Fetch),
            28 => Some(Access::Load),
            29 => Some(Access::Store),
            _ => None,
        }
    }

    fn nothing(&self) -> usize {
        3
    }

    fn interruptible(&self) -> bool {
        self.special(PS).unwrap_or_default() & (PS_EXCM | PS_INTLEVEL) == 0
    }

    fn enter(&mut self, cause: u32, value: u32) {
        self.enter(cause, value);
    }

    fn set_lines(&mut self, mask: u32) {
        self.set_lines(mask);
    }

    fn advance(&mut self, cycles: u32) {
        self.advance(cycles);
    }

    fn set_look(&mut self, cycles: u32) {
        self.look = cycles;
    }

    fn sp(&self) -> u32 {
        self.register(SP)
    }

    fn ra(&self) -> u32 {
        self.register(RA)
    }

    fn set_ra(&mut self, address: u32) {
        self.set_register(RA, address);
    }

    fn argument(&self, index: usize) -> u32 {
        self.register(ARGUMENT + index)
    }

    fn set_argument(&mut self, index: usize, value: u32) {
        self.set_register(ARGUMENT + index, value);
    }

    fn go_to(&mut self, address: u32) {
        self.set_pc(address);
    }

    fn leave_call(&mut self, _code: &[u8]) {}
}
