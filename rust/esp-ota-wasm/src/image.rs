//! Images as `esp-ota image-info --json` tells of them. Codes are numbers here: their names are in the page.

use esp_ota_core::app_desc::{AppDesc, BootloaderDesc};
use esp_ota_core::err::Fault;
use esp_ota_core::image::{ImageInfo, ImageKind, Segment, hex, inspect};

use crate::json::Json;

/// The report of some bytes.
pub(crate) fn inspected(data: &[u8]) -> String {
    let info = inspect(data, None, None);
    let kind = match info.kind {
        ImageKind::App => "app",
        ImageKind::Bootloader => "bootloader",
        ImageKind::Unknown => "unknown",
    };
    Json::object([
        ("valid", Json::flag(info.valid())),
        ("err", Json::number(info.err() as i32)),
        ("kind", Json::text(kind)),
        ("chip", Json::maybe(info.chip, |target| Json::text(target.name))),
        ("entry", Json::maybe(info.header, |header| Json::number(header.entry_addr))),
        ("segments", Json::list(info.segments.iter().map(segment))),
        ("checksum", checksum(&info)),
        ("hash", hash(&info)),
        ("app_desc", Json::maybe(info.app_desc.as_ref(), app_desc)),
        ("bootloader_desc", Json::maybe(info.bootloader_desc.as_ref(), bootloader_desc)),
        ("length", Json::number(info.length)),
        ("trailing", Json::number(info.trailing)),
        ("signed", Json::flag(info.signature_at.is_some())),
        ("faults", Json::list(info.faults.iter().map(fault))),
        ("findings", Json::list(info.findings.iter().map(|text| Json::text(text)))),
    ])
    .0
}

fn checksum(info: &ImageInfo) -> Json {
    let valid = info.checksum_stored.is_some() && info.checksum_stored == info.checksum_calculated;
    Json::object([
        ("stored", Json::maybe(info.checksum_stored, Json::number)),
        ("calculated", Json::maybe(info.checksum_calculated, Json::number)),
        ("valid", Json::flag(valid)),
    ])
}

fn hash(info: &ImageInfo) -> Json {
    let valid = info.hash_stored.is_some() && info.hash_stored == info.hash_calculated;
    Json::object([
        ("appended", Json::flag(info.hash_appended())),
        ("valid", Json::maybe(info.hash_appended().then_some(valid), Json::flag)),
    ])
}

fn segment(segment: &Segment) -> Json {
    Json::object([
        ("load_addr", Json::number(segment.load_addr)),
        ("length", Json::number(segment.length)),
        ("offset", Json::number(segment.offset)),
    ])
}

fn app_desc(desc: &AppDesc) -> Json {
    Json::object([
        ("project_name", Json::text(&desc.project_name())),
        ("version", Json::text(&desc.version())),
        ("idf_ver", Json::text(&desc.idf_ver())),
        ("secure_version", Json::number(desc.secure_version())),
        ("time", Json::text(&desc.time())),
        ("date", Json::text(&desc.date())),
        ("app_elf_sha256", Json::text(&hex(&desc.app_elf_sha256()))),
        ("min_efuse_blk_rev_full", Json::number(desc.min_efuse_blk_rev_full())),
        ("max_efuse_blk_rev_full", Json::number(desc.max_efuse_blk_rev_full())),
        ("mmu_page_size", Json::number(desc.mmu_page_size())),
        ("spi_flash_mode", Json::number(desc.spi_flash_mode())),
    ])
}

fn bootloader_desc(desc: &BootloaderDesc) -> Json {
    Json::object([
        ("version", Json::number(desc.version())),
        ("idf_ver", Json::text(&desc.idf_ver())),
        ("date_time", Json::text(&desc.date_time())),
        ("secure_version", Json::number(desc.secure_version())),
    ])
}

fn fault(fault: &Fault) -> Json {
    Json::object([
        ("err", Json::number(fault.err as i32)),
        ("field", Json::text(&fault.field)),
        ("offset", Json::number(fault.offset)),
        ("found", Json::text(&fault.found)),
        ("expected", Json::text(&fault.expected)),
    ])
}
