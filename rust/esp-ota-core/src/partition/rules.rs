//! What gen_esp32part.py (components/partition_table) asks of a table before it makes one: `PartitionTable.verify`.

use std::fmt::Display;

use super::names::{self, DATA_COREDUMP, DATA_NVS, DATA_OTA, DATA_TEE_OTA, PRIMARY};
use super::{FLAG_ENCRYPTED, FLAG_READONLY, binary};
use super::{Partition, TABLE_SECTOR, TYPE_APP, TYPE_BOOTLOADER, TYPE_DATA, TYPE_PARTITION_TABLE};
use crate::err::{EspErr, Fault};

/// `SIZE_OTADATA`, `SIZE_TEE_OTADATA`: two sectors.
const OTADATA_SIZE: u32 = 0x2000;
/// `NVS_RW_MIN_PARTITION_SIZE`.
const NVS_RW_MIN_SIZE: u32 = 0x3000;

/// How a fault names a row.
#[derive(Clone, Copy, Debug)]
pub enum Origin<'a> {
    /// By its line in a CSV, counted from 1: one number for each row. The fault's offset is the line.
    Lines(&'a [usize]),
    /// By its index in the table, counted from 0. The fault's offset is the row's place in the binary.
    Table,
}

impl Origin<'_> {
    fn row(self, index: usize) -> String {
        match self {
            Self::Lines(lines) => format!("line {}", lines.get(index).copied().unwrap_or_default()),
            Self::Table => format!("row {index}"),
        }
    }

    fn fault(self, index: usize, rule: impl Display, found: impl Into<String>, expected: impl Into<String>) -> Fault {
        let offset = match self {
            Self::Lines(lines) => lines.get(index).copied().unwrap_or_default() as u64,
            Self::Table => binary::place(index),
        };
        Fault::new(EspErr::InvalidArg, format!("{}: {rule}", self.row(index)), offset, found, expected)
    }
}

/// `get_alignment_offset_for_type`.
pub(super) fn offset_alignment(ptype: u8) -> u32 {
    if ptype == TYPE_APP { 0x1_0000 } else { 0x1000 }
}

/// bootloader/primary and partition_table/primary: the two that lie below everything else.
pub(super) fn is_primary(row: &Partition) -> bool {
    matches!(row.ptype, TYPE_BOOTLOADER | TYPE_PARTITION_TABLE) && row.subtype == PRIMARY
}

/// `PartitionTable.verify`, in its order. `secure_v1`: apps end on a page of 64 KiB.
pub fn verify(rows: &[Partition], origin: Origin<'_>, table_offset: u32, secure_v1: bool) -> Result<(), Fault> {
    for (index, row) in rows.iter().enumerate() {
        verify_row(row, index, origin, secure_v1)?;
    }
    verify_names(rows, origin)?;
    verify_places(rows, origin, table_offset)?;
    verify_otadata(rows, origin, DATA_OTA, "otadata")?;
    verify_otadata(rows, origin, DATA_TEE_OTA, "TEE otadata")
}

/// `PartitionDefinition.verify`.
fn verify_row(row: &Partition, index: usize, origin: Origin<'_>, secure_v1: bool) -> Result<(), Fault> {
    let (name, size) = (row.shown(), row.size);
    let aligned = |what: &str, value: u32, unit: u32| {
        if value % unit == 0 {
            return Ok(());
        }
        let found = format!("0x{value:x}");
        Err(origin.fault(index, format!("{what} of {name} is not aligned"), found, format!("a multiple of 0x{unit:x}")))
    };
    aligned("offset", row.offset, offset_alignment(row.ptype))?;
    if row.ptype == TYPE_APP {
        aligned("size", size, if secure_v1 { 0x1_0000 } else { 0x1000 })?;
    }
    if row.ptype != TYPE_DATA {
        return Ok(());
    }
    if row.readonly() && matches!(row.subtype, DATA_OTA | DATA_COREDUMP) {
        let expected = format!("no such flag on a {} partition, which is written at run time", kind(row));
        return Err(origin.fault(index, format!("flags of {name}"), "readonly", expected));
    }
    if row.subtype == DATA_NVS && size < NVS_RW_MIN_SIZE && !row.readonly() {
        let expected = "at least 0x3000, or the flag readonly";
        return Err(origin.fault(index, format!("size of {name}"), format!("0x{size:x}"), expected));
    }
    Ok(())
}

fn verify_names(rows: &[Partition], origin: Origin<'_>) -> Result<(), Fault> {
    let mut sorted: Vec<(usize, &Partition)> = rows.iter().enumerate().collect();
    sorted.sort_by_key(|(_, row)| &row.label);
    for (&(first, row), &(second, next)) in sorted.iter().zip(sorted.iter().skip(1)) {
        if row.label == next.label {
            let found = format!("{} here and in {}", row.shown(), origin.row(first));
            return Err(origin.fault(second, "Partition names must be unique", found, "a name of its own"));
        }
    }
    Ok(())
}

fn verify_places(rows: &[Partition], origin: Origin<'_>, table_offset: u32) -> Result<(), Fault> {
    let first_free = u64::from(table_offset) + u64::from(TABLE_SECTOR);
    let mut sorted: Vec<(usize, &Partition)> = rows.iter().enumerate().collect();
    sorted.sort_by_key(|(_, row)| row.offset);
    let mut last: Option<&Partition> = None;
    for (index, row) in sorted {
        let (name, found) = (row.shown(), format!("offset 0x{:x}", row.offset));
        if u64::from(row.offset) < first_free && !is_primary(row) {
            let rule = format!("{name} overlaps the partition table or what is below it");
            return Err(origin.fault(index, rule, found, format!("0x{first_free:x} or higher")));
        }
        if let Some(last) = last.filter(|last| u64::from(row.offset) < last.end()) {
            let expected = format!("0x{:x} or higher, where {} ends", last.end(), last.shown());
            return Err(origin.fault(index, format!("{name} overlaps {}", last.shown()), found, expected));
        }
        last = Some(row);
    }
    Ok(())
}

fn verify_otadata(rows: &[Partition], origin: Origin<'_>, subtype: u8, what: &str) -> Result<(), Fault> {
    let mut all = rows.iter().enumerate().filter(|(_, row)| (row.ptype, row.subtype) == (TYPE_DATA, subtype));
    let Some((first, row)) = all.next() else { return Ok(()) };
    if let Some((second, other)) = all.next() {
        let found = format!("{} beside {} in {}", other.shown(), row.shown(), origin.row(first));
        return Err(origin.fault(second, format!("Found multiple {what} partitions"), found, "one"));
    }
    if row.size != OTADATA_SIZE {
        let rule = format!("{what} partition must have size = 0x2000");
        return Err(origin.fault(first, rule, format!("0x{:x}", row.size), "0x2000"));
    }
    Ok(())
}

/// `verify_size_fits`: the row with the highest offset has to end inside the flash.
pub fn verify_size_fits(rows: &[Partition], origin: Origin<'_>, flash_size: u64) -> Result<(), Fault> {
    // Of several rows at the highest offset upstream measures the first.
    let last = rows.iter().enumerate().rev().max_by_key(|(_, row)| row.offset);
    let Some((index, row)) = last.filter(|(_, row)| row.end() > flash_size) else { return Ok(()) };
    let megabytes = flash_size >> 20;
    let size = if megabytes << 20 == flash_size { format!("{megabytes}MB") } else { format!("0x{flash_size:x}") };
    let rule = format!("{} does not fit in configured flash size {size}", row.shown());
    Err(origin.fault(index, rule, format!("its end at 0x{:x}", row.end()), format!("0x{flash_size:x} or lower")))
}

/// What gen_esp32part.py warns of and goes on: unknown flag bits (which it drops), and names that promise something else.
pub fn warnings(rows: &[Partition]) -> Vec<String> {
    let mut said = Vec::new();
    for (index, row) in rows.iter().enumerate() {
        let (name, shown) = (row.name(), row.shown());
        let unknown = row.flags & !(FLAG_ENCRYPTED | FLAG_READONLY);
        if unknown != 0 {
            said.push(format!("row {index}: {shown} has unknown flags 0x{unknown:08x}; they are dropped"));
        }
        if names::value(names::TYPES, &name).is_some_and(|ptype| ptype != row.ptype) {
            said.push(format!("row {index}: {shown} is the name of a partition type, but this row is {}", kind(row)));
        }
        let known =
            (TYPE_APP..=TYPE_PARTITION_TABLE).any(|ptype| names::value(names::subtypes(ptype), &name).is_some());
        if known && names::value(names::subtypes(row.ptype), &name) != Some(row.subtype) {
            said.push(format!(
                "row {index}: {shown} is the name of a partition subtype, but this row is {}",
                kind(row)
            ));
        }
    }
    said
}

/// Type and subtype, as in `data/ota`.
fn kind(row: &Partition) -> String {
    format!("{}/{}", names::type_name(row.ptype), names::subtype_name(row.ptype, row.subtype))
}
