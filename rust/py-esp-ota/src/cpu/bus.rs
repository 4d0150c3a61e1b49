//! What the code finds where no memory is: registers of the chip in Rust, and the devices in Python behind some of them.

use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

use pyo3::intern;
use pyo3::prelude::*;

use super::handlers::{Answer, Handlers, Taken};
use super::registers::{Words, low_word};

/// What may be asked and told while the code runs.
#[derive(Default)]
pub(super) struct Flags {
    /// What Python may still do for the code.
    pub(super) effort: AtomicI64,
    pub(super) stopped: AtomicBool,
    pub(super) interrupted: AtomicBool,
}

impl Flags {
    /// Take from the effort; once it is spent the code ends, and this is false.
    pub(super) fn charge(&self, effort: i64) -> bool {
        let left = self.effort.load(Ordering::Relaxed).saturating_sub(effort);
        self.effort.store(left, Ordering::Relaxed);
        if left < 0 {
            self.stop();
        }
        left >= 0
    }

    pub(super) fn stop(&self) {
        self.stopped.store(true, Ordering::Relaxed);
    }

    pub(super) fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Relaxed)
    }
}

/// The bus of one run. A device that is read is asked at once; one of Python that is written hears of it behind the
/// instruction, when it may look at all of the CPU.
pub(super) struct Bus<'a, 'py> {
    pub(super) py: Python<'py>,
    pub(super) words: &'a Words,
    pub(super) on_read: &'a Handlers,
    pub(super) on_write: &'a Handlers,
    pub(super) flags: &'a Flags,
    /// Addresses from the first up to the second that are those from the third on.
    pub(super) aliases: &'a [(u32, u32, u32)],
    /// The register that is another number each time it is read.
    pub(super) random: Option<u32>,
    pub(super) watcher: Option<&'a Bound<'py, PyAny>>,
    /// Who is to be called, with the word written or without one.
    pub(super) posted: Vec<(Py<PyAny>, Option<u32>)>,
    pub(super) error: Option<PyErr>,
}

impl Bus<'_, '_> {
    /// The address that a register has, and not only shows at.
    fn real(&self, address: u32) -> u32 {
        let alias = self.aliases.iter().find(|&&(begin, end, _)| begin <= address && address < end);
        alias.map_or(address, |&(begin, _, to)| (address - begin).wrapping_add(to))
    }

    fn word(&mut self, address: u32) -> u32 {
        if self.random == Some(address) {
            return self.words.draw(address);
        }
        match self.on_read.read(self.py, address) {
            None => self.words.word(address),
            Some(Answer::Word(word)) => word,
            Some(Answer::Ask(device)) => self.asked(|py| low_word(device.call0(py)?.bind(py))),
        }
    }

    /// What Python answers; what it raises ends the run.
    fn asked<T: Default>(&mut self, ask: impl FnOnce(Python<'_>) -> PyResult<T>) -> T {
        ask(self.py).unwrap_or_else(|error| {
            self.error = Some(error);
            T::default()
        })
    }
}

/// The bits that an access of `size` bytes at an address of its word takes, and how far up they are.
fn lane(address: u32, size: u8) -> (u32, u32) {
    let mask = if size >= 4 { u32::MAX } else { (1 << (8 * u32::from(size))) - 1 };
    (mask, 8 * (address & 3))
}

impl esp_cpu::Bus for Bus<'_, '_> {
    fn read(&mut self, address: u32, size: u8) -> u32 {
        self.flags.charge(1);
        let (mask, shift) = lane(address, size);
        self.word(self.real(address & !3)) >> shift & mask
    }

    fn write(&mut self, address: u32, size: u8, value: u32) {
        self.flags.charge(1);
        let (mask, shift) = lane(address, size);
        let address = self.real(address & !3);
        let value =
            if size >= 4 { value } else { self.words.word(address) & !(mask << shift) | (value & mask) << shift };
        match self.on_write.write(self.py, address, value) {
            Taken::Nowhere => self.words.set(address, value),
            Taken::Done => {}
            Taken::Tell(device, value) => self.posted.push((device, value)),
        }
    }

    fn asks(&self) -> bool {
        self.flags.is_stopped() || !self.posted.is_empty() || self.error.is_some()
    }

    fn csr(&mut self, number: u16) -> Option<u32> {
        if !self.flags.charge(1) {
            return Some(0);
        }
        let watcher = self.watcher?;
        self.asked(|py| {
            let value = watcher.call_method1(intern!(py, "csr"), (number,))?;
            if value.is_none() { Ok(None) } else { low_word(&value).map(Some) }
        })
    }
}
