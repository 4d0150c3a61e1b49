//! `verify_image`, `check_image_validity` and what they said.

use esp_ota_core::image as core;
use pyo3::exceptions::PyValueError;
use pyo3::intern;
use pyo3::prelude::*;

use super::parts::{AppDesc, ImageHeader, Segment, segments};
use crate::err::{Fault, FlashError, LogLine, esp_err, failure_to_err, log_lines, number};
use crate::flash::Flash;
use crate::target::by_name;

/// `esp_image_verify` / `bootloader_load_image` (components/bootloader_support/src/esp_image_format.c).
///
/// Judges the partition `[offset, offset + size)` in upstream's order and stops at the first fault.
#[pyfunction]
#[pyo3(signature = (
    flash, offset, size, *, chip, build="app", mode="verify", chip_revision=None, efuse_block_revision=0
))]
#[allow(clippy::too_many_arguments, reason = "all but three are keywords with a default")]
pub(crate) fn verify_image(
    py: Python<'_>,
    flash: &Bound<'_, Flash>,
    #[pyo3(from_py_with = number)] offset: u32,
    #[pyo3(from_py_with = number)] size: u32,
    chip: &str,
    build: &str,
    mode: &str,
    #[pyo3(from_py_with = number)] chip_revision: Option<u16>,
    #[pyo3(from_py_with = number)] efuse_block_revision: u16,
) -> PyResult<Verdict> {
    let target = by_name(chip)?;
    let (build, mode) = build_and_mode(build, mode)?;
    let chip_revision = chip_revision.unwrap_or(target.default_chip_revision);
    let request = core::Request { offset, size, target, build, mode, chip_revision, efuse_block_revision };
    // A fork is a snapshot: a long look holds up nobody else's work on this flash.
    let chip = flash.get().brief(py, |chip| chip.fork());
    let verdict = py.detach(|| core::verify(&chip.region(0, chip.size()), &request));
    verdict.map(Verdict).map_err(|failure| failure_to_err::<FlashError>(py, &failure))
}

fn build_and_mode(build: &str, mode: &str) -> PyResult<(core::Build, core::Mode)> {
    let build = match build {
        "app" => core::Build::App,
        "bootloader" => core::Build::Bootloader,
        other => return Err(PyValueError::new_err(format!("build is 'app' or 'bootloader', not {other:?}"))),
    };
    let mode = match mode {
        "verify" => core::Mode::Verify,
        "verify_silent" => core::Mode::VerifySilent,
        "load" if build == core::Build::Bootloader => core::Mode::Load,
        "load" => return Err(PyValueError::new_err("only the bootloader build loads images")),
        other => {
            return Err(PyValueError::new_err(format!("mode is 'verify', 'verify_silent' or 'load', not {other:?}")));
        }
    };
    Ok((build, mode))
}

/// `esp_ota_check_image_validity` (components/app_update/esp_ota_ops.c).
#[pyfunction]
#[pyo3(signature = (header, desc, *, chip, chip_revision=None, running=None))]
pub(crate) fn check_image_validity(
    header: &Bound<'_, ImageHeader>,
    desc: Option<&Bound<'_, AppDesc>>,
    chip: &str,
    #[pyo3(from_py_with = number)] chip_revision: Option<u16>,
    running: Option<&Bound<'_, AppDesc>>,
) -> PyResult<Verdict> {
    let target = by_name(chip)?;
    let revision = chip_revision.unwrap_or(target.default_chip_revision);
    let (desc, running) = (desc.map(|desc| &desc.get().0), running.map(|desc| &desc.get().0));
    Ok(Verdict(core::check_image_validity(&header.get().0, desc, target, revision, running)))
}

/// What the verifier said about one image.
#[pyclass(module = "py_esp_ota._core", frozen, eq, hash)]
#[derive(PartialEq, Eq, Hash)]
pub(crate) struct Verdict(core::Verdict);

#[pymethods]
impl Verdict {
    #[getter]
    fn err<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        esp_err(py, self.0.err)
    }

    #[getter]
    fn fault(&self) -> Option<Fault> {
        self.0.fault.clone().map(Fault)
    }

    #[getter]
    fn log(&self) -> Vec<LogLine> {
        log_lines(&self.0.log)
    }

    #[getter]
    fn image_len(&self) -> u32 {
        self.0.image_len
    }

    #[getter]
    fn digest(&self) -> &[u8] {
        self.0.digest.as_ref().map_or(&[], <[u8; core::HASH_LEN]>::as_slice)
    }

    #[getter]
    fn segments(&self) -> Vec<Segment> {
        segments(&self.0.segments)
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        let name: String = self.err(py)?.getattr(intern!(py, "name"))?.extract()?;
        Ok(match &self.0.fault {
            Some(fault) => format!("<Verdict {name}: {fault}>"),
            None => format!("<Verdict {name}>"),
        })
    }
}
