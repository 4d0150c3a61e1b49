//! `inspect_image` and what it found.

use esp_ota_core::err::EspErr;
use esp_ota_core::flash::SECTOR;
use esp_ota_core::image as core;
use pyo3::exceptions::PyValueError;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyDict;

use super::parts::{
    AppDesc, BootloaderDesc, ImageHeader, Segment, app_desc_dict, bootloader_desc_dict, segment_dict, segment_kind,
    segments,
};
use crate::bytes::Bytes;
use crate::err::{Fault, esp_err};
use crate::notebook;
use crate::signature::{SignatureBlock, signature_blocks};
use crate::target::by_name;

/// Read all there is and name every fault. With `chip`, a wrong chip id is a fault too.
#[pyfunction]
#[pyo3(signature = (data, *, chip=None, kind="auto"))]
pub(crate) fn inspect_image(py: Python<'_>, data: Bytes, chip: Option<&str>, kind: &str) -> PyResult<ImageInfo> {
    let chip = chip.map(by_name).transpose()?;
    let kind = match kind {
        "auto" => None,
        "app" => Some(core::ImageKind::App),
        "bootloader" => Some(core::ImageKind::Bootloader),
        other => {
            let text = format!("kind is 'auto', 'app' or 'bootloader', not {other:?}");
            return Err(PyValueError::new_err(text));
        }
    };
    let info = py.detach(|| core::inspect(&data, chip, kind));
    let sector = info.signature_at.and_then(|at| data.get(at as usize..)?.get(..SECTOR));
    let signature = sector.map_or(Ok(Vec::new()), |sector| signature_blocks(sector, None))?;
    Ok(ImageInfo { info, signature })
}

/// Everything readable in some bytes, and everything wrong with them.
///
/// >>> from py_esp_ota import Firmware, inspect_image
/// >>> image = bytearray(Firmware("lamp", "1.0.0").to_bytes())
/// >>> inspect_image(image)
/// <ImageInfo app, esp32c3, 16384 bytes, ESP_OK>
/// >>> image[0x200] ^= 1
/// >>> [fault.field for fault in inspect_image(image).faults]
/// ['checksum', 'hash']
#[allow(clippy::doc_lazy_continuation, clippy::doc_link_with_quotes, reason = "an example as Python shows it")]
#[pyclass(module = "py_esp_ota._core", frozen, eq, hash)]
#[derive(PartialEq, Eq, Hash)]
pub(crate) struct ImageInfo {
    info: core::ImageInfo,
    signature: Vec<SignatureBlock>,
}

impl ImageInfo {
    fn checksum_valid(&self) -> bool {
        self.info.checksum_stored.is_some() && self.info.checksum_stored == self.info.checksum_calculated
    }

    fn hash_valid(&self) -> Option<bool> {
        let matches = self.info.hash_stored.is_some() && self.info.hash_stored == self.info.hash_calculated;
        self.info.hash_appended().then_some(matches)
    }
}

#[pymethods]
impl ImageInfo {
    /// `"app"`, `"bootloader"`, or `"unknown"` when the magic byte is not 0xE9.
    #[getter]
    fn kind(&self) -> &'static str {
        match self.info.kind {
            core::ImageKind::App => "app",
            core::ImageKind::Bootloader => "bootloader",
            core::ImageKind::Unknown => "unknown",
        }
    }

    /// Whether nothing is wrong.
    #[getter]
    fn valid(&self) -> bool {
        self.info.valid()
    }

    /// The first fault's code in the verifier's order, or `ESP_OK`.
    #[getter]
    fn err<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        esp_err(py, self.info.err())
    }

    /// The chip that the header names; `None` for an unknown one, and when the magic byte is not 0xE9.
    #[getter]
    fn chip(&self) -> Option<&'static str> {
        self.info.chip.map(|target| target.name)
    }

    /// The header; `None` below 24 bytes.
    #[getter]
    fn header(&self) -> Option<ImageHeader> {
        self.info.header.map(ImageHeader)
    }

    /// The segments whose headers could be reached.
    #[getter]
    fn segments(&self) -> Vec<Segment> {
        segments(&self.info.segments)
    }

    /// The checksum byte; `None` when the bytes end before it.
    #[getter]
    fn checksum_stored(&self) -> Option<u8> {
        self.info.checksum_stored
    }

    /// The checksum over the segments; `None` unless all of them are there.
    #[getter]
    fn checksum_calculated(&self) -> Option<u8> {
        self.info.checksum_calculated
    }

    /// The appended SHA-256, 32 bytes; `None` when there is none or the bytes end before it.
    #[getter]
    fn hash_stored(&self) -> Option<&[u8]> {
        self.info.hash_stored.as_ref().map(<[u8; core::HASH_LEN]>::as_slice)
    }

    /// The SHA-256 of what stands before the appended one, 32 bytes; `None` when there is none or it cannot be reached.
    #[getter]
    fn hash_calculated(&self) -> Option<&[u8]> {
        self.info.hash_calculated.as_ref().map(<[u8; core::HASH_LEN]>::as_slice)
    }

    /// The app descriptor; `None` when there is none.
    #[getter]
    fn app_desc(&self) -> Option<AppDesc> {
        self.info.app_desc.clone().map(AppDesc)
    }

    /// The bootloader descriptor; `None` when there is none.
    #[getter]
    fn bootloader_desc(&self) -> Option<BootloaderDesc> {
        self.info.bootloader_desc.clone().map(BootloaderDesc)
    }

    /// Bytes the image says it has, hash included; what could be followed when it is broken.
    #[getter]
    fn length(&self) -> u64 {
        self.info.length
    }

    /// Bytes behind the image.
    #[getter]
    fn trailing(&self) -> u64 {
        self.info.trailing
    }

    /// The blocks of the signature sector behind the image.
    #[getter]
    fn signature(&self) -> Vec<SignatureBlock> {
        self.signature.clone()
    }

    /// Everything wrong with it, in the verifier's order.
    #[getter]
    fn faults(&self) -> Vec<Fault> {
        self.info.faults.iter().cloned().map(Fault).collect()
    }

    /// What older releases make of it.
    #[getter]
    fn findings(&self) -> Vec<String> {
        self.info.findings.clone()
    }

    /// The JSON of `esp-ota image-info --json`.
    fn to_dict<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let info = &self.info;
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
        all.set_item("trailing", info.trailing)?;
        let signature: Vec<_> =
            self.signature.iter().map(|block| signature_dict(py, block)).collect::<PyResult<_>>()?;
        all.set_item("signature", signature)?;
        all.set_item("faults", faults)?;
        all.set_item("findings", &info.findings)?;
        Ok(all)
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        let (kind, chip) = (self.kind(), self.chip().unwrap_or("no known chip"));
        Ok(format!("<ImageInfo {kind}, {chip}, {} bytes, {}>", self.info.length, err_name(py, self.info.err())?))
    }

    fn _repr_html_(&self, py: Python<'_>) -> PyResult<String> {
        let info = &self.info;
        let hash = self.hash_valid().map_or("none appended", |valid| if valid { "fits" } else { "does not fit" });
        let checksum = if self.checksum_valid() { "fits" } else { "does not fit" };
        let described = info
            .app_desc
            .as_ref()
            .map(|desc| [("project", desc.project_name()), ("version", desc.version()), ("ESP-IDF", desc.idf_ver())]);
        let mut rows = vec![
            ("kind", self.kind().to_owned()),
            ("chip", self.chip().unwrap_or("no known chip").to_owned()),
            ("length", format!("{} bytes", info.length)),
            ("checksum", checksum.to_owned()),
            ("SHA-256", hash.to_owned()),
        ];
        rows.extend(described.into_iter().flatten());
        let title = format!("Image: {}", err_name(py, info.err())?);
        let mut shown = notebook::facts(py, &title, &rows)?;
        let segments: Vec<Vec<String>> = info.segments.iter().map(segment_row).collect();
        let heads = ["Segment", "Kind", "Offset", "Length", "Load address"];
        shown.push_str(&notebook::table(py, "Segments", &heads, &segments)?);
        if !info.faults.is_empty() {
            let heads = ["Error", "Field", "Offset", "Found", "Expected"];
            let faults: Vec<Vec<String>> =
                info.faults.iter().map(|fault| fault_row(py, fault)).collect::<PyResult<_>>()?;
            shown.push_str(&notebook::table(py, "Faults", &heads, &faults)?);
        }
        Ok(shown)
    }
}

fn segment_row(segment: &core::Segment) -> Vec<String> {
    vec![
        segment.index.to_string(),
        segment_kind(segment.kind).to_owned(),
        format!("0x{:x}", segment.offset),
        format!("0x{:x}", segment.length),
        format!("0x{:08x}", segment.load_addr),
    ]
}

fn fault_row(py: Python<'_>, fault: &esp_ota_core::err::Fault) -> PyResult<Vec<String>> {
    Ok(vec![
        err_name(py, fault.err)?,
        fault.field.clone(),
        format!("0x{:x}", fault.offset),
        fault.found.clone(),
        fault.expected.clone(),
    ])
}

fn err_name(py: Python<'_>, err: EspErr) -> PyResult<String> {
    esp_err(py, err)?.getattr(intern!(py, "name"))?.extract()
}

fn signature_dict<'py>(py: Python<'py>, block: &SignatureBlock) -> PyResult<Bound<'py, PyDict>> {
    let row = PyDict::new(py);
    row.set_item("scheme", block.scheme)?;
    row.set_item("key_digest", core::hex(&block.key_digest))?;
    row.set_item("image_digest", core::hex(&block.image_digest))?;
    let faults: Vec<_> = block.faults.iter().map(|fault| fault_dict(py, &fault.0)).collect::<PyResult<_>>()?;
    row.set_item("faults", faults)?;
    Ok(row)
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
