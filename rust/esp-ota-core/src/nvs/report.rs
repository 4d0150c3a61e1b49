//! Looking at a partition as a whole: the iterator, the statistics, the pages.

use super::bitmap::Code;
use super::entry::{ItemType, text};
use super::lookup::Query;
use super::medium::Medium;
use super::page::{Page, PageState};
use super::storage::Storage;
use super::{ENTRY_COUNT, VER_1, found, refused};
use crate::err::{EspErr, Failure};

/// `nvs_entry_info_t`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct EntryInfo {
    /// The namespace; empty when the directory does not know it.
    pub namespace: Vec<u8>,
    /// The key.
    pub key: Vec<u8>,
    /// The type; every blob is [`ItemType::BlobData`].
    pub kind: ItemType,
}

/// `nvs_stats_t`, in entries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Stats {
    /// Written entries, headers and data.
    pub used: usize,
    /// All others, erased ones too.
    pub free: usize,
    /// Free ones without the page that is kept for moving.
    pub available: usize,
    /// 126 for each page.
    pub total: usize,
    /// Namespaces in the directory.
    pub namespaces: usize,
}

/// One page.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PageInfo {
    /// Bytes from the start of the partition.
    pub offset: u32,
    /// Its state.
    pub state: PageState,
    /// Its sequence number; `None` for a page that is not in use.
    pub seq: Option<u32>,
    /// 0xFE, or 0xFF for a page of format version 1.
    pub version: u8,
    /// Written entries.
    pub used: usize,
    /// Erased entries.
    pub erased: usize,
}

impl Page {
    /// `Page::purgeErasedItems`: zeros over the erased items of a namespace whose headers are still legible.
    pub(super) fn purge_erased(&mut self, medium: &mut Medium<'_>, ns: u8) -> Result<(), Failure> {
        let mut index = 0;
        while let Some(at) = self.codes.first(index, ENTRY_COUNT, Code::Erased) {
            index = at + 1;
            let entry = self.read_entry(medium, at)?;
            if entry.is_header(at, medium.rules().floats) && entry.ns() == ns {
                index = at + entry.span();
                self.zero(medium, at, entry.span())?;
            }
        }
        Ok(())
    }
}

impl Storage {
    /// `nvs_entry_find` and `nvs_entry_next` to the end: values in page order, without those of format version 1 blobs.
    pub(super) fn entries(&mut self, medium: &mut Medium<'_>, ns: Option<u8>) -> Result<Vec<EntryInfo>, Failure> {
        let query = Query { ns, ..Query::ALL };
        let mut entries = Vec::new();
        for page in &mut self.pages.live {
            let mut from = 0;
            while let Some((index, entry)) = found(page.find(medium, from, &query))? {
                from = index + entry.span().max(1);
                let Some(kind) = entry.kind() else { continue };
                let shown = match kind {
                    ItemType::Blob | ItemType::BlobIdx => false,
                    ItemType::BlobData => matches!(entry.chunk(), 0 | VER_1),
                    _ => true,
                };
                if shown && entry.ns() != 0 {
                    let name = self.namespaces.iter().find(|&&(_, index)| index == entry.ns());
                    let namespace = name.map(|(name, _)| text(&name.field).to_vec()).unwrap_or_default();
                    entries.push(EntryInfo { namespace, key: text(&entry.key()).to_vec(), kind });
                }
            }
        }
        Ok(entries)
    }

    /// `nvs_get_stats`.
    pub(super) fn stats(&self, medium: &Medium<'_>) -> Result<Stats, Failure> {
        let mut stats = Stats { namespaces: self.namespaces.len(), ..Stats::default() };
        for page in &self.pages.live {
            let err = match page.state {
                PageState::Freeing => EspErr::Fail,
                PageState::Invalid => EspErr::InvalidState,
                _ => EspErr::Ok,
            };
            if err != EspErr::Ok {
                let address = medium.address(page.base);
                return Err(refused(err, "NVS page", address, page.state.name(), "a page that can be counted"));
            }
            stats.used += page.used;
        }
        stats.total = ENTRY_COUNT * self.pages.count();
        stats.free = stats.total.saturating_sub(stats.used);
        stats.available = stats.free.saturating_sub(ENTRY_COUNT);
        Ok(stats)
    }

    pub(super) fn page_infos(&self) -> Vec<PageInfo> {
        let mut infos: Vec<_> = self.pages.live.iter().chain(&self.pages.free).map(info).collect();
        infos.sort_by_key(|info| info.offset);
        infos
    }
}

fn info(page: &Page) -> PageInfo {
    let Page { base, state, version, used, erased, .. } = *page;
    PageInfo { offset: base, state, seq: page.is_live().then_some(page.seq), version, used, erased }
}
