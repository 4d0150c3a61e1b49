//! otadata as a page shows it.

use esp_ota_core::err::Failure;
use esp_ota_core::flash::Flash;
use esp_ota_core::image::hex;
use esp_ota_core::otadata::{OtaSelectEntry, active_otadata, read_otadata};

use crate::json::Json;

/// Both entries, and which of them is active.
pub(crate) fn read(flash: &mut Flash, offset: u64) -> Result<String, Failure> {
    let entries = read_otadata(flash, offset)?;
    let active = Json::maybe(active_otadata(&entries), Json::number);
    Ok(Json::object([("active", active), ("entries", Json::list(entries.iter().map(entry)))]).0)
}

fn entry(entry: &OtaSelectEntry) -> Json {
    Json::object([
        ("seq", Json::number(entry.ota_seq)),
        ("state", Json::number(entry.ota_state)),
        ("crc", Json::number(entry.crc)),
        ("crc_ok", Json::flag(entry.crc_ok())),
        ("invalid", Json::flag(entry.invalid())),
        ("bytes", Json::text(&hex(&entry.to_bytes()))),
    ])
}
