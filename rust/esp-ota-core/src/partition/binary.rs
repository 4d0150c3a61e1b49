//! The binary form, as gen_esp32part.py (components/partition_table) writes and reads it.

use md5::{Digest, Md5};

use super::{FLAG_ENCRYPTED, FLAG_READONLY, LABEL_SIZE, Partition, ROW_SIZE, TABLE_SIZE};
use crate::digest::md5;
use crate::err::{EspErr, Fault};

/// The first two bytes of a row (`ESP_PARTITION_MAGIC`, 0x50AA).
pub const MAGIC: [u8; 2] = [0xAA, 0x50];
/// The first two bytes of the MD5 row (`ESP_PARTITION_MAGIC_MD5`, 0xEBEB).
pub const MAGIC_MD5: [u8; 2] = [0xEB, 0xEB];
/// Where the digest stands in the MD5 row.
const MD5_OFFSET: usize = 16;

/// The 32 bytes of one row, whatever they are.
#[derive(Clone, Copy)]
pub(super) struct Row<'a>(&'a [u8]);

/// The whole rows in some bytes.
pub(super) fn rows(data: &[u8]) -> impl ExactSizeIterator<Item = Row<'_>> {
    data.chunks_exact(ROW_SIZE).map(Row)
}

impl Row<'_> {
    pub(super) fn magic(self) -> [u8; 2] {
        self.at(0)
    }

    pub(super) fn ptype(self) -> u8 {
        u8::from_le_bytes(self.at(2))
    }

    pub(super) fn subtype(self) -> u8 {
        u8::from_le_bytes(self.at(3))
    }

    /// The digest of an MD5 row.
    pub(super) fn digest(self) -> [u8; 16] {
        self.at(MD5_OFFSET)
    }

    /// The fields as they stand; the magic is the caller's business.
    pub(super) fn partition(self) -> Partition {
        let label: [u8; LABEL_SIZE] = self.at(12);
        Partition {
            label: label.split(|&byte| byte == 0).next().unwrap_or_default().to_vec(),
            ptype: self.ptype(),
            subtype: self.subtype(),
            offset: u32::from_le_bytes(self.at(4)),
            size: u32::from_le_bytes(self.at(8)),
            flags: u32::from_le_bytes(self.at(28)),
        }
    }

    fn at<const N: usize>(self, offset: usize) -> [u8; N] {
        self.0.get(offset..).and_then(|rest| rest.first_chunk()).copied().unwrap_or([0; N])
    }
}

/// Bytes as the messages show them.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
}

/// `PartitionDefinition.to_binary`: the label is cut to 16 bytes, flag bits without a name are dropped.
pub fn row(partition: &Partition) -> [u8; ROW_SIZE] {
    let mut label = [0; LABEL_SIZE];
    label.iter_mut().zip(&partition.label).for_each(|(to, from)| *to = *from);
    let parts: [&[u8]; 6] = [
        &MAGIC,
        &[partition.ptype, partition.subtype],
        &partition.offset.to_le_bytes(),
        &partition.size.to_le_bytes(),
        &label,
        &(partition.flags & (FLAG_ENCRYPTED | FLAG_READONLY)).to_le_bytes(),
    ];
    let mut bytes = [0; ROW_SIZE];
    bytes.iter_mut().zip(parts.into_iter().flatten()).for_each(|(to, from)| *to = *from);
    bytes
}

/// `PartitionTable.to_binary`: the rows, the MD5 row, 0xFF up to 3072 bytes. At most 94 rows leave room for an end row.
///
/// Without the MD5 row (`--disable-md5sum`) it is one more.
pub fn to_bytes(rows: &[Partition], with_md5: bool) -> Result<Vec<u8>, Fault> {
    let mut bytes: Vec<u8> = rows.iter().flat_map(row).collect();
    let sum = usize::from(with_md5);
    if bytes.len() + sum * ROW_SIZE >= TABLE_SIZE {
        let most = TABLE_SIZE / ROW_SIZE - 1 - sum;
        let found = format!("{} rows", rows.len());
        let expected = format!("at most {most}, besides the MD5 row and the end row");
        return Err(Fault::new(EspErr::InvalidSize, "number of rows", 0, found, expected));
    }
    if with_md5 {
        let digest = md5(&bytes);
        bytes.extend(MAGIC_MD5);
        bytes.resize(bytes.len() + MD5_OFFSET - MAGIC_MD5.len(), 0xFF);
        bytes.extend(digest);
    }
    bytes.resize(TABLE_SIZE, 0xFF);
    Ok(bytes)
}

/// `PartitionTable.from_binary`: rows up to one of 0xFF.
///
/// More lenient than a device: rows after the MD5 row count, and a second MD5 row passes, because only rows are summed. More
/// strict: the end row is 0xFF throughout, and labels are UTF-8.
///
/// Without `with_md5` (`--disable-md5sum`) an MD5 row is a row of unknown magic.
pub fn from_bytes(data: &[u8], with_md5: bool) -> Result<Vec<Partition>, Fault> {
    let mut found = Vec::new();
    let mut sum = Md5::new();
    for (index, row) in rows(data).enumerate() {
        let refused = |rule: &str, found: String, expected: &str| {
            Err(Fault::new(EspErr::InvalidState, format!("row {index}: {rule}"), place(index), found, expected))
        };
        if row.0.iter().all(|&byte| byte == 0xFF) {
            return Ok(found);
        }
        if with_md5 && row.magic() == MAGIC_MD5 {
            let computed: [u8; 16] = sum.clone().finalize().into();
            if computed != row.digest() {
                let expected = format!("{}, the MD5 of the rows before it", hex(&computed));
                return refused("MD5", hex(&row.digest()), &expected);
            }
            continue;
        }
        if row.magic() != MAGIC {
            return refused("Invalid magic bytes", hex(&row.magic()), "aa50, ebeb in the MD5 row, or 32 bytes of ff");
        }
        sum.update(row.0);
        let partition = row.partition();
        if std::str::from_utf8(&partition.label).is_err() {
            return refused("label", hex(&partition.label), "UTF-8");
        }
        found.push(partition);
    }
    let count = rows(data).len();
    if data.len() % ROW_SIZE == 0 {
        let found = format!("{count} rows and no end");
        return Err(Fault::new(EspErr::InvalidState, "end of table", place(count), found, "a row of 32 bytes of ff"));
    }
    let found = format!("{} bytes", data.len());
    Err(Fault::new(EspErr::InvalidSize, "length of table", place(count), found, "a multiple of 32 bytes"))
}

/// Where a row stands in the table, in bytes.
pub(super) fn place(index: usize) -> u64 {
    (index * ROW_SIZE) as u64
}

/// The bytes of the rows before one that exists.
pub(super) fn before(data: &[u8], index: usize) -> &[u8] {
    data.get(..index * ROW_SIZE).unwrap_or_default()
}
