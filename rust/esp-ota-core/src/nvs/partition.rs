//! The API of one initialised partition (`nvs_flash.h`, `nvs.h`).

use super::crypt::Keys;
use super::entry::{ItemType, Key, text};
use super::medium::{Disk, Rules};
use super::refused;
use super::report::{EntryInfo, PageInfo, Stats};
use super::storage::Storage;
use super::value::Value;
use crate::err::{EspErr, Failure};
use crate::flash::Flash;
use crate::partition::Partition;

/// `nvs_open_mode_t`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Mode {
    /// `NVS_READONLY`.
    ReadOnly,
    /// `NVS_READWRITE`.
    ReadWrite,
    /// `NVS_READWRITE_PURGE`: what dies is overwritten with zeros.
    Purge,
}

/// An open namespace (`NVSHandleSimple`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Handle {
    ns: u8,
    mode: Mode,
}

/// An initialised partition: the RAM of a running app. A reset loses it.
pub struct NvsPartition {
    disk: Disk,
    storage: Storage,
}

impl NvsPartition {
    /// `nvs_flash_init_partition_ptr`: read all pages and repair what a power cut left.
    pub fn init(flash: &mut Flash, partition: &Partition, rules: Rules, keys: Option<&Keys>) -> Result<Self, Failure> {
        if partition.encrypted() {
            let (found, expected) = ("the flag encrypted", "none: NVS has its own encryption");
            let address = partition.offset.into();
            return Err(refused(EspErr::NvsWrongEncryption, "NVS partition", address, found, expected));
        }
        let disk = Disk::new(partition.clone(), rules, keys);
        let storage = Storage::init(&mut disk.on(flash)?, disk.partition.size)?;
        Ok(Self { disk, storage })
    }

    /// `nvs_open_from_partition`.
    pub fn open(&mut self, flash: &mut Flash, name: &[u8], mode: Mode) -> Result<Handle, Failure> {
        let write = mode != Mode::ReadOnly;
        if write && self.disk.partition.readonly() {
            let address = self.disk.partition.offset.into();
            return Err(refused(EspErr::NotAllowed, "NVS partition", address, "readonly", "a writable partition"));
        }
        let ns = self.storage.open(&mut self.disk.on(flash)?, name, write)?;
        Ok(Handle { ns, mode })
    }

    /// `nvs_set_*`.
    pub fn set(&mut self, flash: &mut Flash, handle: Handle, key: &[u8], value: &Value) -> Result<(), Failure> {
        self.check_write(handle)?;
        let address = self.disk.partition.offset.into();
        if value.is_nan() {
            return Err(refused(EspErr::InvalidArg, "NVS value", address, "NaN", "a number"));
        }
        let kind = value.kind();
        if matches!(kind, ItemType::Float | ItemType::Double) && !self.disk.rules.floats {
            return Err(refused(EspErr::NotSupported, "NVS type", address, kind.name(), "a type of this release"));
        }
        let medium = &mut self.disk.on(flash)?;
        self.storage.set(medium, handle.ns, &Key::new(key), kind, &value.to_bytes(), handle.mode == Mode::Purge)
    }

    /// `nvs_get_*`: a blob of either format version under [`ItemType::Blob`].
    pub fn get(&mut self, flash: &mut Flash, handle: Handle, key: &[u8], kind: ItemType) -> Result<Value, Failure> {
        self.storage.get(&mut self.disk.on(flash)?, handle.ns, &Key::new(key), kind)
    }

    /// `nvs_find_key`: both formats of a blob are [`ItemType::BlobData`].
    pub fn find_key(&mut self, flash: &mut Flash, handle: Handle, key: &[u8]) -> Result<ItemType, Failure> {
        let kind = self.storage.find_key(&mut self.disk.on(flash)?, handle.ns, &Key::new(key))?;
        Ok(if matches!(kind, ItemType::Blob | ItemType::BlobIdx) { ItemType::BlobData } else { kind })
    }

    /// `nvs_erase_key`.
    pub fn erase_key(&mut self, flash: &mut Flash, handle: Handle, key: &[u8]) -> Result<(), Failure> {
        self.check_write(handle)?;
        let purge = handle.mode == Mode::Purge;
        self.storage.erase_key(&mut self.disk.on(flash)?, handle.ns, &Key::new(key), purge)
    }

    /// `nvs_erase_all`.
    pub fn erase_all(&mut self, flash: &mut Flash, handle: Handle) -> Result<(), Failure> {
        self.check_write(handle)?;
        self.storage.erase_all(&mut self.disk.on(flash)?, handle.ns, handle.mode == Mode::Purge)
    }

    /// `nvs_purge_all`.
    pub fn purge_all(&mut self, flash: &mut Flash, handle: Handle) -> Result<(), Failure> {
        self.check_write(handle)?;
        if !self.disk.rules.purge {
            let (found, expected) = ("a release before v6.0.1", "one with nvs_purge_all");
            let address = self.disk.partition.offset.into();
            return Err(refused(EspErr::NotSupported, "NVS purge", address, found, expected));
        }
        self.storage.purge_all(&mut self.disk.on(flash)?, handle.ns)
    }

    /// `nvs_get_used_entry_count`.
    pub fn used_entries(&mut self, flash: &mut Flash, handle: Handle) -> Result<usize, Failure> {
        self.storage.used_entries(&mut self.disk.on(flash)?, handle.ns)
    }

    /// `nvs_entry_find` to the last `nvs_entry_next`. A namespace that does not exist has no entries.
    pub fn entries(&mut self, flash: &mut Flash, namespace: Option<&[u8]>) -> Result<Vec<EntryInfo>, Failure> {
        let medium = &mut self.disk.on(flash)?;
        let ns = match namespace {
            Some(name) => match super::found(self.storage.open(medium, name, false).map(Some))? {
                Some(ns) => Some(ns),
                None => return Ok(Vec::new()),
            },
            None => None,
        };
        self.storage.entries(medium, ns)
    }

    /// `nvs_get_stats`.
    pub fn stats(&mut self, flash: &mut Flash) -> Result<Stats, Failure> {
        self.storage.stats(&self.disk.on(flash)?)
    }

    /// The namespaces and their numbers, in the order they were read.
    pub fn namespaces(&self) -> impl Iterator<Item = (&[u8], u8)> {
        self.storage.namespaces.iter().map(|(name, index)| (text(&name.field), *index))
    }

    /// The pages by address, as RAM knows them.
    pub fn pages(&self) -> Vec<PageInfo> {
        self.storage.page_infos()
    }

    fn check_write(&self, handle: Handle) -> Result<(), Failure> {
        if handle.mode == Mode::ReadOnly {
            let address = self.disk.partition.offset.into();
            return Err(refused(EspErr::NvsReadOnly, "NVS handle", address, "read-only", "one opened for writing"));
        }
        Ok(())
    }
}
