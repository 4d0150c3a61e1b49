//! Python binding of esp-ota-core: conversions only, no rule. Long work drops the GIL.

#![allow(clippy::needless_pass_by_value, reason = "what Python hands over arrives by value")]

mod boot;
mod bytes;
mod cpu;
mod crypt;
mod digest;
mod efuse;
mod err;
mod flash;
mod image;
mod journal;
mod lock;
mod notebook;
mod nvs;
mod otadata;
mod partition;
mod recording;
mod rtc;
mod sha256;
mod signature;
mod target;
mod writer;

use pyo3::prelude::*;

#[pymodule]
fn _core(module: &Bound<'_, PyModule>) -> PyResult<()> {
    err::register(module)?;
    bytes::register(module)?;
    cpu::register(module)?;
    target::register(module)?;
    efuse::register(module)?;
    crypt::register(module)?;
    journal::register(module)?;
    flash::register(module)?;
    recording::register(module)?;
    partition::register(module)?;
    nvs::register(module)?;
    image::register(module)?;
    sha256::register(module)?;
    digest::register(module)?;
    signature::register(module)?;
    otadata::register(module)?;
    boot::register(module)?;
    rtc::register(module)?;
    writer::register(module)
}
