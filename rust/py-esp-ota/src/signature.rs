//! `SignatureBlock`, `signature_blocks`, `enable_secure_boot`.

use esp_ota_core::flash::SECTOR;
use esp_ota_core::signature as core;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use crate::efuse::EFuse;
use crate::err::Fault;

pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<SignatureBlock>()?;
    module.add_function(wrap_pyfunction!(signature_blocks, module)?)?;
    module.add_function(wrap_pyfunction!(enable_secure_boot, module)?)
}

/// One block of a Secure Boot V2 signature sector.
#[pyclass(module = "py_esp_ota._core", frozen, eq, hash, get_all)]
#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) struct SignatureBlock {
    offset: usize,
    pub(crate) scheme: Option<&'static str>,
    pub(crate) key_digest: [u8; 32],
    pub(crate) image_digest: Vec<u8>,
    verified: Option<bool>,
    pub(crate) faults: Vec<Fault>,
}

#[pymethods]
impl SignatureBlock {
    fn __repr__(&self) -> String {
        let (scheme, faults) = (self.scheme.unwrap_or("unknown"), self.faults.len());
        format!("<SignatureBlock {scheme} at 0x{:x}, {faults} faults>", self.offset)
    }
}

/// The blocks in a signature sector, blank ones left out. With the digest of the signed bytes they are verified too.
#[pyfunction]
#[pyo3(signature = (sector, digest=None))]
pub(crate) fn signature_blocks(sector: &[u8], digest: Option<&[u8]>) -> PyResult<Vec<SignatureBlock>> {
    if sector.len() != SECTOR {
        let text = format!("a signature sector has {SECTOR} bytes, not {}", sector.len());
        return Err(PyValueError::new_err(text));
    }
    let written = core::Block::all(sector).filter(|block| !block.is_blank());
    let read = written.map(|block| SignatureBlock {
        offset: block.offset,
        scheme: block.scheme().map(core::Scheme::name),
        key_digest: block.key_digest(),
        image_digest: block.stored_digest().to_vec(),
        verified: digest.map(|digest| block.is_whole() && block.verifies(digest)),
        faults: block.faults(digest).into_iter().map(Fault).collect(),
    });
    Ok(read.collect())
}

/// `esp_secure_boot_v2_permanently_enable`.
#[pyfunction]
#[pyo3(signature = (efuse, bootloader_sector, bootloader_digest, app_sector, *, scheme, allow_unused_slots=false))]
pub(crate) fn enable_secure_boot(
    efuse: &Bound<'_, EFuse>,
    bootloader_sector: &[u8],
    bootloader_digest: &[u8],
    app_sector: &[u8],
    scheme: &str,
    allow_unused_slots: bool,
) -> PyResult<()> {
    let known = core::Scheme::by_name(scheme).filter(|&scheme| scheme != core::Scheme::EcdsaV1);
    let scheme = known.ok_or_else(|| PyValueError::new_err(format!("{scheme:?} is no scheme of Secure Boot V2")))?;
    let fuses = efuse.get();
    let bootloader = (bootloader_sector, bootloader_digest);
    match core::enable(&fuses.value(), bootloader, app_sector, scheme, allow_unused_slots) {
        Ok(burnt) => {
            fuses.replace(burnt);
            Ok(())
        }
        Err(core::NotEnabled(why)) => Err(PyValueError::new_err(why)),
    }
}
