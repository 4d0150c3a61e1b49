//! `Target`: one chip of the family.

use esp_ota_core::target as core;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use crate::err::number;

pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<Target>()
}

/// The chip that a Python caller named.
pub(crate) fn by_name(name: &str) -> PyResult<&'static core::Target> {
    core::Target::by_name(name).ok_or_else(|| {
        let names = core::TARGETS.each_ref().map(|target| target.name).join(", ");
        PyValueError::new_err(format!("unknown chip {name:?}; known are {names}"))
    })
}

/// What one chip of the family fixes in silicon and ROM (`CONFIG_IDF_TARGET`).
#[pyclass(module = "py_esp_ota._core", frozen, eq, hash)]
#[derive(PartialEq, Eq, Hash)]
pub(crate) struct Target(&'static core::Target);

#[pymethods]
impl Target {
    #[new]
    fn new(name: &str) -> PyResult<Self> {
        by_name(name).map(Self)
    }

    /// Every supported target.
    #[staticmethod]
    fn names() -> Vec<&'static str> {
        core::TARGETS.iter().map(|target| target.name).collect()
    }

    /// The target whose images carry `chip_id`, if any.
    #[staticmethod]
    fn from_chip_id(#[pyo3(from_py_with = number)] chip_id: u16) -> Option<Self> {
        core::Target::by_chip_id(chip_id).map(Self)
    }

    /// ESP-IDF's name (`CONFIG_IDF_TARGET`), `"esp32c3"`.
    #[getter]
    fn name(&self) -> &'static str {
        self.0.name
    }

    /// `esp_chip_id_t`: what an image header names the chip by.
    #[getter]
    fn chip_id(&self) -> u16 {
        self.0.chip_id
    }

    /// Where the ROM looks for the second-stage bootloader: a flash address in bytes.
    #[getter]
    fn bootloader_offset(&self) -> u32 {
        self.0.bootloader_offset
    }

    /// Where mapped flash is read as data: the first address, and the first behind.
    #[getter]
    fn drom(&self) -> (u32, u32) {
        (self.0.drom.low, self.0.drom.high)
    }

    /// Where mapped flash is executed; the same as `drom` on chips with one window for both.
    #[getter]
    fn irom(&self) -> (u32, u32) {
        (self.0.irom.low, self.0.irom.high)
    }

    /// The room that the bootloader's linker script has for the code it needs until it jumps into an app.
    #[getter]
    fn loader_text(&self) -> (u32, u32) {
        (self.0.ram.loader_text.low, self.0.ram.loader_text.high)
    }

    /// The room that it has for the bootloader's data.
    #[getter]
    fn loader_data(&self) -> (u32, u32) {
        (self.0.ram.loader_data.low, self.0.ram.loader_data.high)
    }

    /// A revision (major * 100 + minor) that current default builds accept.
    #[getter]
    fn default_chip_revision(&self) -> u16 {
        self.0.default_chip_revision
    }

    /// `CONFIG_MMU_PAGE_SIZE` of a default build for a flash of `flash_size` bytes.
    #[pyo3(signature = (flash_size=0x0040_0000))]
    fn mmu_page_size(&self, #[pyo3(from_py_with = number)] flash_size: u64) -> u32 {
        self.0.mmu_page_size(flash_size)
    }

    /// The number of CPU cores.
    #[getter]
    fn cores(&self) -> u8 {
        self.0.cores
    }

    fn __repr__(&self) -> String {
        format!("Target({:?})", self.0.name)
    }
}
