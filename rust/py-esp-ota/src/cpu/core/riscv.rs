//! The RISC-V cores.

use esp_cpu::riscv::{Cpu, Hart, Line, Model};
use esp_cpu::{Access, Bus, Ran, Space};

use super::{Core, State};

const RA: usize = 1;
const SP: usize = 2;
const T0: usize = 5;
const A0: usize = 10;
const MSTATUS: u16 = 0x300;
const MEPC: u16 = 0x341;
const MSCRATCH: u16 = 0x340;
const MIE: u32 = 1 << 3;
/// `c.jr t0`
const JUMPS: [u8; 2] = [0x82, 0x82];

pub(super) fn of(chip: &str) -> Option<Box<dyn Core>> {
    let (atomics, clic) = match chip {
        "esp32c2" | "esp32c3" => (false, false),
        "esp32c6" | "esp32h2" => (true, false),
        "esp32c5" | "esp32c61" => (true, true),
        _ => return None,
    };
    let mut core = Cpu::new(Model { atomics, clic, ..Model::default() });
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

    fn register(&self, number: usize) -> u32 {
        self.register(number)
    }

    fn set_register(&mut self, number: usize, value: u32) {
        self.set_register(number, value);
    }

    fn special(&self, number: u16) -> Option<u32> {
        self.csr(number)
    }

    fn set_special(&mut self, number: u16, value: u32) -> bool {
        self.set_csr(number, value)
    }

    fn save(&self) -> State {
        Box::new(self.save())
    }

    fn restore(&mut self, state: &State) {
        if let Some(hart) = state.downcast_ref::<Hart>() {
            self.restore(hart);
        }
    }

    fn words(&self) -> Vec<u32> {
        let general = (1..32).map(|number| self.register(number));
        let special = [MSTATUS, MEPC, MSCRATCH].into_iter().filter_map(|number| self.csr(number));
        std::iter::once(self.pc()).chain(general).chain(special).collect()
    }

    fn reset(&mut self, stack_top: u32) {
        self.reset();
        self.set_register(SP, stack_top);
    }

    fn access(&self, cause: u32) -> Option<Access> {
        match cause {
            1 => Some(Access::Fetch),
            5 => Some(Access::Load),
            7 => Some(Access::Store),
            _ => None,
        }
    }

    fn nothing(&self) -> usize {
        2
    }

    fn interruptible(&self) -> bool {
        self.csr(MSTATUS).unwrap_or_default() & MIE != 0
    }

    fn enter(&mut self, cause: u32, value: u32) {
        self.enter(cause, value);
    }

    fn vector(&self, line: Line) -> Option<u32> {
        self.vector(line)
    }

    fn let_in(&mut self, space: &Space, line: Line) -> bool {
        let accepted = self.has_clic() && self.accepts(line);
        if accepted {
            self.interrupt(space, line);
        }
        accepted
    }

    fn set_lines(&mut self, _mask: u32) {}

    fn advance(&mut self, _cycles: u32) {}

    fn set_look(&mut self, _cycles: u32) {}

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
        self.register(A0 + index)
    }

    fn set_argument(&mut self, index: usize, value: u32) {
        self.set_register(A0 + index, value);
    }

    fn go_to(&mut self, address: u32) {
        self.set_register(T0, address);
    }

    fn leave_call(&mut self, code: &[u8]) {
        self.set_pc(self.register(if code == JUMPS { T0 } else { RA }));
    }
}
