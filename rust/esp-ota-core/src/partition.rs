//! Partition tables: the binary form, ESP-IDF's CSV, the generator's rules and the two readers on the device.
//!
//! Three programs of ESP-IDF read a table, each in its own way: gen_esp32part.py ([`csv`], [`binary`], [`rules`]), the
//! bootloader ([`device::verify`]), and the app ([`device::load`]).

use std::borrow::Cow;

use crate::err::{EspErr, Failure, Fault};
use crate::flash::Flash;

mod builtin;
mod number;

pub mod binary;
pub mod csv;
pub mod device;
pub mod names;
pub mod rules;

pub use builtin::{BUILTIN_NAMES, builtin};

/// Bytes of a row (`esp_partition_info_t`).
pub const ROW_SIZE: usize = 32;
/// Bytes of a table (`ESP_PARTITION_TABLE_MAX_LEN`): 96 rows.
pub const TABLE_SIZE: usize = 0xC00;
/// Rows of a table (`ESP_PARTITION_TABLE_MAX_ENTRIES`), the MD5 row and the end row included.
pub const MAX_ROWS: usize = TABLE_SIZE / ROW_SIZE;
/// The sector a table occupies in flash; the last 0x400 bytes are left for a signature.
pub const TABLE_SECTOR: u32 = 0x1000;
/// Bytes of a label in a row (`esp_partition_info_t.label`), not necessarily terminated.
pub const LABEL_SIZE: usize = 16;

/// Characters of a name or a CSV field that a message repeats.
const SHOWN: usize = 40;

/// `PART_TYPE_APP`.
pub const TYPE_APP: u8 = 0x00;
/// `PART_TYPE_DATA`.
pub const TYPE_DATA: u8 = 0x01;
/// `PART_TYPE_BOOTLOADER`.
pub const TYPE_BOOTLOADER: u8 = 0x02;
/// `PART_TYPE_PARTITION_TABLE`.
pub const TYPE_PARTITION_TABLE: u8 = 0x03;
/// `PART_TYPE_END` in flash; in a search `ESP_PARTITION_TYPE_ANY`, and likewise for the subtype.
pub const ANY: u8 = 0xFF;

/// `PART_FLAG_ENCRYPTED`.
pub const FLAG_ENCRYPTED: u32 = 1 << 0;
/// `PART_FLAG_READONLY`.
pub const FLAG_READONLY: u32 = 1 << 1;

/// One row of a partition table (`esp_partition_info_t`).
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Partition {
    /// The name, up to its first NUL. More than 16 bytes are possible in a CSV; the binary cuts them off.
    pub label: Vec<u8>,
    /// `type`.
    pub ptype: u8,
    /// `subtype`.
    pub subtype: u8,
    /// The absolute flash address.
    pub offset: u32,
    /// Bytes.
    pub size: u32,
    /// All 32 flag bits as read.
    pub flags: u32,
}

impl Partition {
    /// The label as text; bytes that are no UTF-8 are replaced.
    pub fn name(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(&self.label)
    }

    /// Bit 0 of the flags.
    pub fn encrypted(&self) -> bool {
        self.flags & FLAG_ENCRYPTED != 0
    }

    /// Bit 1 of the flags.
    pub fn readonly(&self) -> bool {
        self.flags & FLAG_READONLY != 0
    }

    /// 0 to 15 for app/ota_0 to app/ota_15.
    pub fn ota_slot(&self) -> Option<u8> {
        (self.ptype == TYPE_APP && (0x10..=0x1F).contains(&self.subtype)).then_some(self.subtype & 0x0F)
    }

    /// The first address after it, which may lie beyond 32 bits.
    pub fn end(&self) -> u64 {
        u64::from(self.offset) + u64::from(self.size)
    }

    /// `esp_partition_read` (components/esp_partition/partition_target.c) before the flash is read: the flash address.
    pub fn check_read(&self, flash: &Flash, offset: u64, length: u64) -> Result<u64, Failure> {
        check_power(flash)?;
        Ok(self.check_range("read", offset, length)?)
    }

    /// `esp_partition_read`: decrypted where the partition is encrypted.
    pub fn read(&self, flash: &mut Flash, offset: u64, out: &mut [u8]) -> Result<(), Failure> {
        let address = self.check_read(flash, offset, out.len() as u64)?;
        if self.encrypted() { flash.read_cached(address, out) } else { flash.read(address, out) }
    }

    /// `esp_partition_read_raw`: as it stands in flash.
    pub fn read_raw(&self, flash: &mut Flash, offset: u64, out: &mut [u8]) -> Result<(), Failure> {
        let address = self.check_read(flash, offset, out.len() as u64)?;
        flash.read(address, out)
    }

    /// `esp_partition_write` (components/esp_partition/partition_target.c): the argument checks, then the flash.
    pub fn write(&self, flash: &mut Flash, offset: u64, data: &[u8]) -> Result<(), Failure> {
        let address = self.check_write(flash, offset, data)?;
        if self.encrypted() { flash.program_encrypted(address, data) } else { flash.program(address, data) }
    }

    /// `esp_partition_write_raw`: the same without encryption.
    pub fn write_raw(&self, flash: &mut Flash, offset: u64, data: &[u8]) -> Result<(), Failure> {
        let address = self.check_write(flash, offset, data)?;
        flash.program(address, data)
    }

    fn check_write(&self, flash: &Flash, offset: u64, data: &[u8]) -> Result<u64, Failure> {
        check_power(flash)?;
        self.check_writable("write", offset)?;
        Ok(self.check_range("write", offset, data.len() as u64)?)
    }

    /// `is_partition_encrypted` (components/esp_partition/partition.c), while flash encryption is on.
    pub fn is_always_encrypted(&self) -> bool {
        match self.ptype {
            TYPE_APP | TYPE_BOOTLOADER | TYPE_PARTITION_TABLE => true,
            TYPE_DATA => matches!(self.subtype, 0x00 | 0x04 | 0x90), // ota, nvs_keys, tee_ota
            _ => false,
        }
    }

    /// `esp_partition_erase_range` (components/esp_partition/partition_target.c): the argument checks, then the flash.
    pub fn erase_range(&self, flash: &mut Flash, offset: u64, length: u64) -> Result<(), Failure> {
        check_power(flash)?;
        self.check_writable("erase", offset)?;
        let address = self.check_range("erase", offset, length)?;
        for (err, name, value) in [(EspErr::InvalidSize, "length", length), (EspErr::InvalidArg, "offset", offset)] {
            if value % u64::from(TABLE_SECTOR) != 0 {
                let found = format!("{name} 0x{value:x}");
                return Err(Fault::new(err, self.place("erase"), address, found, "a multiple of 0x1000").into());
            }
        }
        flash.erase(address, length)
    }

    fn check_writable(&self, what: &str, offset: u64) -> Result<(), Fault> {
        if self.readonly() {
            let address = u64::from(self.offset).saturating_add(offset);
            return Err(Fault::new(EspErr::NotAllowed, self.place(what), address, "readonly", "a writable partition"));
        }
        Ok(())
    }

    /// What all three calls ask: the offset first, then the length. Returns the flash address.
    fn check_range(&self, what: &str, offset: u64, length: u64) -> Result<u64, Fault> {
        let size = u64::from(self.size);
        let address = u64::from(self.offset).saturating_add(offset);
        let (err, name, value, most) = match size.checked_sub(offset) {
            None => (EspErr::InvalidArg, "offset", offset, size),
            Some(rest) if length > rest => (EspErr::InvalidSize, "length", length, rest),
            Some(_) => return Ok(address),
        };
        let expected = format!("at most 0x{most:x}, the partition's end");
        Err(Fault::new(err, self.place(what), address, format!("{name} 0x{value:x}"), expected))
    }

    fn place(&self, what: &str) -> String {
        format!("{what} of partition {}", self.shown())
    }

    /// The name in a message.
    fn shown(&self) -> String {
        shown(&self.name())
    }
}

/// A name or a piece of a CSV for a message: in quotes unless it is a plain word, and cut where it is long.
fn shown(text: &str) -> String {
    let end = text.char_indices().nth(SHOWN).map_or(text.len(), |(end, _)| end);
    let start = text.get(..end).unwrap_or_default();
    let more = if end < text.len() { "..." } else { "" };
    let plain = !start.is_empty() && start.chars().all(|char| char.is_alphanumeric() || "_-.$+".contains(char));
    if plain { format!("{start}{more}") } else { format!("{start:?}{more}") }
}

/// On a dead device no argument is looked at either.
fn check_power(flash: &Flash) -> Result<(), Failure> {
    flash.check_read(0, 0)
}

/// `esp_partition_find_first` (components/esp_partition/partition.c): the first row that matches.
///
/// Without a type, or with [`ANY`], every type matches; a subtype says nothing without a type, and then nothing matches.
pub fn find<'a>(
    rows: &'a [Partition],
    ptype: Option<u8>,
    subtype: Option<u8>,
    label: Option<&[u8]>,
) -> Option<&'a Partition> {
    let (ptype, subtype) = (ptype.filter(|&ptype| ptype != ANY), subtype.filter(|&subtype| subtype != ANY));
    if ptype.is_none() && subtype.is_some() {
        return None;
    }
    rows.iter().find(|row| {
        ptype.is_none_or(|ptype| ptype == row.ptype)
            && subtype.is_none_or(|subtype| subtype == row.subtype)
            && label.is_none_or(|label| label == row.label)
    })
}
