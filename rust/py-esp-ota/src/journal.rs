//! What a flash tells of itself: counters, operations, sectors.

use esp_ota_core::flash as core;
use pyo3::prelude::*;

use crate::err::number;

pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<FlashStats>()?;
    module.add_class::<FlashOp>()?;
    module.add_class::<Sectors>()
}

/// Counters since the flash was made.
#[pyclass(module = "py_esp_ota._core", frozen, eq, hash, get_all)]
#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) struct FlashStats {
    /// Calls of `Flash.read`.
    pub(crate) reads: u64,
    /// Bytes they returned.
    pub(crate) read_bytes: u64,
    /// Page programs: at most 256 bytes each, never across a page boundary.
    pub(crate) programs: u64,
    /// Bytes they programmed.
    pub(crate) program_bytes: u64,
    /// Sector erases.
    pub(crate) erases: u64,
    /// The commands that ESP-IDF's driver makes of the page programs: 64 bytes at most.
    pub(crate) program_pieces: u64,
    /// Blocks of 16 sectors that the driver erases with one command; their sectors are among `erases`.
    pub(crate) block_erases: u64,
}

#[pymethods]
impl FlashStats {
    fn __repr__(&self) -> String {
        let Self { reads, read_bytes, programs, program_bytes, erases, program_pieces, block_erases } = self;
        format!(
            "FlashStats(reads={reads}, read_bytes={read_bytes}, programs={programs}, \
             program_bytes={program_bytes}, erases={erases}, program_pieces={program_pieces}, \
             block_erases={block_erases})"
        )
    }
}

/// One mutating operation in the journal: the unit of a fault.
#[pyclass(module = "py_esp_ota._core", frozen, eq, hash, get_all)]
#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) struct FlashOp {
    /// Its number since `record(True)`: `cut@index`, armed at the same moment, falls on this operation.
    pub(crate) index: u64,
    /// `"program"` or `"erase"`.
    pub(crate) kind: &'static str,
    /// Where, in bytes.
    pub(crate) address: u64,
    /// To how many bytes.
    pub(crate) length: u64,
}

#[pymethods]
impl FlashOp {
    fn __repr__(&self) -> String {
        let Self { index, kind, address, length } = self;
        format!("FlashOp({index}, {kind:?}, 0x{address:x}, {length})")
    }
}

impl From<core::Op> for FlashOp {
    fn from(op: core::Op) -> Self {
        let kind = match op.kind {
            core::OpKind::Program => "program",
            core::OpKind::Erase => "erase",
        };
        Self { index: op.index, kind, address: op.address, length: op.length }
    }
}

/// A set of sectors of one flash.
#[pyclass(module = "py_esp_ota._core", frozen, eq)]
#[derive(PartialEq, Eq)]
pub(crate) struct Sectors(pub(crate) core::Sectors);

#[pymethods]
impl Sectors {
    fn __contains__(&self, #[pyo3(from_py_with = number)] address: u64) -> bool {
        self.0.contains(address)
    }

    fn __or__(&self, other: &Bound<'_, Self>) -> Self {
        Self(self.0.union(&other.get().0))
    }

    fn __len__(&self) -> usize {
        self.0.iter().count()
    }

    /// Their addresses, ascending.
    fn addresses(&self) -> Vec<u64> {
        self.0.iter().collect()
    }
}
