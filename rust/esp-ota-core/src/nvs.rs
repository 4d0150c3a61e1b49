//! Non-volatile storage on flash: pages, entries, blobs, garbage collection and recovery, operation by operation.
//!
//! [`NvsPartition`] is what a running app holds in RAM after `nvs_flash_init` (components/nvs_flash): the list of pages and
//! their hash lists. It is lost at a reset; only the flash stays. Every change is a few programs and erases in upstream's
//! order, so a power cut between (or inside) any two of them leaves what the chip would have left.

mod bitmap;
mod blob;
mod crypt;
mod entry;
mod init;
mod load;
mod lookup;
mod medium;
mod page;
mod pages;
mod partition;
mod report;
mod storage;
mod value;

pub use crypt::{KEY_PARTITION_SIZE, Keys, generate_keys, read_keys, write_keys};
pub use entry::ItemType;
pub use medium::Rules;
pub use page::PageState;
pub use partition::{Handle, Mode, NvsPartition};
pub use report::{EntryInfo, PageInfo, Stats};
pub use value::Value;

use medium::Medium;

use crate::err::{EspErr, Failure, Fault};

/// Bytes of a page: one flash sector.
pub const PAGE: u32 = 4096;
/// Entries of a page.
pub const ENTRY_COUNT: usize = 126;
/// Bytes of an entry.
pub const ENTRY: usize = 32;
/// The longest key or namespace name in bytes (`NVS_KEY_NAME_MAX_SIZE` without the terminator).
pub const MAX_KEY: usize = 15;
/// Most data one item may have in one page (`Page::CHUNK_MAX_SIZE`).
pub const CHUNK_MAX: usize = 125 * ENTRY;

/// The version byte of pages that this code creates (`Page::NVS_VERSION`); versions count down.
const VERSION: u8 = 0xFE;
/// Where the entry states and the entries of a page begin.
const BITMAP_OFFSET: u32 = 32;
const ENTRIES_OFFSET: u32 = 64;
/// No chunk in particular (`Page::CHUNK_ANY`), and the chunk byte of all that are no chunks.
const CHUNK_ANY: u8 = 0xFF;
/// `VerOffset::VER_1_OFFSET`: the first chunk of every second version of a blob.
const VER_1: u8 = 0x80;
/// An index that is none (`Page::INVALID_ENTRY`).
const NONE: usize = usize::MAX;

/// The CRC of headers, entries and data (`esp_rom_crc32_le(UINT32_MAX, ...)`).
fn crc32(parts: &[&[u8]]) -> u32 {
    let mut hasher = crc32fast::Hasher::new_with_initial(u32::MAX);
    for part in parts {
        hasher.update(part);
    }
    hasher.finalize()
}

/// A refusal that NVS itself makes.
fn refused(err: EspErr, field: &str, offset: u64, found: impl Into<String>, expected: impl Into<String>) -> Failure {
    Fault::new(err, field, offset, found, expected).into()
}

/// What upstream answers with `NVS_ASSERT_OR_RETURN`.
fn broken(medium: &Medium<'_>, offset: u32, field: &str, found: String, expected: &str) -> Failure {
    refused(EspErr::Fail, field, medium.address(offset), found, expected)
}

/// What is there, where upstream takes every error of a page for "not found". A power loss is none and goes on upwards.
fn found<T>(result: Result<Option<T>, Failure>) -> Result<Option<T>, Failure> {
    match result {
        Err(Failure::Fault(_)) => Ok(None),
        other => other,
    }
}
