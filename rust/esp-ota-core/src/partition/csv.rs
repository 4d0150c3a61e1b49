//! The CSV form, as gen_esp32part.py (components/partition_table) reads and writes it.
//!
//! Two things are left to whoever opens the file: decoding the text, and expanding environment variables in it.

use super::names::{self, BOOTLOADER_RECOVERY, Keywords, PRIMARY, SUBTYPE_UNDEFINED, TYPES};
use super::number::{is_space, parse_int};
use super::rules::{self, Origin, is_primary, offset_alignment};
use super::{
    FLAG_ENCRYPTED, FLAG_READONLY, Partition, TABLE_SECTOR, TYPE_APP, TYPE_BOOTLOADER, TYPE_PARTITION_TABLE, shown,
};
use crate::err::{EspErr, Fault};

const FLAGS: [(&str, u32); 2] = [("encrypted", FLAG_ENCRYPTED), ("readonly", FLAG_READONLY)];

/// Where the table and what stands before it lie: the generator's options.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placement {
    /// `--offset`.
    pub table_offset: u32,
    /// `--primary-bootloader-offset`.
    pub primary_bootloader_offset: Option<u32>,
    /// `--recovery-bootloader-offset`.
    pub recovery_bootloader_offset: Option<u32>,
    /// `--secure v1`: apps are whole MMU pages.
    pub secure_v1: bool,
    /// `--no-verify` turned round.
    pub verify: bool,
    /// `--extra-partition-subtypes`: type, keyword, value.
    pub extra_subtypes: Vec<(u8, String, u8)>,
}

impl Default for Placement {
    fn default() -> Self {
        Self {
            table_offset: 0x8000,
            primary_bootloader_offset: None,
            recovery_bootloader_offset: None,
            secure_v1: false,
            verify: true,
            extra_subtypes: Vec::new(),
        }
    }
}

/// One line of the CSV, before the placement pass.
struct Line {
    number: usize,
    /// Its offset and size are still 0.
    row: Partition,
    offset: Option<i128>,
    size: i128,
}

/// `PartitionTable.from_csv` and `PartitionTable.verify`. A fault names the line, and its offset is that line's number.
pub fn from_csv(text: &str, placement: &Placement) -> Result<Vec<Partition>, Fault> {
    check_primary_bootloader(placement)?;
    let mut lines = Vec::new();
    for (number, line) in (1..).zip(split_lines(text)) {
        if let Some(name) = variable(line) {
            let expected = "a row; environment variables are not expanded here";
            return Err(fault(number, "unknown variable", shown(name), expected));
        }
        let line = line.trim_matches(is_space);
        if !line.is_empty() && !line.starts_with('#') {
            lines.push(read_line(line, number, placement)?);
        }
    }
    place(&mut lines, placement)?;
    let (rows, numbers): (Vec<_>, Vec<_>) = lines.into_iter().map(|line| (line.row, line.number)).unzip();
    if placement.verify {
        rules::verify(&rows, Origin::Lines(&numbers), placement.table_offset, placement.secure_v1)?;
    }
    Ok(rows)
}

/// `PartitionTable.to_csv`.
pub fn to_csv(rows: &[Partition]) -> String {
    let mut text = String::from("# ESP-IDF Partition Table\n# Name, Type, SubType, Offset, Size, Flags\n");
    for row in rows {
        text.push_str(&fields(row).join(","));
        text.push('\n');
    }
    text
}

/// The fields of one row, as `PartitionDefinition.to_csv` writes them: name, type, subtype, offset, size, flags.
pub fn fields(row: &Partition) -> [String; 6] {
    let flags: Vec<&str> = FLAGS.iter().filter(|(_, bit)| row.flags & bit != 0).map(|&(word, _)| word).collect();
    [
        row.name().into_owned(),
        names::type_name(row.ptype),
        names::subtype_name(row.ptype, row.subtype),
        format!("0x{:x}", row.offset),
        size_text(row.size),
        flags.join(":"),
    ]
}

/// Whole MiB, else whole KiB, else hex.
fn size_text(size: u32) -> String {
    match size {
        size if size % (1 << 20) == 0 => format!("{}M", size >> 20),
        size if size % (1 << 10) == 0 => format!("{}K", size >> 10),
        size => format!("0x{size:x}"),
    }
}

fn check_primary_bootloader(placement: &Placement) -> Result<(), Fault> {
    let &Placement { table_offset, primary_bootloader_offset, .. } = placement;
    match primary_bootloader_offset {
        Some(offset) if offset >= table_offset => {
            let expected = format!("an address below the partition table at 0x{table_offset:x}");
            let field = "--primary-bootloader-offset";
            Err(Fault::new(EspErr::InvalidArg, field, 0, format!("0x{offset:x}"), expected))
        }
        _ => Ok(()),
    }
}

/// Python's `str.splitlines`.
fn split_lines(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let is_end = |char: char| {
            matches!(char, '\n' | '\r' | '\x0b' | '\x0c' | '\x1c'..='\x1e' | '\u{85}' | '\u{2028}' | '\u{2029}')
        };
        let (line, later) = rest.split_once(is_end).unwrap_or((rest, ""));
        // CR and LF together end one line.
        let pair = rest.get(line.len()..).is_some_and(|end| end.starts_with("\r\n"));
        rest = if pair { later.strip_prefix('\n').unwrap_or(later) } else { later };
        Some(line)
    })
}

/// The name in a line that starts with `$NAME`.
fn variable(line: &str) -> Option<&str> {
    let name = line.strip_prefix('$')?;
    let end = name.find(|char: char| !char.is_ascii_alphanumeric() && char != '_').unwrap_or(name.len());
    name.get(..end).filter(|name| name.starts_with(|char: char| char.is_ascii_alphabetic() || char == '_'))
}

/// `PartitionDefinition.from_csv`: the fields in their order, as far as they can be known from the line alone.
fn read_line(line: &str, number: usize, placement: &Placement) -> Result<Line, Fault> {
    let mut fields = line.split(',').map(|field| field.trim_matches(is_space)).chain(std::iter::repeat(""));
    let mut next = || fields.next().unwrap_or_default();
    let fields = Fields { number, placement, name: next() };
    let ptype = fields.parse_type(next())?;
    let subtype = fields.parse_subtype(next(), ptype)?;
    let offset = fields.parse_address(next(), ptype, subtype)?;
    let size = fields.parse_size(next(), ptype)?;
    let flags = fields.parse_flags(next())?;
    let label = fields.name.as_bytes().to_vec();
    Ok(Line { number, row: Partition { label, ptype, subtype, offset: 0, size: 0, flags }, offset, size })
}

struct Fields<'a> {
    number: usize,
    placement: &'a Placement,
    name: &'a str,
}

impl Fields<'_> {
    fn fault(&self, rule: &str, found: impl Into<String>, expected: impl Into<String>) -> Fault {
        fault(self.number, rule, found, expected)
    }

    fn parse_type(&self, text: &str) -> Result<u8, Fault> {
        if text.is_empty() {
            return Err(self.fault("type", "nothing", expected_byte(TYPES)));
        }
        self.byte("type", text, TYPES)
    }

    fn parse_subtype(&self, text: &str, ptype: u8) -> Result<u8, Fault> {
        let keywords = names::subtypes(ptype);
        let extra = &self.placement.extra_subtypes;
        if let Some((.., value)) = extra.iter().find(|(of, word, _)| *of == ptype && *word == text.to_lowercase()) {
            return Ok(*value);
        }
        if !text.is_empty() {
            return self.byte("subtype", text, keywords);
        }
        if ptype == TYPE_APP {
            let rule = "App partition cannot have an empty subtype";
            return Err(self.fault(rule, "nothing", expected_byte(keywords)));
        }
        Ok(SUBTYPE_UNDEFINED)
    }

    /// `parse_address`: the rows that describe the bootloader and the table take their place from the options.
    fn parse_address(&self, text: &str, ptype: u8, subtype: u8) -> Result<Option<i128>, Fault> {
        let given = match (ptype, subtype) {
            (TYPE_BOOTLOADER, PRIMARY) => Some(self.primary_bootloader_offset("offset")?),
            (TYPE_BOOTLOADER, BOOTLOADER_RECOVERY) => {
                let offset = self.placement.recovery_bootloader_offset;
                let expected = "--recovery-bootloader-offset to say where the recovery bootloader lies";
                Some(offset.ok_or_else(|| self.fault("offset", "no address", expected))?)
            }
            (TYPE_PARTITION_TABLE, PRIMARY) => Some(self.placement.table_offset),
            _ => None,
        };
        match given {
            Some(offset) => Ok(Some(offset.into())),
            None if text.is_empty() => Ok(None),
            None => self.integer("offset", text).map(Some),
        }
    }

    /// `parse_size`: of a bootloader and of a partition table it is fixed.
    fn parse_size(&self, text: &str, ptype: u8) -> Result<i128, Fault> {
        match ptype {
            TYPE_BOOTLOADER => {
                let start = self.primary_bootloader_offset("size")?;
                Ok(i128::from(self.placement.table_offset) - i128::from(start))
            }
            TYPE_PARTITION_TABLE => Ok(TABLE_SECTOR.into()),
            _ if text.is_empty() => Err(self.fault("size", "nothing", "a number of bytes")),
            _ => self.integer("size", text),
        }
    }

    fn primary_bootloader_offset(&self, field: &str) -> Result<u32, Fault> {
        let expected = "--primary-bootloader-offset to say where the bootloader lies";
        self.placement.primary_bootloader_offset.ok_or_else(|| self.fault(field, "no address", expected))
    }

    fn parse_flags(&self, text: &str) -> Result<u32, Fault> {
        let mut flags = 0;
        for word in text.split(':').filter(|word| !word.is_empty()) {
            let known = FLAGS.iter().find(|(name, _)| *name == word);
            let (_, bit) =
                known.ok_or_else(|| self.fault("flags", shown(word), "encrypted, readonly or both with a :"))?;
            flags |= bit;
        }
        Ok(flags)
    }

    fn byte(&self, field: &str, text: &str, keywords: Keywords) -> Result<u8, Fault> {
        let value = parse_int(text, keywords).and_then(|value| u8::try_from(value).ok());
        value.ok_or_else(|| self.fault(field, shown(text), expected_byte(keywords)))
    }

    fn integer(&self, field: &str, text: &str) -> Result<i128, Fault> {
        parse_int(text, &[])
            .ok_or_else(|| self.fault(field, shown(text), "a whole number such as 65536, 0x10000, 64K or 1M"))
    }
}

/// The placement pass of `PartitionTable.from_csv`: automatic offsets, negative sizes; addresses have to ascend.
fn place(lines: &mut [Line], placement: &Placement) -> Result<(), Fault> {
    let mut last_end = i128::from(placement.table_offset) + i128::from(TABLE_SECTOR);
    let mut last = "the partition table".to_owned();
    for line in lines {
        let (number, primary) = (line.number, is_primary(&line.row));
        let offset = match line.offset {
            Some(offset) if offset < last_end && !primary => {
                let rule = format!("{} overlaps what is before it", line.row.shown());
                let expected = format!("0x{last_end:x} or higher, where {last} ends");
                return Err(fault(number, &rule, format!("offset {}", signed_hex(offset)), expected));
            }
            Some(offset) => offset,
            None => {
                let unit = i128::from(offset_alignment(line.row.ptype));
                (last_end + unit - 1) / unit * unit
            }
        };
        line.row.offset = word(offset).ok_or_else(|| fault(number, "offset", signed_hex(offset), "32 bits at most"))?;
        // A negative size is the address where the partition ends.
        let size = if line.size < 0 { line.size.saturating_neg() - offset } else { line.size };
        line.row.size = word(size).ok_or_else(|| {
            let found = if line.size < 0 { "an end at 0x" } else { "0x" };
            let found = format!("{found}{:x}", line.size.unsigned_abs());
            let expected = if line.size < 0 {
                format!("one from 0x{offset:x} on, within 32 bits")
            } else {
                "32 bits at most".into()
            };
            fault(number, "size", found, expected)
        })?;
        if !primary {
            last_end = offset + size;
            last = format!("line {number}");
        }
    }
    Ok(())
}

fn word(value: i128) -> Option<u32> {
    u32::try_from(value).ok()
}

fn signed_hex(value: i128) -> String {
    format!("{}0x{:x}", if value < 0 { "-" } else { "" }, value.unsigned_abs())
}

/// The words there are, the OTA slots between the first and the last left out, or a number.
fn expected_byte(keywords: Keywords) -> String {
    let word = |&(word, _): &(&'static str, u8)| match word {
        "ota_0" => Some("ota_0 to ota_15"),
        slot if slot.starts_with("ota_") => None,
        word => Some(word),
    };
    let words: Vec<&str> = keywords.iter().filter_map(word).collect();
    if words.is_empty() { "a number up to 255".into() } else { format!("{} or a number up to 255", words.join(", ")) }
}

fn fault(line: usize, rule: &str, found: impl Into<String>, expected: impl Into<String>) -> Fault {
    Fault::new(EspErr::InvalidArg, format!("line {line}: {rule}"), line as u64, found, expected)
}
