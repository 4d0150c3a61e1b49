//! Kinds of devices that code uses often and that need no Python for it. A chip's tables say where there are any.
//!
//! Each can be called as a device of Python is, so that an engine may take it for one.

use esp_ota_core::sha256;
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;

use super::registers::{Words, low_word};

/// A register that reads as the word written last, but for some bits.
#[pyclass(module = "py_esp_ota._core", frozen)]
pub(crate) struct Kept {
    words: Py<Words>,
    address: u32,
    ones: u32,
    zeros: u32,
}

impl Kept {
    pub(super) fn word(&self) -> u32 {
        (self.words.get().word(self.address) | self.ones) & !self.zeros
    }
}

#[pymethods]
impl Kept {
    #[new]
    #[pyo3(signature = (words, address, *, ones=0, zeros=0))]
    fn new(words: Py<Words>, address: u32, ones: u32, zeros: u32) -> Self {
        Self { words, address, ones, zeros }
    }

    fn __call__(&self) -> u32 {
        self.word()
    }
}

/// A register whose word is kept, and one who is told when some bits of it are written.
#[pyclass(module = "py_esp_ota._core", frozen)]
pub(crate) struct Switch {
    words: Py<Words>,
    address: u32,
    bits: u32,
    told: Py<PyAny>,
}

impl Switch {
    /// Take a word; whom to tell.
    pub(super) fn take(&self, value: u32) -> Option<&Py<PyAny>> {
        self.words.get().set(self.address, value);
        (value & self.bits != 0).then_some(&self.told)
    }
}

#[pymethods]
impl Switch {
    #[new]
    fn new(words: Py<Words>, address: u32, bits: u32, told: Py<PyAny>) -> Self {
        Self { words, address, bits, told }
    }

    fn __call__(&self, py: Python<'_>, #[pyo3(from_py_with = low_word)] value: u32) -> PyResult<()> {
        self.take(value).map_or(Ok(()), |told| told.call0(py).map(drop))
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.told)
    }
}

/// A register that a store makes a hash accelerator take one block by: SHA-256's compression, from registers to
/// registers. Words are big-endian.
#[pyclass(module = "py_esp_ota._core", frozen)]
pub(crate) struct Compression {
    words: Py<Words>,
    message: u32,
    state: u32,
    initial: Option<[u8; 32]>,
}

impl Compression {
    pub(super) fn compress(&self) {
        let words = self.words.get();
        let mut block = [0; 64];
        words.fill(self.message, &mut block, true);
        let before = self.initial.unwrap_or_else(|| {
            let mut state = [0; 32];
            words.fill(self.state, &mut state, true);
            state
        });
        words.put_bytes_at(self.state, &sha256::compress(before, &block), true);
    }
}

#[pymethods]
impl Compression {
    #[new]
    #[pyo3(signature = (words, *, message, state, initial=None))]
    fn new(words: Py<Words>, message: u32, state: u32, initial: Option<[u8; 32]>) -> Self {
        Self { words, message, state, initial }
    }

    fn __call__(&self, #[pyo3(from_py_with = low_word)] _value: u32) {
        self.compress();
    }
}
