//! The run: instructions, and between two of them whoever is to be asked.

use std::sync::atomic::Ordering;
use std::sync::{MutexGuard, TryLockError};

use esp_cpu::{Access, Fault, Ran, Stop};
use pyo3::exceptions::PyRuntimeError;
use pyo3::intern;
use pyo3::prelude::*;

use super::bus::Bus;
use super::inner::{Inner, Watch};
use super::{Cpu, fault};
use crate::lock::lock;

/// Instructions between two looks at signals, and at threads that wait.
const TURN: u64 = 2_000_000;

impl Cpu {
    /// What an instruction holds while it is done.
    pub(super) fn inner(&self) -> PyResult<MutexGuard<'_, Inner>> {
        match self.inner.try_lock() {
            Ok(inner) => Ok(inner),
            Err(TryLockError::Poisoned(poisoned)) => Ok(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) => {
                Err(PyRuntimeError::new_err("the CPU is at work: who is read may look at registers only"))
            }
        }
    }

    fn watcher<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyAny>> {
        lock(&self.watcher).as_ref().map(|watcher| watcher.bind(py).clone())
    }

    /// Run until the budget is spent or something ends it.
    pub(super) fn go_on(&self, py: Python<'_>, count: u64) -> PyResult<u64> {
        let (mut left, mut turn) = (count, TURN);
        loop {
            let called = self.announce(py)?;
            if left == 0 || self.flags.is_stopped() {
                if let Some(address) = called {
                    // The call was announced and done, but ROM's one instruction not yet.
                    self.inner()?.leave_call(address);
                }
                return Ok(count - left);
            }
            let ran = self.step(py, left.min(turn))?;
            left -= ran.instructions;
            turn = turn.saturating_sub(ran.instructions);
            if turn == 0 {
                turn = TURN;
                py.detach(|| {});
                py.check_signals()?;
            }
            match ran.stop {
                Stop::Budget | Stop::Break | Stop::Asked => {}
                Stop::Wait => {
                    self.waits.store(true, Ordering::Relaxed);
                    return Ok(count - left);
                }
                Stop::Exception { cause, value } => {
                    if !self.excepted(py, cause, value)? {
                        self.instructions.fetch_add(1, Ordering::Relaxed);
                        return Ok(count - left + 1);
                    }
                }
            }
        }
    }

    /// Ask whoever watches the instruction that comes next, when there is one; where it is, if that is a call of ROM.
    fn announce(&self, py: Python<'_>) -> PyResult<Option<u32>> {
        let mut inner = self.inner()?;
        let pc = inner.core.pc();
        if !inner.space.is_watched(pc) {
            return Ok(None);
        }
        inner.bring_all(py, pc, 4)?;
        let Inner { core, space, watches, .. } = &mut *inner;
        match space.code_long(pc, false) {
            // It is an exception before it is anything else.
            Ok(place) if space.bytes(place, core.nothing()).iter().all(|&byte| byte == 0) => return Ok(None),
            Ok(_) => {}
            Err(Fault { access, address }) => {
                drop(inner);
                self.faulted(py, access, address)?;
                self.flags.stop();
                return Ok(None);
            }
        }
        let watching = |watch: &&Watch| watch.begin <= pc && pc <= watch.end;
        let asked: Vec<_> = watches
            .iter()
            .filter(watching)
            .map(|watch| watch.callback.as_ref().map(|callback| callback.clone_ref(py)))
            .collect();
        drop(inner);
        let mut called = None;
        for callback in asked {
            if let Some(callback) = callback {
                callback.call1(py, (pc,))?;
            } else if let Some(watcher) = self.watcher(py) {
                called = Some(pc);
                if !watcher.call_method1(intern!(py, "rom_call"), (pc,))?.is_truthy()? {
                    self.flags.stop();
                }
            }
        }
        Ok(called)
    }

    /// Instructions up to the next thing that Python has to do with, and what the devices hear of them.
    fn step(&self, py: Python<'_>, budget: u64) -> PyResult<Ran> {
        let mut inner = self.inner()?;
        let Inner { core, space, aliases, random, .. } = &mut *inner;
        let watcher = self.watcher(py);
        let mut bus = Bus {
            py,
            words: self.words.get(),
            on_read: self.on_read.get(),
            on_write: self.on_write.get(),
            flags: &self.flags,
            aliases,
            random: *random,
            watcher: watcher.as_ref(),
            posted: Vec::new(),
            error: None,
        };
        let ran = core.run(space, &mut bus, budget);
        let Bus { posted, error, .. } = bus;
        drop(inner);
        self.instructions.fetch_add(ran.instructions, Ordering::Relaxed);
        if let Some(error) = error {
            return Err(error);
        }
        for (device, value) in posted {
            match value {
                Some(value) => device.call1(py, (value,))?,
                None => device.call0(py)?,
            };
        }
        Ok(ran)
    }

    /// An instruction that could not be done; whether it can now.
    fn excepted(&self, py: Python<'_>, cause: u32, value: u32) -> PyResult<bool> {
        let inner = self.inner()?;
        let pc = inner.core.pc();
        let access = inner.core.access(cause);
        if let Some(place) = access.and_then(|_| inner.hidden(value)) {
            drop(inner);
            if let Some(loads) = &*lock(&self.loads) {
                loads.call1(py, (value & !0xFFF, 0x1000))?;
            }
            self.inner()?.bring(py, place)?;
            return Ok(true);
        }
        drop(inner);
        if let Some(access) = access {
            self.faulted(py, access, value)?;
        } else if let Some(watcher) = self.watcher(py).filter(|_| self.flags.charge(1)) {
            watcher.call_method1(intern!(py, "exception"), (cause, pc))?;
        }
        Ok(false)
    }

    /// The instruction that comes next touched what is not there.
    fn faulted(&self, py: Python<'_>, access: Access, address: u32) -> PyResult<()> {
        let Some(watcher) = self.watcher(py) else { return Ok(()) };
        let pc = self.inner()?.core.pc();
        watcher.call_method1(intern!(py, "fault"), (fault(access, address).value(py), pc))?;
        Ok(())
    }
}
