//! What an instruction holds while it is done: the core, its memory, and who watches what.

use esp_cpu::Space;
use pyo3::prelude::*;

use super::core::Core;
use super::window::Window;
use crate::err::{FlashError, failure_to_err};

/// Who is asked before an instruction from `begin` to `end` is done: the watcher's `rom_call`, or a function.
pub(super) struct Watch {
    pub(super) number: usize,
    pub(super) begin: u32,
    pub(super) end: u32,
    pub(super) callback: Option<Py<PyAny>>,
}

pub(super) struct Inner {
    pub(super) core: Box<dyn Core>,
    pub(super) space: Space,
    pub(super) windows: Vec<Window>,
    pub(super) watches: Vec<Watch>,
    pub(super) aliases: Vec<(u32, u32, u32)>,
    pub(super) random: Option<u32>,
}

impl Inner {
    /// The window that a hidden address is in, and its page of it.
    pub(super) fn hidden(&self, address: u32) -> Option<(usize, usize)> {
        if !self.space.is_hidden(address) {
            return None;
        }
        self.windows.iter().enumerate().find_map(|(at, window)| Some((at, window.page_of(address)?)))
    }

    pub(super) fn bring(&mut self, py: Python<'_>, (window, page): (usize, usize)) -> PyResult<()> {
        let Some(window) = self.windows.get(window) else { return Ok(()) };
        window.bring(&mut self.space, page).map_err(|failure| failure_to_err::<FlashError>(py, &failure))
    }

    /// Bring whatever of these bytes is hidden.
    pub(super) fn bring_all(&mut self, py: Python<'_>, address: u32, length: usize) -> PyResult<()> {
        let last = u64::from(address) + length.max(1) as u64 - 1;
        let mut at = u64::from(address);
        while let (true, Ok(now)) = (at <= last, u32::try_from(at)) {
            if let Some(place) = self.hidden(now) {
                self.bring(py, place)?;
            }
            at = (at | 0xFFF) + 1;
        }
        Ok(())
    }
}

impl Inner {
    /// Behind the one instruction of ROM that a call was announced for, if nothing else was made of it.
    pub(super) fn leave_call(&mut self, address: u32) {
        if self.core.pc() == address {
            let code = self.space.read_at(address, 2).unwrap_or_default();
            self.core.leave_call(&code);
        }
    }
}
