//! `inspect_image` and what it found.

use esp_ota_core::err::EspErr;
use esp_ota_core::image as core;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyDict;

use super::parts::{
    AppDesc, BootloaderDesc, ImageHeader, Segment, app_desc_dict, bootloader_desc_dict, segment_dict, segments,
};
use crate::err::{Fault, esp_err};
use crate::target::by_name;

/// Read all there is and name every fault; never fails. With `chip`, a wrong chip id is a fault too.
#[pyfunction]
#[pyo3(signature = (data, *, chip=None))]
pub(crate) fn inspect_image(py: Python<'_>, data: &[u8], chip: Option<&str>) -> PyResult<ImageInfo> {
    let chip = chip.map(by_name).transpose()?;
    Ok(ImageInfo(py.detach(|| core::inspect(data, chip))))
}

/// Everything readable in some bytes, and everything wrong with them.
#[pyclass(module = "py_esp_ota._core", frozen, eq, hash)]
#[derive(PartialEq, Eq, Hash)]
pub(crate) struct ImageInfo(core::ImageInfo);

impl ImageInfo {
    fn checksum_valid(&self) -> bool {
        self.0.checksum_stored.is_some() && self.0.checksum_stored == self.0.checksum_calculated
    }

    fn hash_valid(&self) -> Option<bool> {
        let matches = self.0.hash_stored.is_some() && self.0.hash_stored == self.0.hash_calculated;
        self.0.hash_appended().then_some(matches)
    }
}

#[pymethods]
impl ImageInfo {
    #[getter]
    fn kind(&self) -> &'static str {
        match self.0.kind {
            core::ImageKind::App => "app",
            core::ImageKind::Bootloader => "bootloader",
            core::ImageKind::Unknown => "unknown",
        }
    }

    #[getter]
    fn valid(&self) -> bool {
        self.0.valid()
    }

    #[getter]
    fn err<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        esp_err(py, self.0.err())
    }

    #[getter]
    fn chip(&self) -> Option<&'static str> {
        self.0.chip.map(|target| target.name)
    }

    #[getter]
    fn header(&self) -> Option<ImageHeader> {
        self.0.header.map(ImageHeader)
    }

    #[getter]
    fn segments(&self) -> Vec<Segment> {
        segments(&self.0.segments)
    }

    #[getter]
    fn checksum_stored(&self) -> Option<u8> {
        self.0.checksum_stored
    }

    #[getter]
    fn checksum_calculated(&self) -> Option<u8> {
        self.0.checksum_calculated
    }

    #[getter]
    fn hash_stored(&self) -> Option<&[u8]> {
        self.0.hash_stored.as_ref().map(<[u8; core::HASH_LEN]>::as_slice)
    }

    #[getter]
    fn hash_calculated(&self) -> Option<&[u8]> {
        self.0.hash_calculated.as_ref().map(<[u8; core::HASH_LEN]>::as_slice)
    }

    #[getter]
    fn app_desc(&self) -> Option<AppDesc> {
        self.0.app_desc.clone().map(AppDesc)
    }

    #[getter]
    fn bootloader_desc(&self) -> Option<BootloaderDesc> {
        self.0.bootloader_desc.clone().map(BootloaderDesc)
    }

    #[getter]
    fn length(&self) -> u64 {
        self.0.length
    }

    #[getter]
    fn faults(&self) -> Vec<Fault> {
        self.0.faults.iter().cloned().map(Fault).collect()
    }

    /// The JSON of `esp-ota image-info --json`.
    fn to_dict<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let info = &self.0;
        let checksum = PyDict::new(py);
        checksum.set_item("stored", info.checksum_stored)?;
        checksum.set_item("calculated", info.checksum_calculated)?;
        checksum.set_item("valid", self.checksum_valid())?;
        let hash = PyDict::new(py);
        hash.set_item("appended", info.hash_appended())?;
        hash.set_item("valid", self.hash_valid())?;
        let segments: Vec<_> = info.segments.iter().map(|row| segment_dict(py, row)).collect::<PyResult<_>>()?;
        let faults: Vec<_> = info.faults.iter().map(|fault| fault_dict(py, fault)).collect::<PyResult<_>>()?;

        let all = PyDict::new(py);
        all.set_item("valid", self.valid())?;
        all.set_item("err", err_name(py, info.err())?)?;
        all.set_item("kind", self.kind())?;
        all.set_item("chip", self.chip())?;
        all.set_item("entry", info.header.map(|header| header.entry_addr))?;
        all.set_item("segments", segments)?;
        all.set_item("checksum", checksum)?;
        all.set_item("hash", hash)?;
        all.set_item("app_desc", info.app_desc.as_ref().map(|desc| app_desc_dict(py, desc)).transpose()?)?;
        let bootloader = info.bootloader_desc.as_ref().map(|desc| bootloader_desc_dict(py, desc)).transpose()?;
        all.set_item("bootloader_desc", bootloader)?;
        all.set_item("length", info.length)?;
        all.set_item("faults", faults)?;
        Ok(all)
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        let (kind, chip) = (self.kind(), self.chip().unwrap_or("no known chip"));
        Ok(format!("<ImageInfo {kind}, {chip}, {} bytes, {}>", self.0.length, err_name(py, self.0.err())?))
    }
}

fn err_name(py: Python<'_>, err: EspErr) -> PyResult<String> {
    esp_err(py, err)?.getattr(intern!(py, "name"))?.extract()
}

fn fault_dict<'py>(py: Python<'py>, fault: &esp_ota_core::err::Fault) -> PyResult<Bound<'py, PyDict>> {
    let row = PyDict::new(py);
    row.set_item("err", err_name(py, fault.err)?)?;
    row.set_item("field", &fault.field)?;
    row.set_item("offset", fault.offset)?;
    row.set_item("found", &fault.found)?;
    row.set_item("expected", &fault.expected)?;
    Ok(row)
}
