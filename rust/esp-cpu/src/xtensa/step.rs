//! What each instruction does.

use super::State;
use super::exceptions::{ALIGNMENT, ALLOCA, DEBUG, DIVIDE, ILLEGAL, SYSCALL, Trap};
use super::op::{Ins, Op};
use super::windows::Turn;
use crate::bus::Bus;
use crate::space::Space;
use crate::word::{signed, unsigned};

/// What comes behind an instruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Then {
    /// The one that follows it.
    Next,
    /// The same, seen through another window.
    Enter,
    /// The one at an address.
    To(u32),
    /// The one that follows it, once the run has looked at what may have changed.
    Look,
    /// The same, and the instruction has looked at the time.
    Clock,
    /// The same, and the run ends.
    Wait,
}

/// Where an instruction finds what is not the core's.
pub(super) struct Outside<'a> {
    pub space: &'a mut Space,
    pub bus: &'a mut dyn Bus,
    /// Whether the bus asked for the end of the run.
    pub asked: bool,
}

impl Outside<'_> {
    /// Behind an access by the long way.
    fn then(&mut self) -> Then {
        self.asked = self.bus.asks();
        if self.asked || self.space.has_stale_code() { Then::Look } else { Then::Next }
    }
}

/// How loaded bytes fill a register.
trait Loaded<const N: usize> {
    fn from(bytes: [u8; N]) -> u32;
}

struct Zeros;
struct Signed;

impl Loaded<1> for Zeros {
    fn from(bytes: [u8; 1]) -> u32 {
        u32::from(u8::from_le_bytes(bytes))
    }
}
impl Loaded<2> for Zeros {
    fn from(bytes: [u8; 2]) -> u32 {
        u32::from(u16::from_le_bytes(bytes))
    }
}
impl Loaded<4> for Zeros {
    fn from(bytes: [u8; 4]) -> u32 {
        u32::from_le_bytes(bytes)
    }
}
impl Loaded<2> for Signed {
    fn from(bytes: [u8; 2]) -> u32 {
        unsigned(i32::from(i16::from_le_bytes(bytes)))
    }
}

impl State {
    #[inline]
    fn load<const N: usize, L: Loaded<N>>(
        &mut self,
        outside: &mut Outside,
        register: u8,
        address: u32,
    ) -> Result<Then, Trap> {
        if let Some(bytes) = outside.space.load::<N>(address) {
            self.set(register, L::from(bytes));
            return Ok(Then::Next);
        }
        let (value, then) = load_long(outside, address, N as u8)?;
        let mut bytes = [0; N];
        bytes.iter_mut().zip(value.to_le_bytes()).for_each(|(byte, new)| *byte = new);
        self.set(register, L::from(bytes));
        Ok(then)
    }

    fn shift_right(&self, high: u32, low: u32) -> u32 {
        ((u64::from(high) << 32 | u64::from(low)) >> self.sar) as u32
    }

    /// One instruction, at `pc`.
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "the loop of a block is this match")]
    #[expect(clippy::too_many_lines, reason = "an arm per instruction")]
    pub(super) fn step(&mut self, ins: &Ins, pc: u32, outside: &mut Outside) -> Result<Then, Trap> {
        let (r, s, t) = (ins.r, ins.s, ins.t);
        let imm = unsigned(ins.imm);
        macro_rules! set {
            ($value:expr) => {{
                let value = $value;
                self.set(r, value);
            }};
        }
        macro_rules! s {
            () => {
                self.get(s)
            };
        }
        macro_rules! t {
            () => {
                self.get(t)
            };
        }
        macro_rules! address {
            () => {
                self.get(s).wrapping_add(imm)
            };
        }
        macro_rules! branch {
            ($condition:expr) => {
                if $condition {
                    return Ok(Then::To(pc.wrapping_add(imm)));
                }
            };
        }
        // The branches that compare with a constant: it fills `imm`, the distance field t.
        macro_rules! branch_constant {
            ($condition:expr) => {
                if $condition {
                    return Ok(Then::To(pc.wrapping_add(4).wrapping_add_signed(i32::from(t as i8))));
                }
            };
        }
        match ins.op {
            Op::Mov => self.set(t, s!()),
            Op::Movi => self.set(t, imm),
            Op::Add => set!(s!().wrapping_add(t!())),
            Op::Addi => self.set(t, address!()),
            Op::Addx2 => set!((s!() << 1).wrapping_add(t!())),
            Op::Addx4 => set!((s!() << 2).wrapping_add(t!())),
            Op::Addx8 => set!((s!() << 3).wrapping_add(t!())),
            Op::Sub => set!(s!().wrapping_sub(t!())),
            Op::Subx2 => set!((s!() << 1).wrapping_sub(t!())),
            Op::Subx4 => set!((s!() << 2).wrapping_sub(t!())),
            Op::Subx8 => set!((s!() << 3).wrapping_sub(t!())),
            Op::Neg => set!(t!().wrapping_neg()),
            Op::Abs => set!(signed(t!()).unsigned_abs()),
            Op::And => set!(s!() & t!()),
            Op::Or => set!(s!() | t!()),
            Op::Xor => set!(s!() ^ t!()),
            Op::Moveqz if t!() == 0 => set!(s!()),
            Op::Movnez if t!() != 0 => set!(s!()),
            Op::Movltz if signed(t!()) < 0 => set!(s!()),
            Op::Movgez if signed(t!()) >= 0 => set!(s!()),
            Op::Movf if !self.boolean(t) => set!(s!()),
            Op::Movt if self.boolean(t) => set!(s!()),
            Op::Min => set!(unsigned(signed(s!()).min(signed(t!())))),
            Op::Max => set!(unsigned(signed(s!()).max(signed(t!())))),
            Op::Minu => set!(s!().min(t!())),
            Op::Maxu => set!(s!().max(t!())),
            Op::Salt => set!(u32::from(signed(s!()) < signed(t!()))),
            Op::Saltu => set!(u32::from(s!() < t!())),
            Op::Sext => set!(unsigned(signed(s!() << (31 - (imm & 31))) >> (31 - (imm & 31)))),
            Op::Clamps => {
                let limit = 1i32 << (imm & 31);
                set!(unsigned(signed(s!()).clamp(-limit, limit - 1)));
            }
            Op::Nsa => {
                let value = s!();
                let folded = value ^ unsigned(signed(value) >> 31);
                self.set(t, folded.leading_zeros() - 1);
            }
            Op::Nsau => self.set(t, s!().leading_zeros()),
            Op::Slli => set!(s!().checked_shl(imm).unwrap_or(0)),
            Op::Srai => set!(unsigned(signed(t!()) >> (imm & 31))),
            Op::Srli => set!(t!() >> (imm & 31)),
            Op::Extui => set!(t!() >> (imm & 31) & (2u32 << (imm >> 8 & 15)).wrapping_sub(1)),
            Op::Sll => set!(self.shift_right(s!(), 0)),
            Op::Srl => set!(self.shift_right(0, t!())),
            Op::Sra => set!((i64::from(signed(t!())) >> self.sar) as u32),
            Op::Src => set!(self.shift_right(s!(), t!())),
            Op::Ssr => self.sar = s!() & 31,
            Op::Ssl => self.sar = 32 - (s!() & 31),
            Op::Ssa8l => self.sar = (s!() & 3) << 3,
            Op::Ssa8b => self.sar = 32 - ((s!() & 3) << 3),
            Op::Ssai => self.sar = imm & 31,
            Op::Mull => set!(s!().wrapping_mul(t!())),
            Op::Muluh => set!(((u64::from(s!()) * u64::from(t!())) >> 32) as u32),
            Op::Mulsh => set!(((i64::from(signed(s!())) * i64::from(signed(t!()))) >> 32) as u32),
            Op::Mul16u => set!((s!() & 0xFFFF) * (t!() & 0xFFFF)),
            Op::Mul16s => set!(unsigned(i32::from(s!() as i16) * i32::from(t!() as i16))),
            Op::Quou => set!(s!().checked_div(t!()).ok_or(Trap::of(DIVIDE))?),
            Op::Remu => set!(s!().checked_rem(t!()).ok_or(Trap::of(DIVIDE))?),
            Op::Quos if t!() != 0 => set!(unsigned(signed(s!()).wrapping_div(signed(t!())))),
            Op::Rems if t!() != 0 => set!(unsigned(signed(s!()).wrapping_rem(signed(t!())))),
            Op::Quos | Op::Rems => return Err(Trap::of(DIVIDE)),

            Op::L8ui => return self.load::<1, Zeros>(outside, t, address!()),
            Op::L16ui => return self.load::<2, Zeros>(outside, t, address!()),
            Op::L16si => return self.load::<2, Signed>(outside, t, address!()),
            Op::L32i | Op::L32e => return self.load::<4, Zeros>(outside, t, address!()),
            Op::L32ai => return self.load::<4, Zeros>(outside, t, aligned(address!())?),
            Op::L32r => {
                return self.load::<4, Zeros>(outside, t, (pc.wrapping_add(3) & !3).wrapping_add(imm));
            }
            Op::S8i => return store(outside, address!(), [t!() as u8]),
            Op::S16i => return store(outside, address!(), (t!() as u16).to_le_bytes()),
            Op::S32i | Op::S32e => return store(outside, address!(), t!().to_le_bytes()),
            Op::S32ri => return store(outside, aligned(address!())?, t!().to_le_bytes()),

            Op::J => branch!(true),
            Op::Jx => return Ok(Then::To(s!())),
            Op::Beqz => branch!(s!() == 0),
            Op::Bnez => branch!(s!() != 0),
            Op::Bltz => branch!(signed(s!()) < 0),
            Op::Bgez => branch!(signed(s!()) >= 0),
            Op::Beqi => branch_constant!(s!() == imm),
            Op::Bnei => branch_constant!(s!() != imm),
            Op::Blti => branch_constant!(signed(s!()) < ins.imm),
            Op::Bgei => branch_constant!(signed(s!()) >= ins.imm),
            Op::Bltui => branch_constant!(s!() < imm),
            Op::Bgeui => branch_constant!(s!() >= imm),
            Op::Beq => branch!(s!() == t!()),
            Op::Bne => branch!(s!() != t!()),
            Op::Blt => branch!(signed(s!()) < signed(t!())),
            Op::Bge => branch!(signed(s!()) >= signed(t!())),
            Op::Bltu => branch!(s!() < t!()),
            Op::Bgeu => branch!(s!() >= t!()),
            Op::Bnone => branch!(s!() & t!() == 0),
            Op::Bany => branch!(s!() & t!() != 0),
            Op::Ball => branch!(!s!() & t!() == 0),
            Op::Bnall => branch!(!s!() & t!() != 0),
            Op::Bbc => branch!(s!() >> (t!() & 31) & 1 == 0),
            Op::Bbs => branch!(s!() >> (t!() & 31) & 1 != 0),
            Op::Bbci => branch!(s!() >> (t & 31) & 1 == 0),
            Op::Bbsi => branch!(s!() >> (t & 31) & 1 != 0),
            Op::Bf => branch!(!self.boolean(s)),
            Op::Bt => branch!(self.boolean(s)),
            Op::Loop | Op::Loopnez | Op::Loopgtz => return Ok(self.begin_loop(ins, pc)),

            Op::Call0 => {
                self.set(0, pc.wrapping_add(3));
                return Ok(Then::To((pc & !3).wrapping_add(imm)));
            }
            Op::Callx0 => {
                let target = s!();
                self.set(0, pc.wrapping_add(3));
                return Ok(Then::To(target));
            }
            Op::Call => {
                self.windowed_call(pc, t);
                return Ok(Then::To((pc & !3).wrapping_add(imm)));
            }
            Op::Callx => {
                let target = s!();
                self.windowed_call(pc, t);
                return Ok(Then::To(target));
            }
            Op::Ret => return Ok(Then::To(self.get(0))),
            Op::Retw => return self.windowed_return(pc).map(Then::To).ok_or(Trap::of(ILLEGAL)),
            Op::Entry => match self.entry(pc, s, ins.imm) {
                Turn::Done => return Ok(Then::Enter),
                Turn::Overflow(vector) => return Ok(Then::To(vector)),
                Turn::Illegal => return Err(Trap::of(ILLEGAL)),
            },
            Op::Nop | Op::Moveqz | Op::Movnez | Op::Movltz | Op::Movgez | Op::Movf | Op::Movt => {}
            _ => return self.step_rarely(ins, pc, outside),
        }
        Ok(Then::Next)
    }

    /// The instructions that no loop is made of.
    #[inline(never)]
    fn step_rarely(&mut self, ins: &Ins, pc: u32, outside: &mut Outside) -> Result<Then, Trap> {
        let (r, s, t) = (ins.r, ins.s, ins.t);
        match ins.op {
            Op::S32c1i => return self.compare_and_store(ins, outside),
            Op::Movsp => {
                if !self.may_move_stack() {
                    return Err(Trap::of(ALLOCA));
                }
                self.set(t, self.get(s));
            }
            Op::Rotw => {
                self.turn_to((ins.imm as u8).wrapping_add(self.base() as u8));
                return Ok(Then::Look);
            }
            Op::Rfwo => return Ok(Then::To(self.window_return(false))),
            Op::Rfwu => return Ok(Then::To(self.window_return(true))),
            Op::Andb => self.set_boolean(r, self.boolean(s) & self.boolean(t)),
            Op::Andbc => self.set_boolean(r, self.boolean(s) & !self.boolean(t)),
            Op::Orb => self.set_boolean(r, self.boolean(s) | self.boolean(t)),
            Op::Orbc => self.set_boolean(r, self.boolean(s) | !self.boolean(t)),
            Op::Xorb => self.set_boolean(r, self.boolean(s) ^ self.boolean(t)),
            Op::Any4 => self.set_boolean(t, self.booleans >> (s & 0xC) & 15 != 0),
            Op::All4 => self.set_boolean(t, self.booleans >> (s & 0xC) & 15 == 15),
            Op::Any8 => self.set_boolean(t, self.booleans >> (s & 8) & 255 != 0),
            Op::All8 => self.set_boolean(t, self.booleans >> (s & 8) & 255 == 255),
            Op::Syscall => return Err(Trap::of(SYSCALL)),
            Op::Break => return self.break_point(ins),
            Op::Mac | Op::MacLoad | Op::Ldinc | Op::Lddec => return self.multiply_accumulate(ins, outside),
            Op::Illegal => return Err(Trap::of(ILLEGAL)),
            op if super::config::is_float(op) => return self.float(ins, outside),
            _ => return self.step_system(ins),
        }
        let _ = pc;
        Ok(Then::Next)
    }

    fn begin_loop(&mut self, ins: &Ins, pc: u32) -> Then {
        let count = self.get(ins.s);
        self.lbeg = pc.wrapping_add(3);
        self.lend = pc.wrapping_add_signed(ins.imm);
        self.lcount = count.wrapping_sub(1);
        let skips = match ins.op {
            Op::Loopnez => count == 0,
            Op::Loopgtz => signed(count) <= 0,
            _ => false,
        };
        if skips { Then::To(self.lend) } else { Then::Next }
    }

    fn compare_and_store(&mut self, ins: &Ins, outside: &mut Outside) -> Result<Then, Trap> {
        let address = aligned(self.get(ins.s).wrapping_add_signed(ins.imm))?;
        let (old, then) = load_long(outside, address, 4)?;
        let new = self.get(ins.t);
        let then = if old == self.scompare { store(outside, address, new.to_le_bytes())? } else { then };
        self.set(ins.t, old);
        Ok(if outside.asked { Then::Look } else { then })
    }

    /// BREAK: without a debugger a debug exception, and nothing at the levels that mask it.
    fn break_point(&mut self, ins: &Ins) -> Result<Then, Trap> {
        if self.ps & super::PS_INTLEVEL >= super::config::DEBUG_LEVEL {
            return Ok(Then::Next);
        }
        // DEBUGCAUSE: BREAK, or BREAK.N.
        self.debug_cause = if ins.length == 2 { 16 } else { 8 };
        Err(Trap::of(DEBUG))
    }
}

fn aligned(address: u32) -> Result<u32, Trap> {
    if address % 4 == 0 { Ok(address) } else { Err(Trap { cause: ALIGNMENT, address: Some(address) }) }
}

#[cold]
pub(super) fn load_long(outside: &mut Outside, address: u32, size: u8) -> Result<(u32, Then), Trap> {
    let value = outside.space.load_long(outside.bus, address, size, true)?;
    Ok((value, outside.then()))
}

#[inline]
pub(super) fn store<const N: usize>(outside: &mut Outside, address: u32, bytes: [u8; N]) -> Result<Then, Trap> {
    if outside.space.store(address, bytes) {
        return Ok(Then::Next);
    }
    let value = bytes.iter().rev().fold(0, |value, &byte| value << 8 | u32::from(byte));
    store_long(outside, address, N as u8, value)
}

#[cold]
fn store_long(outside: &mut Outside, address: u32, size: u8, value: u32) -> Result<Then, Trap> {
    outside.space.store_long(outside.bus, address, size, value, true)?;
    Ok(outside.then())
}
