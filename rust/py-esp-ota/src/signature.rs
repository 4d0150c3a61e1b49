//! `SignatureBlock`, `SignatureVerdict`, and the functions around them.

use esp_ota_core::flash::SECTOR;
use esp_ota_core::signature as core;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use crate::bytes::Bytes;
use crate::efuse::EFuse;
use crate::err::{Fault, FlashError, LogLine, esp_err, failure_to_err, log_lines, number};
use crate::flash::Flash;

pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<SignatureBlock>()?;
    module.add_class::<SignatureVerdict>()?;
    module.add_function(wrap_pyfunction!(blocks, module)?)?;
    module.add_function(wrap_pyfunction!(signing_slots, module)?)?;
    module.add_function(wrap_pyfunction!(rom_verify_signature, module)?)?;
    module.add_function(wrap_pyfunction!(enable_secure_boot, module)?)?;
    module.add_function(wrap_pyfunction!(verify_signature_v1, module)?)
}

/// One block of a Secure Boot V2 signature sector.
#[pyclass(module = "py_esp_ota._core", frozen, eq, hash, get_all)]
#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) struct SignatureBlock {
    /// Where it stands, in bytes, in what was given; in its sector that is 0, 1216 or 2432.
    offset: usize,
    /// 2 for RSA-3072, 3 for ECDSA.
    version: u8,
    /// `"rsa3072"`, `"ecdsa192"` and so on; `None` when version, hash and curve are no scheme together.
    pub(crate) scheme: Option<&'static str>,
    /// SHA-256 of the public key, as a chip keeps it in its eFuses; empty without a scheme.
    pub(crate) key_digest: Vec<u8>,
    /// The digest of the signed bytes that stands in the block; empty without a scheme.
    pub(crate) image_digest: Vec<u8>,
    /// Whether the block's CRC fits it.
    crc_ok: bool,
    /// Whether the signature is the key's own over the signed bytes; `None` when those are not known.
    verified: Option<bool>,
    /// Everything wrong with it; offsets count from the start of what was given.
    pub(crate) faults: Vec<Fault>,
}

#[pymethods]
impl SignatureBlock {
    /// Whether it has no fault.
    #[getter]
    fn valid(&self) -> bool {
        self.faults.is_empty()
    }

    fn __repr__(&self) -> String {
        let (scheme, faults) = (self.scheme.unwrap_or("unknown"), self.faults.len());
        format!("<SignatureBlock {scheme} at 0x{:x}, {faults} faults>", self.offset)
    }
}

/// What was said about signatures.
#[pyclass(module = "py_esp_ota._core", frozen, eq, hash)]
#[derive(PartialEq, Eq, Hash)]
pub(crate) struct SignatureVerdict(core::SignatureVerdict);

#[pymethods]
impl SignatureVerdict {
    /// The code returned.
    #[getter]
    fn err<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        esp_err(py, self.0.err)
    }

    /// The console.
    #[getter]
    fn log(&self) -> Vec<LogLine> {
        log_lines(&self.0.log)
    }

    /// Why not, in words; empty when nothing is wrong.
    #[getter]
    fn detail(&self) -> &str {
        &self.0.detail
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        let name: String = self.err(py)?.getattr("name")?.extract()?;
        let detail = &self.0.detail;
        Ok(if detail.is_empty() {
            format!("<SignatureVerdict {name}>")
        } else {
            format!("<SignatureVerdict {name}: {detail}>")
        })
    }
}

/// The blocks in a signature sector, or in the last sector of a signed image; blank ones are left out.
#[pyfunction]
#[pyo3(name = "signature_blocks", signature = (data, digest=None))]
fn blocks(data: Bytes, digest: Option<&[u8]>) -> PyResult<Vec<SignatureBlock>> {
    signature_blocks(&data, digest)
}

pub(crate) fn signature_blocks(data: &[u8], digest: Option<&[u8]>) -> PyResult<Vec<SignatureBlock>> {
    if data.is_empty() || data.len() % SECTOR != 0 {
        let text = format!("a signature stands in whole sectors of {SECTOR} bytes, not in {} bytes", data.len());
        return Err(PyValueError::new_err(text));
    }
    let (signed, sector) = data.split_at(data.len() - SECTOR);
    if digest.is_some() && !signed.is_empty() {
        return Err(PyValueError::new_err("digest is for a sector alone; here the signed bytes were given"));
    }
    let of = |scheme: core::Scheme| match digest {
        Some(digest) => Some(digest.to_vec()),
        None if signed.is_empty() => None,
        None => Some(core::signed_digest(scheme, signed)),
    };
    let start = signed.len();
    let read = core::Block::all(sector).filter(|block| !block.is_blank()).map(|block| {
        let scheme = block.scheme();
        let verified = scheme.and_then(|scheme| of(scheme).map(|digest| block.verifies(scheme, &digest)));
        let known = |take: &dyn Fn(core::Scheme) -> Vec<u8>| scheme.map(take).unwrap_or_default();
        let faults = block.faults(of).into_iter().map(|mut fault| {
            fault.offset += start as u64;
            Fault(fault)
        });
        SignatureBlock {
            offset: start + block.offset,
            version: block.version(),
            scheme: scheme.map(core::Scheme::name),
            key_digest: known(&|scheme| block.key_digest(scheme).to_vec()),
            image_digest: known(&|scheme| block.stored_digest(scheme).to_vec()),
            crc_ok: block.crc_stored() == block.crc_calculated(),
            verified,
            faults: faults.collect(),
        }
    });
    Ok(read.collect())
}

/// `esp_secure_boot_verify_with_efuse_digest_index`, for all indices at once.
#[pyfunction]
#[pyo3(signature = (flash, offset, size, *, efuse, scheme))]
pub(crate) fn signing_slots(
    py: Python<'_>,
    flash: &Bound<'_, Flash>,
    #[pyo3(from_py_with = number)] offset: u32,
    #[pyo3(from_py_with = number)] size: u32,
    efuse: &Bound<'_, EFuse>,
    scheme: &str,
) -> PyResult<Vec<usize>> {
    let (scheme, efuse) = (by_name(scheme)?, efuse.get().value());
    let chip = flash.get().brief(py, |chip| chip.view());
    let slots = chip
        .check_read(0, 0)
        .and_then(|()| py.detach(|| core::signing_slots(&chip.cache(), (offset, size), scheme, &efuse)));
    slots.map_err(|failure| failure_to_err::<FlashError>(py, &failure))
}

/// `ets_secure_boot_verify_signature` as the ROM calls it for the bootloader: with aggressive revocation.
#[pyfunction]
#[pyo3(signature = (efuse, sector, digest, *, scheme))]
pub(crate) fn rom_verify_signature(
    py: Python<'_>,
    efuse: &Bound<'_, EFuse>,
    sector: &[u8],
    digest: &[u8],
    scheme: &str,
) -> PyResult<bool> {
    let (scheme, fuses) = (by_name(scheme)?, efuse.get());
    let mut burnt = fuses.value();
    let said = core::rom_verify(sector, digest, scheme, &core::Keys::of_efuse(&burnt));
    if burnt.aggressive_revoke && burnt.revocable() {
        for slot in said.failed {
            // A slot the ROM has just read can be revoked.
            let _ = burnt.revoke_key(slot);
        }
        fuses.replace(py, burnt)?;
    }
    Ok(said.verified)
}

/// `esp_secure_boot_v2_permanently_enable`.
#[pyfunction]
#[pyo3(signature = (
    flash, efuse, *, bootloader, app, scheme, allow_unused_slots=false, aggressive_revoke=false
))]
#[allow(clippy::too_many_arguments, reason = "two images, and options")]
pub(crate) fn enable_secure_boot(
    py: Python<'_>,
    flash: &Bound<'_, Flash>,
    efuse: &Bound<'_, EFuse>,
    bootloader: (u32, u32),
    app: (u32, u32),
    scheme: &str,
    allow_unused_slots: bool,
    aggressive_revoke: bool,
) -> PyResult<SignatureVerdict> {
    let (scheme, fuses) = (by_name(scheme)?, efuse.get());
    let options = core::Enabling { allow_unused_slots, aggressive_revoke };
    let (chip, before) = (flash.get().brief(py, |chip| chip.view()), fuses.value());
    let done = chip
        .check_read(0, 0)
        .and_then(|()| py.detach(|| core::enable_on(&chip.cache(), &before, bootloader, app, scheme, options)));
    let (verdict, burnt) = done.map_err(|failure| failure_to_err::<FlashError>(py, &failure))?;
    if let Some(burnt) = burnt {
        fuses.replace(py, burnt)?;
    }
    Ok(SignatureVerdict(verdict))
}

/// `esp_secure_boot_verify_signature` of version 1, over a whole file: what it signs, then 68 bytes.
#[pyfunction]
#[pyo3(signature = (data, public_key))]
pub(crate) fn verify_signature_v1(data: &[u8], public_key: &[u8]) -> PyResult<SignatureVerdict> {
    let wrong = |length: usize| PyValueError::new_err(format!("a public key has 64 bytes, not {length}"));
    let key = public_key.try_into().map_err(|_| wrong(public_key.len()))?;
    Ok(SignatureVerdict(core::verify_v1_file(data, key)))
}

fn by_name(name: &str) -> PyResult<core::Scheme> {
    let known = core::Scheme::by_name(name).filter(|&scheme| scheme != core::Scheme::EcdsaV1);
    known.ok_or_else(|| PyValueError::new_err(format!("{name:?} is no scheme of Secure Boot V2")))
}
