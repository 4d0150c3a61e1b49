//! `verify_image`, `check_image_validity` and what they said.

use std::sync::Arc;

use esp_ota_core::efuse::EFuse as Fuses;
use esp_ota_core::image as core;
use pyo3::exceptions::PyValueError;
use pyo3::intern;
use pyo3::prelude::*;

use super::options::VerifyOptions;
use super::parts::{AppDesc, ImageHeader, Segment, segments};
use crate::efuse::EFuse;
use crate::err::{Fault, FlashError, LogLine, esp_err, failure_to_err, log_lines, number};
use crate::flash::Flash;
use crate::target::by_name;

/// `esp_image_verify` / `bootloader_load_image` (components/bootloader_support/src/esp_image_format.c).
///
/// Judges the partition `[offset, offset + size)` in upstream's order and stops at the first fault.
#[pyfunction]
#[pyo3(signature = (
    flash, offset, size, *, chip=None, build="app", mode="verify", efuse=None, options=None, chip_revision=None,
    efuse_block_revision=None
))]
#[allow(clippy::too_many_arguments, reason = "all but three are keywords with a default")]
pub(crate) fn verify_image(
    py: Python<'_>,
    flash: &Bound<'_, Flash>,
    #[pyo3(from_py_with = number)] offset: u32,
    #[pyo3(from_py_with = number)] size: u32,
    chip: Option<&str>,
    build: &str,
    mode: &str,
    efuse: Option<&Bound<'_, EFuse>>,
    options: Option<&Bound<'_, VerifyOptions>>,
    #[pyo3(from_py_with = number)] chip_revision: Option<u16>,
    #[pyo3(from_py_with = number)] efuse_block_revision: Option<u16>,
) -> PyResult<Verdict> {
    let mut efuse = match (chip, efuse) {
        (None, None) => return Err(PyValueError::new_err("say which chip looks: chip= or efuse=")),
        (Some(chip), None) => Fuses::new(by_name(chip)?),
        (None, Some(efuse)) => efuse.get().value(),
        (Some(chip), Some(efuse)) => {
            let fuses = efuse.get().value();
            if by_name(chip)? != fuses.target {
                return Err(PyValueError::new_err(format!(
                    "the eFuses are those of {}, not {chip}",
                    fuses.target.name
                )));
            }
            fuses
        }
    };
    efuse.chip_revision = chip_revision.unwrap_or(efuse.chip_revision);
    efuse.block_revision = efuse_block_revision.unwrap_or(efuse.block_revision);
    let (build, mode) = build_and_mode(build, mode)?;
    let options = options.map(|options| options.get().0.clone()).unwrap_or_default();
    let request = core::Request { offset, size, build, mode, efuse, options };
    // A fork is a snapshot: a long look holds up nobody else's work on this flash.
    let chip = flash.get().brief(py, |chip| chip.view());
    let verdict = match core::remembered(&chip, &request) {
        Some(verdict) => Ok(verdict),
        None => py.detach(|| core::verify_on(&chip, &request)),
    };
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
        "metadata" => core::Mode::Metadata,
        "load" if build == core::Build::Bootloader => core::Mode::Load,
        "load_no_validate" if build == core::Build::Bootloader => core::Mode::LoadNoValidate,
        "load" | "load_no_validate" => return Err(PyValueError::new_err("only the bootloader build loads images")),
        other => {
            let known = "'verify', 'verify_silent', 'load', 'load_no_validate' or 'metadata'";
            return Err(PyValueError::new_err(format!("mode is {known}, not {other:?}")));
        }
    };
    Ok((build, mode))
}

/// `esp_ota_check_image_validity` (components/app_update/esp_ota_ops.c).
#[pyfunction]
#[pyo3(signature = (header, desc, *, chip, chip_revision=None, running=None, no_max_revision=false))]
pub(crate) fn check_image_validity(
    header: &Bound<'_, ImageHeader>,
    desc: Option<&Bound<'_, AppDesc>>,
    chip: &str,
    #[pyo3(from_py_with = number)] chip_revision: Option<u16>,
    running: Option<&Bound<'_, AppDesc>>,
    no_max_revision: bool,
) -> PyResult<Verdict> {
    let target = by_name(chip)?;
    let revision = chip_revision.unwrap_or(target.default_chip_revision);
    let (desc, running) = (desc.map(|desc| &desc.get().0), running.map(|desc| &desc.get().0));
    let verdict = core::check_image_validity(&header.get().0, desc, target, revision, running, no_max_revision);
    Ok(Verdict(Arc::new(verdict)))
}

/// What the verifier said about one image.
#[pyclass(module = "py_esp_ota._core", frozen, eq, hash)]
#[derive(PartialEq, Eq, Hash)]
pub(crate) struct Verdict(Arc<core::Verdict>);

#[pymethods]
impl Verdict {
    /// The code returned.
    #[getter]
    fn err<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        esp_err(py, self.0.err)
    }

    /// The rule that was broken first; `None` when none was.
    #[getter]
    fn fault(&self) -> Option<Fault> {
        self.0.fault.clone().map(Fault)
    }

    /// The console.
    #[getter]
    fn log(&self) -> Vec<LogLine> {
        log_lines(&self.0.log)
    }

    /// `esp_image_metadata_t.image_len` in bytes; 0 after a failure.
    #[getter]
    fn image_len(&self) -> u32 {
        self.0.image_len
    }

    /// The appended SHA-256, 32 bytes, zeros where nobody has read it; empty when there is none.
    #[getter]
    fn digest(&self) -> &[u8] {
        self.0.digest.as_ref().map_or(&[], <[u8; core::HASH_LEN]>::as_slice)
    }

    /// The segment table; empty after a failure.
    #[getter]
    fn segments(&self) -> Vec<Segment> {
        segments(&self.0.segments)
    }

    /// The app's secure version, when an anti-rollback build verified it; else 0.
    #[getter]
    fn secure_version(&self) -> u32 {
        self.0.secure_version
    }

    /// The MMU page size in bytes that the app asks for; 0 after a failure.
    #[getter]
    fn mmu_page_size(&self) -> u32 {
        self.0.mmu_page_size
    }

    /// An assertion that failed: the chip resets, and no code is returned at all; `None` when none did.
    #[getter]
    fn assertion(&self) -> Option<&'static str> {
        self.0.assertion
    }

    /// Where an older release runs wild: the chip resets, and no code is returned either; `None` when it does not.
    #[getter]
    fn crash(&self) -> Option<&'static str> {
        self.0.crash
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        let name: String = self.err(py)?.getattr(intern!(py, "name"))?.extract()?;
        Ok(match &self.0.fault {
            Some(fault) => format!("<Verdict {name}: {fault}>"),
            None => format!("<Verdict {name}>"),
        })
    }
}
