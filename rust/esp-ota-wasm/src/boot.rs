//! What a bootloader makes of a flash as it stands: its table, the slot that it would begin with, the images it tries.
//!
//! It writes nothing: what a trial becomes is told to it, and the trial itself is not played. Images are looked at whole, as
//! `inspect` does: nobody signs here.

use esp_ota_core::boot::{BootTable, FACTORY_INDEX, boot_order, select};
use esp_ota_core::err::{EspErr, Failure, Fault};
use esp_ota_core::flash::Flash;
use esp_ota_core::image::{ImageKind, inspect};
use esp_ota_core::otadata::read_otadata;
use esp_ota_core::partition::{Partition, csv, device};
use esp_ota_core::target::Target;

use crate::json::Json;

const TABLE_MAX_LEN: usize = 0xC00;

/// How the bootloader was built, and what the chip's fuses say.
pub(crate) struct Loader {
    pub(crate) table_at: u32,
    /// The secure version in the fuses; `None`: a build without anti-rollback.
    pub(crate) secure_version: Option<u32>,
    /// A state that an entry has, and what becomes of it before the choice.
    pub(crate) unconfirmed: (u32, u32),
}

/// Who would boot on this chip. A table that is refused is a sentence, and nothing boots.
pub(crate) fn look(flash: &mut Flash, chip: &str, loader: &Loader) -> Result<String, Failure> {
    let no_chip = || Fault::new(EspErr::InvalidArg, "chip", 0, chip.to_owned(), "a chip that is known");
    let target = Target::by_name(chip).ok_or_else(no_chip)?;
    let mut sector = vec![0; TABLE_MAX_LEN];
    flash.read_cached(loader.table_at.into(), &mut sector)?;
    let verdict = device::verify(&sector, flash.size(), false, false);
    if let Some(fault) = verdict.fault {
        return Ok(report(&Json::text(&fault.to_string()), None, &[]));
    }
    let table = BootTable::new(&verdict.rows);
    let start = start(flash, &table, loader.unconfirmed)?;
    let mut tried = Vec::new();
    for index in boot_order(start, table.app_count()).unwrap_or_default() {
        let Some(row) = table.partition(index).filter(|row| row.size != 0) else { continue };
        let mut slot = vec![0; row.size as usize];
        flash.read_cached(row.offset.into(), &mut slot)?;
        let why = refusal(&slot, target, loader.secure_version);
        let loads = why.is_empty();
        tried.push((row.clone(), loads, why));
        if loads {
            break;
        }
    }
    Ok(report(&Json("null".to_owned()), table.partition(start), &tried))
}

/// The rows of a table in CSV, or why it is none.
pub(crate) fn table(text: &str) -> Result<String, Fault> {
    let rows = csv::from_csv(text, &csv::Placement::default())?;
    Ok(Json::list(rows.iter().map(row)).0)
}

/// Why an image does not load; `""` when it does.
fn refusal(slot: &[u8], target: &'static Target, burnt: Option<u32>) -> String {
    let info = inspect(slot, Some(target), Some(ImageKind::App));
    if let Some(fault) = info.faults.first() {
        return fault.to_string();
    }
    let version = info.app_desc.map_or(0, |desc| desc.secure_version());
    match burnt {
        Some(burnt) if version < burnt => format!("its secure version is {version}, and the fuses say {burnt}"),
        _ => String::new(),
    }
}

/// `bootloader_utility_get_selected_boot_partition`.
fn start(flash: &mut Flash, table: &BootTable, (before, after): (u32, u32)) -> Result<i32, Failure> {
    let Some(ota_info) = table.ota_info() else { return Ok(FACTORY_INDEX) };
    let mut entries = read_otadata(flash, ota_info.offset.into())?;
    for entry in entries.iter_mut().filter(|entry| entry.ota_state == before) {
        entry.ota_state = after;
    }
    Ok(select(table, &entries).index)
}

fn report(table: &Json, start: Option<&Partition>, tried: &[(Partition, bool, String)]) -> String {
    let label = |row: &Partition| Json::text(&row.name());
    let boots = tried.iter().find(|(_, loads, _)| *loads).map(|(row, ..)| row);
    Json::object([
        ("table", Json(table.0.clone())),
        ("start", Json::maybe(start, label)),
        (
            "tried",
            Json::list(tried.iter().map(|(row, loads, why)| {
                Json::object([("label", label(row)), ("loads", Json::flag(*loads)), ("why", Json::text(why))])
            })),
        ),
        ("boots", Json::maybe(boots, label)),
    ])
    .0
}

fn row(row: &Partition) -> Json {
    Json::object([
        ("label", Json::text(&row.name())),
        ("type", Json::number(row.ptype)),
        ("subtype", Json::number(row.subtype)),
        ("offset", Json::number(row.offset)),
        ("size", Json::number(row.size)),
    ])
}
