//! The run: blocks of decoded code, one behind the other, until something ends it.

use super::decode::{decode, length};
use super::exceptions::{ALLOCA, LEVEL_1, SYSCALL, Trap};
use super::op::{Ins, Op};
use super::special::is_time;
use super::step::{Outside, Then};
use super::{Cpu, PS_EXCM, State};
use crate::blocks::{LONGEST, WAYS};
use crate::bus::Bus;
use crate::space::{PAGE, Space};
use crate::stop::{Fault, Ran, Stop};

/// How a piece of a block ended.
enum End {
    /// At its end.
    Fell,
    /// By a jump.
    Jumped,
    /// Behind an instruction whose effects are to be looked at.
    Look,
    /// Behind one that looked at the time.
    Clock,
    /// Behind WAITI.
    Wait,
    /// At an instruction that raised this.
    Trap(Trap),
}

impl End {
    /// Behind an instruction that is not followed by the next one just so.
    fn after(then: Then) -> Self {
        match then {
            Then::Clock => Self::Clock,
            Then::Wait => Self::Wait,
            Then::Next | Then::Enter | Then::To(_) | Then::Look => Self::Look,
        }
    }
}

impl Cpu {
    /// Run up to `budget` instructions. The first is done even if its address is watched.
    pub fn run(&mut self, space: &mut Space, bus: &mut dyn Bus, budget: u64) -> Ran {
        self.blocks.refresh(space);
        let mut outside = Outside { space, bus, asked: false };
        let mut done = 0;
        let mut from = None;
        let mut is_first = true;
        // Cycles to the next timer: what only the instructions that end a block with a look can change.
        let mut timer = self.state.until_timer();
        loop {
            if self.state.attention {
                self.state.take_interrupt();
                from = None;
            }
            let number = match self.next_block(&mut outside, from) {
                Ok(number) => number,
                Err(fault) => {
                    if let Some(stop) = before(&outside, done, budget, is_first, false) {
                        return Ran { stop, instructions: done };
                    }
                    if let Some(stop) = self.trapped(fault.into()) {
                        return Ran { stop, instructions: done };
                    }
                    (done, from, is_first) = (done + 1, None, false);
                    self.state.count(1);
                    timer = self.state.until_timer();
                    continue;
                }
            };
            let Some(block) = self.blocks.block(number) else { continue };
            if let Some(stop) = before(&outside, done, budget, is_first, block.watched) {
                return Ran { stop, instructions: done };
            }
            is_first = false;
            let room = (budget - done).min(timer);
            let (executed, end) = match self.state.fitting(self.blocks.ops(block), block.bytes, room) {
                Fitting::Some(ops) => self.state.execute(ops, &mut outside),
                Fitting::Overflow => {
                    self.state.pc = self.state.overflow(self.state.pc);
                    (1, End::Jumped)
                }
            };
            done += executed;
            if executed < timer && matches!(end, End::Fell | End::Jumped) {
                timer -= executed;
                self.state.ccount = self.state.ccount.wrapping_add(executed as u32);
            } else {
                self.state.count(executed);
                timer = self.state.until_timer();
            }
            from = None;
            match end {
                End::Fell => {
                    from = Some((number, 0));
                    self.state.close_loop();
                }
                // A block has some branches before its end: who leaves where is told apart by the place, most often.
                End::Jumped => from = Some((number, executed as usize % WAYS)),
                End::Look | End::Clock | End::Wait => {
                    from = Some((number, 0));
                    self.state.close_loop();
                    if outside.space.has_stale_code() {
                        self.blocks.refresh(outside.space);
                    }
                    if matches!(end, End::Clock) && self.look != 0 {
                        self.state.count(u64::from(self.look));
                        timer = self.state.until_timer();
                    }
                    if matches!(end, End::Wait) {
                        return Ran { stop: Stop::Wait, instructions: done };
                    }
                }
                End::Trap(trap) => {
                    if let Some(stop) = self.trapped(trap) {
                        return Ran { stop, instructions: done };
                    }
                    done += 1;
                    self.state.count(1);
                    timer = self.state.until_timer();
                }
            }
        }
    }

    /// Enter the handler of an exception, or name it to the host.
    fn trapped(&mut self, trap: Trap) -> Option<Stop> {
        let own = matches!(trap.cause, SYSCALL | LEVEL_1 | ALLOCA);
        if self.host_traps && !own {
            return Some(Stop::Exception { cause: trap.cause, value: trap.address.unwrap_or_default() });
        }
        self.state.enter(trap);
        None
    }

    /// The block at the program counter: the one that came next the last time, a known one, or a new one.
    fn next_block(&mut self, outside: &mut Outside, from: Option<(u32, usize)>) -> Result<u32, Fault> {
        let pc = self.state.pc;
        if let Some((from, way)) = from {
            if let Some(block) = self.blocks.block(from) {
                if let Some(number) = self.blocks.follow(block, way, pc) {
                    return Ok(number);
                }
            }
        }
        let number = match self.blocks.find(pc) {
            Some(number) => number,
            None => self.decode_block(outside.space, pc)?,
        };
        if let Some((from, way)) = from {
            self.blocks.link(from, way, number);
        }
        Ok(number)
    }

    /// Whether there is an instruction at an address: it can be fetched, and its encoding is not illegal on this core.
    pub fn is_legal(&self, space: &mut Space, address: u32) -> bool {
        fetch(space, address).is_ok_and(|(word, _)| self.decode(word).op != Op::Illegal)
    }

    fn decode(&self, word: u32) -> Ins {
        let mut ins = decode(word);
        if !self.config.has(ins.op) || !self.config.has_register(&ins) || !self.state.has_special(&ins) {
            ins.op = Op::Illegal;
        }
        ins
    }

    fn decode_block(&mut self, space: &mut Space, pc: u32) -> Result<u32, Fault> {
        let mut ops: Vec<Ins> = Vec::with_capacity(LONGEST);
        let mut places: Vec<(usize, usize)> = Vec::with_capacity(2);
        let (mut bytes, mut reach) = (0, 0);
        while ops.len() < LONGEST {
            let at = pc.wrapping_add(bytes);
            if bytes > 0 && (at as usize % PAGE == 0 || at == self.state.lend || space.is_watched(at)) {
                break;
            }
            let (word, pieces) = match fetch(space, at) {
                Ok(fetched) => fetched,
                Err(fault) if ops.is_empty() => return Err(fault),
                Err(_) => break,
            };
            let mut ins = self.decode(word);
            // It turns the window: what a block needs of it is looked at before its first instruction, or behind ENTRY.
            if !ops.is_empty() && ins.op == Op::Entry {
                break;
            }
            // It reads or sets the time, which is right between blocks.
            if !ops.is_empty() && matches!(ins.op, Op::Rsr | Op::Wsr | Op::Xsr) && is_time(ins.imm as u16) {
                break;
            }
            // The highest so far: the last instruction's says what the whole block needs.
            reach = ins.reach.max(reach);
            (ins.at, ins.reach) = (bytes as u16, reach);
            ops.push(ins);
            bytes += u32::from(ins.length);
            for piece in pieces.into_iter().flatten() {
                match places.last_mut() {
                    Some(last) if last.0 + last.1 == piece.0 && piece.0 % PAGE != 0 => last.1 += piece.1,
                    _ => places.push(piece),
                }
            }
            if ends_block(ins.op) || at as usize % PAGE + usize::from(ins.length) > PAGE {
                break;
            }
        }
        let watched = space.is_watched(pc);
        Ok(self.blocks.add(space, pc, &places, &ops, watched))
    }
}

/// Whether the run ends before the next instruction.
fn before(outside: &Outside, done: u64, budget: u64, is_first: bool, watched: bool) -> Option<Stop> {
    if watched && !is_first {
        return Some(Stop::Break);
    }
    if outside.asked {
        return Some(Stop::Asked);
    }
    (done >= budget).then_some(Stop::Budget)
}

/// What of a block can be executed in one go.
enum Fitting<'a> {
    Some(&'a [Ins]),
    /// Nothing: its first instruction touches a window that holds another frame.
    Overflow,
}

impl State {
    #[inline]
    fn fitting<'a>(&self, ops: &'a [Ins], bytes: u32, room: u64) -> Fitting<'a> {
        let enters = ops.first().is_some_and(|first| first.op == Op::Entry);
        let reach = if enters { 0 } else { ops.last().map_or(0, |last| last.reach) };
        let inside = self.lend.wrapping_sub(self.pc).wrapping_sub(1) < bytes - 1 && self.lcount != 0;
        if ops.len() as u64 <= room && reach <= self.free && !inside {
            return Fitting::Some(ops);
        }
        self.cut(ops, room, inside)
    }

    #[cold]
    fn cut<'a>(&self, ops: &'a [Ins], room: u64, inside: bool) -> Fitting<'a> {
        let end = self.lend.wrapping_sub(self.pc);
        let may = |ins: &Ins| ins.reach <= self.free && !(inside && u32::from(ins.at) == end);
        let count = ops.iter().take(room as usize).take_while(|ins| may(ins)).count();
        match ops.get(..count) {
            Some(some) if count > 0 => Fitting::Some(some),
            _ => Fitting::Overflow,
        }
    }

    #[inline]
    fn execute(&mut self, ops: &[Ins], outside: &mut Outside) -> (u64, End) {
        let begin = self.pc;
        for (done, ins) in (1u64..).zip(ops) {
            let pc = begin.wrapping_add(u32::from(ins.at));
            match self.step(ins, pc, outside) {
                Ok(Then::Next) => {}
                Ok(Then::Enter) => {
                    if ops.last().is_some_and(|last| last.reach > self.free) {
                        self.pc = behind(begin, ins);
                        return (done, End::Fell);
                    }
                }
                Ok(Then::To(target)) => {
                    self.pc = target;
                    return (done, End::Jumped);
                }
                Ok(then) => {
                    self.pc = behind(begin, ins);
                    return (done, End::after(then));
                }
                Err(trap) => {
                    self.pc = pc;
                    return (done - 1, End::Trap(trap));
                }
            }
        }
        self.pc = ops.last().map_or(begin, |last| behind(begin, last));
        (ops.len() as u64, End::Fell)
    }

    /// Back to the beginning of a zero-overhead loop, when its end was reached in order.
    #[inline]
    fn close_loop(&mut self) {
        if self.pc == self.lend && self.lcount != 0 && self.ps & PS_EXCM == 0 {
            self.lcount -= 1;
            self.pc = self.lbeg;
        }
    }
}

/// The address behind an instruction of a block.
#[inline]
fn behind(begin: u32, ins: &Ins) -> u32 {
    begin.wrapping_add(u32::from(ins.at)).wrapping_add(u32::from(ins.length))
}

/// A part of an instruction: where in the arena, how many bytes.
type Piece = Option<(usize, usize)>;

/// The instruction at an address, and where in the arena its bytes are: one piece, or two across a page.
fn fetch(space: &mut Space, address: u32) -> Result<(u32, [Piece; 2]), Fault> {
    let place = code(space, address)?;
    let one = space.bytes(place, 3);
    let wanted = one.first().map_or(3, |&first| usize::from(length(first)));
    let here = wanted.min(one.len());
    let mut word = one.iter().rev().fold(0, |word, &byte| word << 8 | u32::from(byte));
    let mut other = None;
    if here < wanted {
        let place = code(space, address.wrapping_add(here as u32))?;
        let rest = space.bytes(place, wanted - here);
        word |= rest.iter().rev().fold(0, |word, &byte| word << 8 | u32::from(byte)) << (8 * here);
        other = Some((place, wanted - here));
    }
    Ok((word, [Some((place, here)), other]))
}

fn code(space: &mut Space, address: u32) -> Result<usize, Fault> {
    match space.code(address) {
        Some(place) => Ok(place),
        None => space.code_long(address, true),
    }
}

/// Whether a block is entered behind an instruction: it jumps, or changes what the run looks at between blocks. A branch
/// does not end the block that it is in: it only leaves it.
fn ends_block(op: Op) -> bool {
    #[allow(clippy::enum_glob_use, reason = "a table of mnemonics")]
    use Op::*;
    match op {
        Illegal | Syscall | Break | Retw | Ret | Rotw | Rfwo | Rfwu | Loop | Loopnez | Loopgtz | Rsr | Wsr | Xsr
        | Rsil | Waiti | Rfe | Rfde | Rfi => true,
        op => matches!(op, J | Jx | Call0 | Call | Callx0 | Callx),
    }
}
