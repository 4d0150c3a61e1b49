//! Values of one partition (`nvs::Storage`): namespaces, reading, writing, erasing.

use super::entry::{ItemType, Key};
use super::lookup::Query;
use super::medium::Medium;
use super::page::{NewItem, PageState};
use super::pages::{Hit, Pages, no_space};
use super::value::Value;
use super::{CHUNK_ANY, ENTRY_COUNT, VER_1, broken, found, refused};
use crate::err::{EspErr, Failure, Fault};

/// The namespace of the directory (`Page::NS_INDEX`).
const DIRECTORY: u8 = 0;

/// What an initialised partition holds in RAM.
pub(super) struct Storage {
    pub(super) pages: Pages,
    /// The directory in the order it was read: name and index.
    pub(super) namespaces: Vec<(Key, u8)>,
}

impl Storage {
    /// The part of `Storage::init` that reads the directory.
    pub(super) fn load_namespaces(&mut self, medium: &mut Medium<'_>) -> Result<(), Failure> {
        let query = Query { ns: Some(DIRECTORY), kind: Some(ItemType::U8), ..Query::ALL };
        for page in &mut self.pages.live {
            let mut from = 0;
            while let Some((index, entry)) = found(page.find(medium, from, &query))? {
                self.namespaces.push((Key::new(&entry.key()), entry.data()[0]));
                from = index + entry.span().max(1);
            }
        }
        Ok(())
    }

    /// `Storage::createOrOpenNamespace`.
    pub(super) fn open(&mut self, medium: &mut Medium<'_>, name: &[u8], create: bool) -> Result<u8, Failure> {
        let key = Key::new(name);
        if let Some((_, index)) = self.namespaces.iter().find(|(known, _)| known.field == key.field) {
            return Ok(*index);
        }
        if !create {
            return Err(not_found(medium, "NVS namespace", name));
        }
        let taken = |index: u8| self.namespaces.iter().any(|&(_, used)| used == index);
        let Some(index) = (1..=254).find(|&index| !taken(index)) else {
            return Err(no_space(medium, "254 namespaces"));
        };
        self.set(medium, DIRECTORY, &key, ItemType::U8, &[index], false)?;
        self.namespaces.push((key, index));
        Ok(index)
    }

    /// `Storage::writeItem`: the new value first, then the old one dies.
    pub(super) fn set(
        &mut self,
        medium: &mut Medium<'_>,
        ns: u8,
        key: &Key,
        kind: ItemType,
        data: &[u8],
        purge: bool,
    ) -> Result<(), Failure> {
        let any = Query::of(ns, key);
        let is_blob = kind == ItemType::Blob;
        let same = self.pages.find(medium, &any.kind(if is_blob { ItemType::BlobIdx } else { kind }))?;
        let old = match same {
            Some(hit) => Some(hit),
            None if medium.rules().replace_type => self.pages.find(medium, &any)?,
            None if is_blob => self.pages.find(medium, &any.kind(ItemType::Blob))?,
            None => None,
        };
        if is_blob {
            let mut start = 0;
            if let Some(hit) = same {
                if self.is_blob(medium, ns, key, &hit, data)? {
                    return Ok(());
                }
                start = match hit.entry.chunk_start() {
                    0 => VER_1,
                    VER_1 => 0,
                    other => return Err(broken(medium, 0, "chunk start", format!("0x{other:02x}"), "0x00 or 0x80")),
                };
            }
            self.write_blob(medium, ns, key, data, start, purge)?;
        } else {
            if let Some(hit) = same {
                if self.holds(medium, &hit, data)? {
                    return Ok(());
                }
            }
            self.write_whole(medium, &NewItem { ns, kind, key, chunk: CHUNK_ANY, data })?;
        }
        match old {
            Some(old) => self.erase_old(medium, ns, key, &old, purge).map_err(remove_failed),
            None => Ok(()),
        }
    }

    fn holds(&self, medium: &mut Medium<'_>, hit: &Hit, data: &[u8]) -> Result<bool, Failure> {
        match self.pages.live.get(hit.place) {
            // A flash error counts as a difference.
            Some(page) => Ok(found(page.holds(medium, hit.index, &hit.entry, data).map(Some))?.unwrap_or(false)),
            None => Ok(false),
        }
    }

    /// An item that has to lie in one page.
    fn write_whole(&mut self, medium: &mut Medium<'_>, item: &NewItem<'_>) -> Result<(), Failure> {
        if self.pages.current(medium)?.write_item(medium, item)? {
            return Ok(());
        }
        self.next_page(medium)?;
        if self.pages.current(medium)?.write_item(medium, item)? {
            return Ok(());
        }
        Err(no_space(medium, "a page moved together without enough room"))
    }

    /// The current page takes no more.
    pub(super) fn next_page(&mut self, medium: &mut Medium<'_>) -> Result<(), Failure> {
        let page = self.pages.current(medium)?;
        if page.state != PageState::Full {
            page.mark_full(medium)?;
        }
        self.pages.request(medium)
    }

    fn erase_old(&mut self, medium: &mut Medium<'_>, ns: u8, key: &Key, old: &Hit, purge: bool) -> Result<(), Failure> {
        if old.is_index() {
            return self.erase_blob(medium, ns, key, Some(old.entry.chunk_start()), purge);
        }
        if let Some(place) = self.pages.place_of(old) {
            return self.pages.erase(medium, &Hit { place, ..*old }, purge);
        }
        let query = Query { kind: old.entry.kind(), ..Query::of(ns, key) };
        match self.pages.find(medium, &query)? {
            Some(hit) => self.pages.erase(medium, &hit, purge),
            None => Err(not_found(medium, "NVS key", &key.field)),
        }
    }

    /// `Storage::readItem` with `Storage::getItemDataSize` before it.
    pub(super) fn get(&mut self, medium: &mut Medium<'_>, ns: u8, key: &Key, kind: ItemType) -> Result<Value, Failure> {
        let missing = |medium: &Medium<'_>| not_found(medium, "NVS key", &key.field);
        if kind == ItemType::Blob {
            if let Some(data) = self.read_blob(medium, ns, key)? {
                return Ok(Value::Blob(data));
            }
        }
        let Some(hit) = self.pages.find(medium, &Query::of(ns, key).kind(kind))? else {
            return Err(missing(medium));
        };
        if let Some(value) = Value::scalar(kind, hit.entry.data()) {
            return Ok(value);
        }
        let Some(page) = self.pages.live.get_mut(hit.place) else {
            return Err(missing(medium));
        };
        match page.take_data(medium, hit.index, &hit.entry)? {
            Some(data) if kind == ItemType::Str => Ok(Value::text(data)),
            Some(data) => Ok(Value::Blob(data)),
            None => Err(missing(medium)),
        }
    }

    /// `Storage::findKey`: the type under a key.
    pub(super) fn find_key(&mut self, medium: &mut Medium<'_>, ns: u8, key: &Key) -> Result<ItemType, Failure> {
        let hit = self.pages.find(medium, &Query::of(ns, key))?;
        hit.and_then(|hit| hit.entry.kind()).ok_or_else(|| not_found(medium, "NVS key", &key.field))
    }

    /// `Storage::eraseItem`: the first entry of a key, whatever its type.
    pub(super) fn erase_key(&mut self, medium: &mut Medium<'_>, ns: u8, key: &Key, purge: bool) -> Result<(), Failure> {
        match self.pages.find(medium, &Query::of(ns, key))? {
            Some(hit) if hit.is_index() => self.erase_blob(medium, ns, key, Some(hit.entry.chunk_start()), purge),
            Some(hit) => self.pages.erase(medium, &hit, purge),
            None => Err(not_found(medium, "NVS key", &key.field)),
        }
    }

    /// `Storage::eraseNamespace`: all items, page by page. The directory keeps its entry.
    pub(super) fn erase_all(&mut self, medium: &mut Medium<'_>, ns: u8, purge: bool) -> Result<(), Failure> {
        let query = Query { ns: Some(ns), ..Query::ALL };
        for page in &mut self.pages.live {
            while page.erase_item(medium, &query, purge)? {}
        }
        Ok(())
    }

    /// `Storage::purgeNamespace`: overwrite what was erased before.
    pub(super) fn purge_all(&mut self, medium: &mut Medium<'_>, ns: u8) -> Result<(), Failure> {
        for page in &mut self.pages.live {
            page.purge_erased(medium, ns)?;
        }
        Ok(())
    }

    /// `Storage::calcEntriesInNamespace`.
    pub(super) fn used_entries(&mut self, medium: &mut Medium<'_>, ns: u8) -> Result<usize, Failure> {
        let query = Query { ns: Some(ns), ..Query::ALL };
        let mut used = 0;
        for page in &mut self.pages.live {
            let mut from = 0;
            while let Some((index, entry)) = page.find(medium, from, &query)? {
                used += entry.span();
                from = (index + entry.span().max(1)).min(ENTRY_COUNT);
            }
        }
        Ok(used)
    }
}

/// A flash that refuses to erase the old value (ESP_ERR_NVS_REMOVE_FAILED); the new one is there.
fn remove_failed(failure: Failure) -> Failure {
    match failure {
        Failure::Fault(fault) if fault.err == EspErr::FlashOpFail => {
            Fault { err: EspErr::NvsRemoveFailed, ..fault }.into()
        }
        other => other,
    }
}

pub(super) fn not_found(medium: &Medium<'_>, field: &str, name: &[u8]) -> Failure {
    let name = name.split(|&byte| byte == 0).next().unwrap_or_default();
    let expected = format!("{:?}", String::from_utf8_lossy(name));
    refused(EspErr::NvsNotFound, field, medium.address(0), "none", expected)
}
