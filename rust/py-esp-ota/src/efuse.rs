//! `EFuse`: the core's eFuses behind a lock, for they are burnt in place.

use std::sync::Mutex;

use esp_ota_core::efuse as core;
use esp_ota_core::target::Target;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use crate::err::{OtaError, fault_to_err, number};
use crate::flash::lock;
use crate::target::by_name;

pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<EFuse>()
}

/// The eFuses of one chip that the update path reads and burns.
#[pyclass(module = "py_esp_ota._core", frozen)]
pub(crate) struct EFuse {
    target: &'static Target,
    bits: Mutex<core::EFuse>,
}

impl EFuse {
    /// The bits as they are now.
    pub(crate) fn value(&self) -> core::EFuse {
        lock(&self.bits).clone()
    }

    fn read<T>(&self, look: impl FnOnce(&core::EFuse) -> T) -> T {
        look(&lock(&self.bits))
    }
}

impl From<core::EFuse> for EFuse {
    fn from(bits: core::EFuse) -> Self {
        Self { target: bits.target, bits: Mutex::new(bits) }
    }
}

#[pymethods]
impl EFuse {
    #[new]
    #[pyo3(signature = (
        chip="esp32c3", *, chip_revision=None, block_revision=0, secure_version=0,
        disable_wafer_version_major=false, disable_blk_version_major=false
    ))]
    fn new(
        chip: &str,
        #[pyo3(from_py_with = number)] chip_revision: Option<u16>,
        #[pyo3(from_py_with = number)] block_revision: u16,
        #[pyo3(from_py_with = number)] secure_version: u32,
        disable_wafer_version_major: bool,
        disable_blk_version_major: bool,
    ) -> PyResult<Self> {
        let mut bits = core::EFuse::new(by_name(chip)?);
        bits.chip_revision = chip_revision.unwrap_or(bits.chip_revision);
        bits.block_revision = block_revision;
        bits.disable_wafer_version_major = disable_wafer_version_major;
        bits.disable_blk_version_major = disable_blk_version_major;
        bits.burn_secure_version(secure_version, u32::MAX).map_err(|fault| PyValueError::new_err(fault.to_string()))?;
        Ok(bits.into())
    }

    #[getter]
    fn chip(&self) -> &'static str {
        self.target.name
    }

    #[getter]
    fn chip_revision(&self) -> u16 {
        self.read(|bits| bits.chip_revision)
    }

    #[getter]
    fn block_revision(&self) -> u16 {
        self.read(|bits| bits.block_revision)
    }

    #[getter]
    fn disable_wafer_version_major(&self) -> bool {
        self.read(|bits| bits.disable_wafer_version_major)
    }

    #[getter]
    fn disable_blk_version_major(&self) -> bool {
        self.read(|bits| bits.disable_blk_version_major)
    }

    #[getter]
    fn secure_version(&self) -> u32 {
        self.read(core::EFuse::secure_version)
    }

    /// `esp_efuse_update_secure_version`.
    #[pyo3(signature = (version, *, size=None))]
    fn burn_secure_version(
        &self,
        py: Python<'_>,
        #[pyo3(from_py_with = number)] version: u32,
        #[pyo3(from_py_with = number)] size: Option<u32>,
    ) -> PyResult<()> {
        let burnt = lock(&self.bits).burn_secure_version(version, size.unwrap_or(u32::MAX));
        burnt.map_err(|fault| fault_to_err::<OtaError>(py, &fault))
    }

    /// An independent copy.
    fn copy(&self) -> Self {
        self.value().into()
    }

    fn __eq__(&self, other: &Self) -> bool {
        self.value() == other.value()
    }

    fn __repr__(&self) -> String {
        let bits = self.value();
        format!(
            "EFuse({:?}, chip_revision={}, block_revision={}, secure_version={})",
            bits.target.name,
            bits.chip_revision,
            bits.block_revision,
            bits.secure_version()
        )
    }
}
