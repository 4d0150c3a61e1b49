//! A chip's registers: the words written last.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::Mutex;

use pyo3::exceptions::PyKeyError;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::lock::lock;

/// Addresses of registers are hostile to nobody: one multiplication spreads them.
#[derive(Default)]
pub(crate) struct Spread(u64);

impl Hasher for Spread {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.write_u32(u32::from(byte));
        }
    }

    fn write_u32(&mut self, value: u32) {
        self.write_u64(u64::from(value));
    }

    fn write_u64(&mut self, value: u64) {
        self.0 = (self.0 ^ value).wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(26);
    }
}

/// By an address of registers, or of anything else that nobody chooses to do harm.
pub(super) type ByAddress<T, A = u32> = HashMap<A, T, BuildHasherDefault<Spread>>;

/// The words of a chip's registers by address, each the one written last.
#[pyclass(module = "py_esp_ota._core", frozen, mapping)]
pub(crate) struct Words(Mutex<ByAddress<u32>>);

impl Words {
    pub(crate) fn word(&self, address: u32) -> u32 {
        lock(&self.0).get(&address).copied().unwrap_or(0)
    }

    pub(crate) fn set(&self, address: u32, value: u32) {
        lock(&self.0).insert(address, value);
    }

    /// The bytes of words from an address on; of each its highest byte first with `big`.
    pub(super) fn fill(&self, address: u32, bytes: &mut [u8], big: bool) {
        let words = lock(&self.0);
        for (address, chunk) in from(address).zip(bytes.chunks_mut(4)) {
            let word = words.get(&address).copied().unwrap_or(0);
            let bytes = if big { word.to_be_bytes() } else { word.to_le_bytes() };
            chunk.iter_mut().zip(bytes).for_each(|(byte, new)| *byte = new);
        }
    }

    /// The next random number of the generator that keeps its state in this word. Never zero, never twice the same.
    pub(crate) fn draw(&self, address: u32) -> u32 {
        let mut words = lock(&self.0);
        let state = words.entry(address).or_insert(0);
        *state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        *state | 1
    }
}

/// An address and those of the words behind it, round and round.
fn from(address: u32) -> impl Iterator<Item = u32> {
    std::iter::successors(Some(address), |at| Some(at.wrapping_add(4)))
}

/// The lowest 32 bits of a number (`from_py_with`).
pub(super) fn low_word(value: &Bound<'_, PyAny>) -> PyResult<u32> {
    value.extract().or_else(|_| value.bitand(0xFFFF_FFFF_u32)?.extract())
}

#[pymethods]
impl Words {
    #[new]
    fn new() -> Self {
        Self(Mutex::default())
    }

    /// The word at an address, `default` where none was written.
    #[pyo3(signature = (address, default=0, /))]
    fn get(&self, address: u32, default: u32) -> u32 {
        lock(&self.0).get(&address).copied().unwrap_or(default)
    }

    fn __getitem__(&self, address: u32) -> PyResult<u32> {
        lock(&self.0).get(&address).copied().ok_or_else(|| PyKeyError::new_err(address))
    }

    fn __setitem__(&self, address: u32, #[pyo3(from_py_with = low_word)] value: u32) {
        self.set(address, value);
    }

    fn __contains__(&self, address: u32) -> bool {
        lock(&self.0).contains_key(&address)
    }

    fn __len__(&self) -> usize {
        lock(&self.0).len()
    }

    /// The bytes of words that follow each other; of each its highest byte first with `big`.
    #[pyo3(signature = (address, length, /, *, big=false))]
    fn bytes_at<'py>(&self, py: Python<'py>, address: u32, length: usize, big: bool) -> PyResult<Bound<'py, PyBytes>> {
        PyBytes::new_with(py, length, |bytes| {
            self.fill(address, bytes, big);
            Ok(())
        })
    }

    /// Whole words from bytes, in the same way.
    #[pyo3(signature = (address, data, /, *, big=false))]
    pub(super) fn put_bytes_at(&self, address: u32, data: &[u8], big: bool) {
        let mut words = lock(&self.0);
        for (address, chunk) in from(address).zip(data.chunks_exact(4)) {
            let mut bytes = [0; 4];
            bytes.copy_from_slice(chunk);
            words.insert(address, if big { u32::from_be_bytes(bytes) } else { u32::from_le_bytes(bytes) });
        }
    }

    /// Address and word, in the order of addresses.
    fn items(&self) -> Vec<(u32, u32)> {
        let mut items: Vec<_> = lock(&self.0).iter().map(|(&address, &word)| (address, word)).collect();
        items.sort_unstable();
        items
    }

    /// The same words once more.
    fn copy(&self) -> Self {
        Self(Mutex::new(lock(&self.0).clone()))
    }

    /// These words and no others from now on.
    fn become_copy_of(&self, other: &Bound<'_, Self>) {
        let theirs = lock(&other.get().0).clone();
        *lock(&self.0) = theirs;
    }

    /// No words but these.
    fn begin_with(&self, words: HashMap<u32, u32>) {
        let mut mine = lock(&self.0);
        mine.clear();
        mine.extend(words);
    }
}
