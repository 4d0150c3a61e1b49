//! `OtaWriter`: the flash half of `esp_ota_write`.

use std::sync::Mutex;

use esp_ota_core::err::{EspErr, Failure};
use esp_ota_core::writer as core;
use pyo3::prelude::*;

use crate::bytes::Bytes;
use crate::err::{FlashError, OtaError, failure_to_err, fault_to_err, number};
use crate::flash::Flash;
use crate::lock::{brief, lock};
use crate::partition::Partition;

pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<OtaWriter>()
}

/// The flash half of `esp_ota_write`: sequential, with erase as it goes.
#[pyclass(module = "py_esp_ota._core", frozen)]
pub(crate) struct OtaWriter(Mutex<core::OtaWriter>);

#[pymethods]
impl OtaWriter {
    #[new]
    #[pyo3(signature = (partition, *, need_erase, magic=&[0xE9][..], wrote_size=0))]
    fn new(
        partition: &Partition,
        need_erase: bool,
        magic: &[u8],
        #[pyo3(from_py_with = number)] wrote_size: u32,
    ) -> Self {
        Self(Mutex::new(core::OtaWriter::new(partition.0.clone(), need_erase, magic, wrote_size.into())))
    }

    /// What the very first data must begin with from now on.
    fn set_magic(&self, py: Python<'_>, magic: &[u8]) {
        brief(py, &self.0, |writer| writer.set_magic(magic));
    }

    /// Bytes programmed so far.
    #[getter]
    fn wrote_size(&self, py: Python<'_>) -> u64 {
        brief(py, &self.0, |writer| writer.wrote_size())
    }

    /// `esp_ota_write_with_offset`: program at `offset` and count.
    fn write_with_offset(
        &self,
        py: Python<'_>,
        flash: &Flash,
        #[pyo3(from_py_with = number)] offset: u64,
        data: Bytes,
    ) -> PyResult<()> {
        flash.sized(py, data.len(), |chip| lock(&self.0).write_with_offset(chip, offset, &data))
    }

    /// `esp_ota_end`: program the block that waits to be filled, with flash encryption on.
    fn flush(&self, py: Python<'_>, flash: &Flash) -> PyResult<()> {
        flash.sized(py, 0, |chip| lock(&self.0).flush(chip))
    }

    /// `esp_ota_write`: erase what this data begins, check the first bytes, program.
    fn write(&self, py: Python<'_>, flash: &Flash, data: Bytes) -> PyResult<()> {
        // The flash is locked first, then the writer: always in this order, and never with the GIL needed.
        let done = flash.run(py, data.len(), |chip| lock(&self.0).write(chip, &data));
        done.map_err(|failure| match &failure {
            Failure::Fault(fault) if fault.err == EspErr::OtaValidateFailed => fault_to_err::<OtaError>(py, fault),
            _ => failure_to_err::<FlashError>(py, &failure),
        })
    }
}
