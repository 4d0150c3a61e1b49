//! Where a partition's bytes are: the flash, the row of the table, the keys, and the rules of the release.

use super::crypt::{Keys, Xts};
use super::{ENTRY, PAGE};
use crate::err::Failure;
use crate::flash::Flash;
use crate::partition::Partition;

/// What differs between releases of ESP-IDF, and options.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(clippy::struct_excessive_bools, reason = "each is one difference, none excludes another")]
pub struct Rules {
    /// Erased entries are overwritten with zeros where the caller or recovery asks for it (since v6.0.1).
    pub purge: bool,
    /// A value replaces one of another type under the same key (`!CONFIG_NVS_LEGACY_DUP_KEYS_COMPATIBILITY`).
    pub replace_type: bool,
    /// An unchanged blob of several chunks is written again: its chunks are compared with the start of the new data. So is
    /// an empty one: it is compared with a CRC whose computation never began, and which is taken to differ here.
    pub rewrite_blobs: bool,
    /// Init compares an index with the chunks that are there.
    pub check_index: bool,
    /// Init of a read-only partition leaves duplicates and a page that was being moved as they are (since v5.5).
    pub readonly_load: bool,
    /// Types float and double exist (since v6.1).
    pub floats: bool,
    /// Not as on the chip: init does not take the old chunk of a blob for a duplicate of the new one.
    pub repaired: bool,
}

impl Rules {
    /// The rules of a release.
    pub fn of(version: Release) -> Self {
        Self {
            purge: version >= (6, 0, 1),
            replace_type: has(version, &REPLACES_TYPE),
            rewrite_blobs: has(version, &COMPARES_CRCS),
            check_index: has(version, &CHECKS_INDEX),
            readonly_load: version >= (5, 5, 0),
            floats: version >= (6, 1, 0),
            repaired: false,
        }
    }
}

type Release = (u32, u32, u32);

/// The first patch of each branch; newer branches have it from their first release on.
const REPLACES_TYPE: [Release; 2] = [(5, 1, 7), (5, 2, 0)];
const COMPARES_CRCS: [Release; 6] = [(5, 1, 7), (5, 2, 7), (5, 3, 5), (5, 4, 4), (5, 5, 2), (6, 0, 0)];
const CHECKS_INDEX: [Release; 5] = [(4, 4, 8), (5, 0, 7), (5, 1, 4), (5, 2, 2), (5, 3, 0)];

/// Whether a release has what came to the branches with these ones.
fn has(version: Release, firsts: &[Release]) -> bool {
    match firsts.iter().find(|first| (first.0, first.1) == (version.0, version.1)) {
        Some(first) => version >= *first,
        None => firsts.last().is_some_and(|last| version > *last),
    }
}

impl Default for Rules {
    fn default() -> Self {
        Self::of((6, 2, 0))
    }
}

/// What stays the same from call to call.
pub(super) struct Disk {
    pub(super) partition: Partition,
    pub(super) rules: Rules,
    xts: Option<Xts>,
}

impl Disk {
    pub(super) fn new(partition: Partition, rules: Rules, keys: Option<&Keys>) -> Self {
        Self { partition, rules, xts: keys.map(Xts::new) }
    }

    /// One call's access. On a dead device no call begins, not even one that RAM could answer.
    pub(super) fn on<'a>(&'a self, flash: &'a mut Flash) -> Result<Medium<'a>, Failure> {
        flash.check_read(0, 0)?;
        Ok(Medium { flash, disk: self })
    }
}

/// One call's access. Offsets are bytes from the start of the partition.
pub(super) struct Medium<'a> {
    flash: &'a mut Flash,
    disk: &'a Disk,
}

impl Medium<'_> {
    pub(super) fn rules(&self) -> Rules {
        self.disk.rules
    }

    pub(super) fn readonly(&self) -> bool {
        self.disk.partition.readonly()
    }

    /// The flash address of an offset, for messages.
    pub(super) fn address(&self, offset: u32) -> u64 {
        u64::from(self.disk.partition.offset) + u64::from(offset)
    }

    /// `Partition::read_raw`.
    pub(super) fn read_raw(&mut self, offset: u32, out: &mut [u8]) -> Result<(), Failure> {
        let address = self.disk.partition.check_read(self.flash, offset.into(), out.len() as u64)?;
        self.flash.read(address, out)
    }

    /// Whether a page is erased; asked before it is trusted to be.
    pub(super) fn is_blank(&mut self, offset: u32) -> Result<bool, Failure> {
        let address = self.disk.partition.check_read(self.flash, offset.into(), PAGE.into())?;
        self.flash.is_erased(address, PAGE.into())
    }

    /// `Partition::read`: one entry, decrypted.
    pub(super) fn read_entry(&mut self, offset: u32) -> Result<[u8; ENTRY], Failure> {
        let mut entry = [0; ENTRY];
        self.read_raw(offset, &mut entry)?;
        if let Some(xts) = &self.disk.xts {
            xts.decrypt(offset, &mut entry);
        }
        Ok(entry)
    }

    /// `Partition::write_raw`.
    pub(super) fn write_raw(&mut self, offset: u32, data: &[u8]) -> Result<(), Failure> {
        self.disk.partition.write(self.flash, offset.into(), data)
    }

    /// `Partition::write`: whole entries, each encrypted by itself, programmed in one go.
    pub(super) fn write_entries(&mut self, offset: u32, data: &[u8]) -> Result<(), Failure> {
        let Some(xts) = &self.disk.xts else {
            return self.write_raw(offset, data);
        };
        let mut cipher = data.to_vec();
        for (at, entry) in (offset..).step_by(ENTRY).zip(cipher.chunks_exact_mut(ENTRY)) {
            xts.encrypt(at, entry);
        }
        self.write_raw(offset, &cipher)
    }

    /// `Partition::erase_range` of one page.
    pub(super) fn erase_page(&mut self, offset: u32) -> Result<(), Failure> {
        self.disk.partition.erase_range(self.flash, offset.into(), PAGE.into())
    }
}
