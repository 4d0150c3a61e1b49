//! `VerifyOptions`: how the code that looks at an image was built.

use esp_ota_core::image as core;
use esp_ota_core::signature::Scheme;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use crate::err::number;

/// How the code that looks at an image was built, and the state of the chip at that moment.
#[pyclass(module = "py_esp_ota._core", frozen, eq, hash)]
#[derive(Clone, Default, PartialEq, Eq, Hash)]
pub(crate) struct VerifyOptions(pub(crate) core::Options);

#[pymethods]
impl VerifyOptions {
    #[new]
    #[pyo3(signature = (
        *, idf_version=None, mmu_page_size=None, signature_scheme=None, check_signature=false, secure_boot_v2=false,
        anti_rollback=false, secure_version_size=None, bringup=false, debugger_attached=false, deep_sleep_wake=false,
        mapping_kept=false, assertions_disabled=false, bootloader_offset=None, loader_text=None, loader_data=None,
        trusted_digests=vec![], v1_public_key=None
    ))]
    #[allow(clippy::too_many_arguments, clippy::fn_params_excessive_bools, reason = "each keyword is one option")]
    fn new(
        idf_version: Option<core::IdfVersion>,
        #[pyo3(from_py_with = number)] mmu_page_size: Option<u32>,
        signature_scheme: Option<&str>,
        check_signature: bool,
        secure_boot_v2: bool,
        anti_rollback: bool,
        #[pyo3(from_py_with = number)] secure_version_size: Option<u32>,
        bringup: bool,
        debugger_attached: bool,
        deep_sleep_wake: bool,
        mapping_kept: bool,
        assertions_disabled: bool,
        #[pyo3(from_py_with = number)] bootloader_offset: Option<u32>,
        loader_text: Option<(u32, u32)>,
        loader_data: Option<(u32, u32)>,
        trusted_digests: Vec<Vec<u8>>,
        v1_public_key: Option<Vec<u8>>,
    ) -> PyResult<Self> {
        if let Some(page) = mmu_page_size.filter(|page| !page.is_power_of_two()) {
            return Err(PyValueError::new_err(format!("mmu_page_size is {page}; it must be a power of two")));
        }
        let exact = |what: &str, bytes: &[u8], wants: usize| {
            PyValueError::new_err(format!("{what} has {} bytes; it must have {wants}", bytes.len()))
        };
        let digests = trusted_digests.into_iter().map(|digest| {
            let right = digest.as_slice().try_into();
            right.map_err(|_| exact("a trusted digest", &digest, 32))
        });
        let key = v1_public_key.map(|key| key.as_slice().try_into().map_err(|_| exact("v1_public_key", &key, 64)));
        let scheme = signature_scheme.map(by_name).transpose()?;
        if scheme.is_none() && (check_signature || secure_boot_v2) {
            return Err(PyValueError::new_err("a build that checks signatures needs signature_scheme"));
        }
        Ok(Self(core::Options {
            idf_version: idf_version.unwrap_or(core::HEAD),
            mmu_page_size,
            scheme,
            check_signature,
            secure_boot_v2,
            anti_rollback,
            secure_version_size,
            bringup,
            debugger_attached,
            deep_sleep_wake,
            mapping_kept,
            assertions_disabled,
            bootloader_offset,
            loader_text,
            loader_data,
            trusted_digests: digests.collect::<PyResult<_>>()?,
            v1_public_key: key.transpose()?,
        }))
    }

    fn __repr__(&self) -> String {
        format!("{:?}", self.0).replacen("Options", "VerifyOptions", 1)
    }
}

fn by_name(name: &str) -> PyResult<Scheme> {
    Scheme::by_name(name).ok_or_else(|| {
        let names = Scheme::NAMES.map(|(name, _)| name).join(", ");
        PyValueError::new_err(format!("unknown signature scheme {name:?}; known are {names}"))
    })
}
