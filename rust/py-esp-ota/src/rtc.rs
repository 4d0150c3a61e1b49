//! `RtcRetain`: the bootloader's record in RTC memory.

use esp_ota_core::rtc as core;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::err::number;

pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<RtcRetain>()
}

/// `rtc_retain_mem_t`, without a custom area.
#[pyclass(module = "py_esp_ota._core", frozen, eq, hash)]
#[derive(PartialEq, Eq, Hash)]
pub(crate) struct RtcRetain(core::RtcRetain);

#[pymethods]
impl RtcRetain {
    #[new]
    #[pyo3(signature = (*, offset=0, size=0, reboot_counter=0, factory_reset_state=false))]
    fn new(
        #[pyo3(from_py_with = number)] offset: u32,
        #[pyo3(from_py_with = number)] size: u32,
        #[pyo3(from_py_with = number)] reboot_counter: u16,
        factory_reset_state: bool,
    ) -> Self {
        Self(core::RtcRetain { offset, size, reboot_counter, factory_reset_state })
    }

    /// The record in 16 bytes; `None` when it is not valid.
    #[staticmethod]
    fn from_bytes(data: &[u8]) -> Option<Self> {
        core::RtcRetain::parse(data.try_into().ok()?).map(Self)
    }

    /// The 16 bytes of the record, CRC included.
    fn to_bytes<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.0.to_bytes())
    }

    /// `partition.offset`: where the app that runs lies in flash, in bytes; 0 when it was not stored.
    #[getter]
    fn offset(&self) -> u32 {
        self.0.offset
    }

    /// `partition.size`: bytes of its partition.
    #[getter]
    fn size(&self) -> u32 {
        self.0.size
    }

    /// `reboot_counter`: boots since power came; stays at 65535.
    #[getter]
    fn reboot_counter(&self) -> u16 {
        self.0.reboot_counter
    }

    /// `flags.factory_reset_state`: a factory reset happened at this boot.
    #[getter]
    fn factory_reset_state(&self) -> bool {
        self.0.factory_reset_state
    }

    fn __repr__(&self) -> String {
        let core::RtcRetain { offset, size, reboot_counter, factory_reset_state } = self.0;
        let flag = if factory_reset_state { ", factory_reset_state=True" } else { "" };
        format!("RtcRetain(offset=0x{offset:x}, size=0x{size:x}, reboot_counter={reboot_counter}{flag})")
    }
}
