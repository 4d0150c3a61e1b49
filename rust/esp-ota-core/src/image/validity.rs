//! `esp_ota_check_image_validity` (components/app_update/esp_ota_ops.c): what the first bytes of a download tell.

use super::header::ImageHeader;
use super::request::Verdict;
use super::rules::{Refusal, Rules, line};
use crate::app_desc::{AppDesc, DESC_OFFSET};
use crate::err::{EspErr, Fault, Level};
use crate::target::Target;

/// Chip id, then chip revision, then the SPI flash mode against the running app's; an app that names no mode fits any.
pub fn check_image_validity(
    header: &ImageHeader,
    desc: Option<&AppDesc>,
    target: &'static Target,
    chip_revision: u16,
    running: Option<&AppDesc>,
    no_max_revision: bool,
) -> Verdict {
    let rules = Rules::new(Some(target), 0, false);
    let refusal = rules.chip_id(header).or_else(|| rules.chip_revision(header, chip_revision, no_max_revision));
    if let Some(Refusal { fault, log, .. }) = refusal {
        return Verdict::refused(Fault { err: EspErr::InvalidVersion, ..fault }, log);
    }
    let modes = desc.map(AppDesc::spi_flash_mode).zip(running.map(AppDesc::spi_flash_mode));
    match modes.filter(|&(new, old)| new != 0 && old != 0 && new != old) {
        None => Verdict::accepted(Vec::new()),
        Some((new, old)) => {
            let text = format!("SPI flash mode mismatch: running app has mode {old}, new app has mode {new}");
            let (at, expected) = (DESC_OFFSET + 181, format!("{old}, the running app's"));
            let fault = Fault::new(EspErr::OtaSpiModeMismatch, "spi_flash_mode", at, new.to_string(), expected);
            Verdict::refused(fault, vec![line(Level::Error, "esp_ota_ops", text)])
        }
    }
}
