//! What each instruction does.

use super::hart::{BREAKPOINT, CALL_FROM_MACHINE, CALL_FROM_USER, Hart, ILLEGAL, Trap};
use super::op::{Code, Op};
use super::pmp::Mode;
use crate::bus::Bus;
use crate::space::Space;
use crate::word::{signed, unsigned};

/// How a block was left. `pc` is where to go on; a number is that of the instructions done.
pub(super) enum Exit {
    /// Behind its last instruction.
    Fell,
    /// By a jump or a branch to an address that never changes.
    Taken,
    /// By a jump to an address from a register.
    Jumped,
    /// Behind an instruction after which others have to be asked: the bus, the code that was decoded.
    Looked(u64),
    /// Behind `wfi`.
    Waits(u64),
    /// Before an instruction that cannot be done.
    Trapped(u64, Trap),
}

/// What an access by the long way left to do.
#[derive(Clone, Copy)]
enum Long {
    /// To ask others.
    Look,
    Trap(Trap),
}

impl From<Trap> for Long {
    fn from(trap: Trap) -> Self {
        Self::Trap(trap)
    }
}

impl Hart {
    /// Do the instructions of a block from `pc` on, which are `bytes` long.
    #[allow(clippy::too_many_lines, reason = "one line an instruction")]
    pub(super) fn execute(&mut self, ops: &[Op], bytes: u32, space: &mut Space, bus: &mut dyn Bus) -> Exit {
        let start = self.pc;
        let end = start.wrapping_add(bytes);
        for (at, &op) in ops.iter().enumerate() {
            let value = match op.code {
                Code::Set => op.imm,
                Code::Add => self.a(op).wrapping_add(self.b(op)),
                Code::Sub => self.a(op).wrapping_sub(self.b(op)),
                Code::Sll => self.a(op).wrapping_shl(self.b(op)),
                Code::Slt => u32::from(signed(self.a(op)) < signed(self.b(op))),
                Code::Sltu => u32::from(self.a(op) < self.b(op)),
                Code::Xor => self.a(op) ^ self.b(op),
                Code::Srl => self.a(op).wrapping_shr(self.b(op)),
                Code::Sra => unsigned(signed(self.a(op)).wrapping_shr(self.b(op))),
                Code::Or => self.a(op) | self.b(op),
                Code::And => self.a(op) & self.b(op),
                Code::Addi => self.a(op).wrapping_add(op.imm),
                Code::Slti => u32::from(signed(self.a(op)) < signed(op.imm)),
                Code::Sltiu => u32::from(self.a(op) < op.imm),
                Code::Xori => self.a(op) ^ op.imm,
                Code::Ori => self.a(op) | op.imm,
                Code::Andi => self.a(op) & op.imm,
                Code::Slli => self.a(op).wrapping_shl(op.imm),
                Code::Srli => self.a(op).wrapping_shr(op.imm),
                Code::Srai => unsigned(signed(self.a(op)).wrapping_shr(op.imm)),
                Code::Mul => self.a(op).wrapping_mul(self.b(op)),
                Code::Mulh => high(i64::from(signed(self.a(op))) * i64::from(signed(self.b(op)))),
                Code::Mulhsu => high(i64::from(signed(self.a(op))) * i64::from(self.b(op))),
                Code::Mulhu => ((u64::from(self.a(op)) * u64::from(self.b(op))) >> 32) as u32,
                Code::Div => divide(signed(self.a(op)), signed(self.b(op))),
                Code::Divu => self.a(op).checked_div(self.b(op)).unwrap_or(u32::MAX),
                Code::Rem => remainder(signed(self.a(op)), signed(self.b(op))),
                Code::Remu => self.a(op).checked_rem(self.b(op)).unwrap_or(self.a(op)),
                Code::Lb | Code::Lh | Code::Lw | Code::Lbu | Code::Lhu => {
                    let address = self.a(op).wrapping_add(op.imm);
                    let near = match op.code {
                        Code::Lb => space.load(address).map(|bytes| unsigned(i32::from(i8::from_le_bytes(bytes)))),
                        Code::Lh => space.load(address).map(|bytes| unsigned(i32::from(i16::from_le_bytes(bytes)))),
                        Code::Lw => space.load(address).map(u32::from_le_bytes),
                        Code::Lbu => space.load(address).map(|bytes| u32::from(u8::from_le_bytes(bytes))),
                        _ => space.load(address).map(|bytes| u32::from(u16::from_le_bytes(bytes))),
                    };
                    match near {
                        Some(value) => value,
                        None => match self.load_far(op, address, space, bus) {
                            Ok(value) => value,
                            Err(long) => return self.leave_block(start, ops, at, long),
                        },
                    }
                }
                Code::Sb | Code::Sh | Code::Sw => {
                    let address = self.a(op).wrapping_add(op.imm);
                    let value = self.b(op);
                    let near = match op.code {
                        Code::Sb => space.store(address, (value as u8).to_le_bytes()),
                        Code::Sh => space.store(address, (value as u16).to_le_bytes()),
                        _ => space.store(address, value.to_le_bytes()),
                    };
                    if !near {
                        if let Err(long) = self.store_far(op, address, space, bus) {
                            return self.leave_block(start, ops, at, long);
                        }
                    }
                    continue;
                }
                Code::Jal => {
                    self.set_x(op.rd(), end);
                    self.pc = op.imm;
                    return Exit::Taken;
                }
                Code::Jalr => {
                    let target = self.a(op).wrapping_add(op.imm) & !1;
                    self.set_x(op.rd(), end);
                    self.pc = target;
                    return Exit::Jumped;
                }
                Code::Beq => return self.branch(self.a(op) == self.b(op), op.imm, end),
                Code::Bne => return self.branch(self.a(op) != self.b(op), op.imm, end),
                Code::Blt => return self.branch(signed(self.a(op)) < signed(self.b(op)), op.imm, end),
                Code::Bge => return self.branch(signed(self.a(op)) >= signed(self.b(op)), op.imm, end),
                Code::Bltu => return self.branch(self.a(op) < self.b(op), op.imm, end),
                Code::Bgeu => return self.branch(self.a(op) >= self.b(op), op.imm, end),
                Code::Nop => continue,
                Code::LoadReserved | Code::StoreConditional | Code::Amo => match self.atomic(op, space, bus) {
                    Ok(()) => continue,
                    Err(long) => return self.leave_block(start, ops, at, long),
                },
                _ => {
                    let result = self.privileged(op, bus);
                    return self.leave_block(start, ops, at, result.err().map_or(Long::Look, Long::Trap));
                }
            };
            self.set_x(op.rd(), value);
        }
        self.pc = end;
        Exit::Fell
    }

    #[inline]
    fn branch(&mut self, taken: bool, target: u32, end: u32) -> Exit {
        self.pc = if taken { target } else { end };
        if taken { Exit::Taken } else { Exit::Fell }
    }

    #[cold]
    fn load_far(&mut self, op: Op, address: u32, space: &mut Space, bus: &mut dyn Bus) -> Result<u32, Long> {
        let size = match op.code {
            Code::Lb | Code::Lbu => 1,
            Code::Lh | Code::Lhu => 2,
            _ => 4,
        };
        let value = self.load(space, bus, address, size)?;
        let value = match op.code {
            Code::Lb => unsigned(i32::from(value as i8)),
            Code::Lh => unsigned(i32::from(value as i16)),
            _ => value,
        };
        if bus.asks() {
            self.set_x(op.rd(), value);
            return Err(Long::Look);
        }
        Ok(value)
    }

    #[cold]
    fn store_far(&self, op: Op, address: u32, space: &mut Space, bus: &mut dyn Bus) -> Result<(), Long> {
        let size = match op.code {
            Code::Sb => 1,
            Code::Sh => 2,
            _ => 4,
        };
        self.store(space, bus, address, size, self.b(op))?;
        look(space, bus)
    }

    fn atomic(&mut self, op: Op, space: &mut Space, bus: &mut dyn Bus) -> Result<(), Long> {
        let (address, operand) = (self.a(op), self.b(op));
        let value = match op.code {
            Code::LoadReserved => self.load_reserved(space, bus, address)?,
            Code::StoreConditional => self.store_conditional(space, bus, address, operand)?,
            _ => self.swap(space, bus, address, |old| combine(op.imm, old, operand))?,
        };
        self.set_x(op.rd(), value);
        look(space, bus)
    }

    /// The instructions that end every block. `pc` is where they are only for those that go elsewhere themselves.
    fn privileged(&mut self, op: Op, bus: &mut dyn Bus) -> Result<(), Trap> {
        let trap = |cause, value| Err(Trap { cause, value });
        match op.code {
            Code::Csrrw | Code::Csrrs | Code::Csrrc | Code::Csrrwi | Code::Csrrsi | Code::Csrrci => {
                self.on_csr(op, bus)
            }
            Code::Ecall if self.mode == Mode::User => trap(CALL_FROM_USER, 0),
            Code::Ecall => trap(CALL_FROM_MACHINE, 0),
            Code::Ebreak => trap(BREAKPOINT, 0),
            Code::Mret if self.mode == Mode::User => trap(ILLEGAL, 0x3020_0073),
            Code::Uret if !self.model.clic => trap(ILLEGAL, 0x0020_0073),
            Code::Illegal => trap(ILLEGAL, op.imm),
            _ => Ok(()),
        }
    }

    /// Out of a block at the instruction `at`, with `pc` on it or behind it.
    #[cold]
    fn leave_block(&mut self, start: u32, ops: &[Op], at: usize, long: Long) -> Exit {
        self.pc = ops.iter().take(at).fold(start, |pc, op| pc.wrapping_add(op.length()));
        let Some(op) = ops.get(at) else { return Exit::Fell };
        if let Long::Trap(trap) = long {
            return Exit::Trapped(at as u64, trap);
        }
        let done = at as u64 + 1;
        self.pc = self.pc.wrapping_add(op.length());
        match op.code {
            Code::Mret => self.leave(),
            Code::Uret => self.leave_user(),
            Code::Wfi => return Exit::Waits(done),
            _ => {}
        }
        Exit::Looked(done)
    }
}

fn look(space: &Space, bus: &dyn Bus) -> Result<(), Long> {
    if space.has_stale_code() || bus.asks() { Err(Long::Look) } else { Ok(()) }
}

fn high(product: i64) -> u32 {
    unsigned((product >> 32) as i32)
}

/// Division by zero gives -1, the one overflow the dividend.
fn divide(dividend: i32, divisor: i32) -> u32 {
    if divisor == 0 { u32::MAX } else { unsigned(dividend.wrapping_div(divisor)) }
}

fn remainder(dividend: i32, divisor: i32) -> u32 {
    if divisor == 0 { unsigned(dividend) } else { unsigned(dividend.wrapping_rem(divisor)) }
}

/// The atomic operation by its number.
fn combine(number: u32, old: u32, operand: u32) -> u32 {
    match number {
        0 => old.wrapping_add(operand),
        4 => old ^ operand,
        8 => old | operand,
        0xC => old & operand,
        0x10 => unsigned(signed(old).min(signed(operand))),
        0x14 => unsigned(signed(old).max(signed(operand))),
        0x18 => old.min(operand),
        0x1C => old.max(operand),
        _ => operand,
    }
}
