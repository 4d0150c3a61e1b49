//! The two readers on the device: the bootloader's verifier and the app's loader. They do not agree on every table.

use super::binary::{MAGIC, MAGIC_MD5, Row, before, hex, place, rows};
use super::{ANY, FLAG_ENCRYPTED, MAX_ROWS, Partition};
use crate::digest::md5;
use crate::err::{EspErr, Fault, Level, LogLine};

/// What [`verify`] said: `esp_err_t`, what it printed, and the rows the bootloader will walk.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TableVerdict {
    /// The code returned.
    pub err: EspErr,
    /// The rule that was broken first.
    pub fault: Option<Fault>,
    /// The console.
    pub log: Vec<LogLine>,
    /// The first `num_partitions` rows, an MD5 row among them included; none after a failure.
    pub rows: Vec<Partition>,
}

/// `esp_partition_table_verify` (components/bootloader_support/src/flash_partitions.c).
///
/// `data` should hold 0xC00 bytes; where it ends earlier, the table has no terminating entry. `wraps`: the end of a row is
/// computed in 32 bits, as releases up to v6.0 do, so that a row around the end of the address space passes. `empty`: no
/// row at all is a table, as in releases up to v5.4.
pub fn verify(data: &[u8], chip_size: u64, wraps: bool, empty: bool) -> TableVerdict {
    match walk(data, chip_size, wraps, empty) {
        Ok(rows) => TableVerdict { err: EspErr::Ok, fault: None, log: Vec::new(), rows },
        Err((fault, text)) => {
            let log = vec![LogLine { level: Level::Error, tag: "flash_parts", text }];
            TableVerdict { err: fault.err, fault: Some(fault), log, rows: Vec::new() }
        }
    }
}

/// Row by row to the first fault and the line printed for it.
fn walk(data: &[u8], chip_size: u64, wraps: bool, empty: bool) -> Result<Vec<Partition>, (Fault, String)> {
    let mut md5_found = 0;
    for (index, row) in rows(data).enumerate().take(MAX_ROWS) {
        match row.magic() {
            MAGIC => check_position(index, &row.partition(), chip_size, wraps)?,
            MAGIC_MD5 => {
                check_md5(index, row, data, md5_found == 0)?;
                md5_found = 1;
            }
            [0xFF, 0xFF] if (empty || index != 0) && row.ptype() == ANY && row.subtype() == ANY => {
                // Upstream subtracts the MD5 row wherever it stands: in the middle, it is counted and the last row is not.
                let count = index - md5_found;
                return Ok(rows(data).take(count).map(Row::partition).collect());
            }
            magic => {
                let word = u16::from_le_bytes(magic);
                let field = format!("row {index}: magic number");
                let expected = if index == 0 { "0x50aa" } else { "0x50aa, 0xebeb or an end row" };
                let fault = Fault::new(EspErr::InvalidState, field, place(index), format!("0x{word:x}"), expected);
                return Err((fault, format!("partition {index} invalid magic number 0x{word:x}")));
            }
        }
    }
    let count = rows(data).len().min(MAX_ROWS);
    let found = format!("{count} rows and no end");
    let fault = Fault::new(EspErr::InvalidState, "end of table", place(count), found, "an end row among the first 96");
    Err((fault, "partition table has no terminating entry, not valid".to_owned()))
}

fn check_position(index: usize, row: &Partition, chip_size: u64, wraps: bool) -> Result<(), (Fault, String)> {
    let end = if wraps { row.offset.wrapping_add(row.size).into() } else { row.end() };
    if u64::from(row.offset) <= chip_size && end <= chip_size {
        return Ok(());
    }
    let Partition { offset, size, .. } = row;
    let found = format!("offset 0x{offset:x} and size 0x{size:x}");
    let expected = format!("a place inside the 0x{chip_size:x} bytes of the flash");
    let field = format!("row {index}: position of {}", row.shown());
    let text = format!(
        "partition {index} invalid - offset 0x{offset:x} size 0x{size:x} exceeds flash chip size 0x{chip_size:x}"
    );
    Err((Fault::new(EspErr::InvalidSize, field, place(index), found, expected), text))
}

fn check_md5(index: usize, row: Row<'_>, data: &[u8], first: bool) -> Result<(), (Fault, String)> {
    let refused = |found: String, expected: String, text: &str| {
        let field = format!("row {index}: MD5");
        Err((Fault::new(EspErr::InvalidState, field, place(index), found, expected), text.to_owned()))
    };
    if !first {
        return refused("a second MD5 row".to_owned(), "one".to_owned(), "Only one MD5 checksum is allowed");
    }
    let computed = md5(before(data, index));
    if computed != row.digest() {
        let expected = format!("{}, the MD5 of the rows before it", hex(&computed));
        return refused(hex(&row.digest()), expected, "Incorrect MD5 checksum");
    }
    Ok(())
}

/// `load_partitions` (components/esp_partition/partition.c): what an app finds in the sector of its table.
///
/// The scan ends at the first row of another magic; with `with_md5` (`CONFIG_PARTITION_TABLE_MD5`) that has to be the MD5 row.
/// With flash encryption off no row is encrypted, whatever its flag says; with it on some are without being flagged.
pub fn load(sector: &[u8], with_md5: bool, encryption: bool) -> Result<Vec<Partition>, Fault> {
    let count = rows(sector).take_while(|row| row.magic() == MAGIC).count();
    if with_md5 {
        let refused = |err, found: String, expected: String| {
            Err(Fault::new(err, format!("row {count}: MD5"), place(count), found, expected))
        };
        match rows(sector).nth(count) {
            Some(row) if row.magic() == MAGIC_MD5 => {
                let computed = md5(before(sector, count));
                if computed != row.digest() {
                    let expected = format!("{}, the MD5 of the rows before it", hex(&computed));
                    return refused(EspErr::InvalidState, hex(&row.digest()), expected);
                }
            }
            other => {
                let found = other.map_or("the end of the sector".to_owned(), |row| hex(&row.magic()));
                return refused(EspErr::NotFound, found, "ebeb, an MD5 row".to_owned());
            }
        }
    }
    let as_seen = |row: Partition| {
        let encrypted = encryption && (row.encrypted() || row.is_always_encrypted());
        Partition { flags: row.flags & !FLAG_ENCRYPTED | if encrypted { FLAG_ENCRYPTED } else { 0 }, ..row }
    };
    Ok(rows(sector).take(count).map(|row| as_seen(row.partition())).collect())
}
