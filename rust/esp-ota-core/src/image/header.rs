//! The parts of an image, decoded without judging.

use crate::err::{EspErr, Fault};
use crate::target::Target;

/// `sizeof(esp_image_header_t)`.
pub const HEADER_SIZE: usize = 24;

/// `sizeof(esp_image_segment_header_t)`.
pub const SEGMENT_HEADER_SIZE: usize = 8;

/// `esp_image_header_t` (components/bootloader_support/include/esp_app_format.h).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "the fields are ESP-IDF's own")]
pub struct ImageHeader {
    pub magic: u8,
    pub segment_count: u8,
    pub spi_mode: u8,
    pub spi_speed: u8,
    pub spi_size: u8,
    pub entry_addr: u32,
    pub wp_pin: u8,
    pub spi_pin_drv: [u8; 3],
    pub chip_id: u16,
    pub min_chip_rev: u8,
    pub min_chip_rev_full: u16,
    pub max_chip_rev_full: u16,
    /// Any value but 0 means that a SHA-256 follows the image.
    pub hash_appended: u8,
}

impl ImageHeader {
    /// Decode the first 24 bytes of `data`; refuses fewer.
    pub fn parse(data: &[u8]) -> Result<Self, Fault> {
        data.first_chunk().map(Self::decode).ok_or_else(|| {
            Fault::new(
                EspErr::InvalidSize,
                "image header",
                0,
                format!("{} bytes", data.len()),
                format!("{HEADER_SIZE} bytes"),
            )
        })
    }

    /// Any 24 bytes are a header. The two full revisions stand at odd offsets: the structure is packed.
    #[rustfmt::skip]
    pub fn decode(bytes: &[u8; HEADER_SIZE]) -> Self {
        let [
            magic, segment_count, spi_mode, speed_and_size,
            entry0, entry1, entry2, entry3,
            wp_pin, drive0, drive1, drive2,
            chip0, chip1, min_chip_rev, min0, min1, max0, max1,
            _, _, _, _, hash_appended,
        ] = *bytes;
        Self {
            magic,
            segment_count,
            spi_mode,
            spi_speed: speed_and_size & 0xF,
            spi_size: speed_and_size >> 4,
            entry_addr: u32::from_le_bytes([entry0, entry1, entry2, entry3]),
            wp_pin,
            spi_pin_drv: [drive0, drive1, drive2],
            chip_id: u16::from_le_bytes([chip0, chip1]),
            min_chip_rev,
            min_chip_rev_full: u16::from_le_bytes([min0, min1]),
            max_chip_rev_full: u16::from_le_bytes([max0, max1]),
            hash_appended,
        }
    }
}

/// `esp_image_segment_header_t`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SegmentHeader {
    /// Where the data belongs in the chip's address space.
    pub load_addr: u32,
    /// Bytes of data behind this header.
    pub data_len: u32,
}

impl SegmentHeader {
    /// Any 8 bytes are a segment header.
    pub fn decode(bytes: [u8; SEGMENT_HEADER_SIZE]) -> Self {
        let [a0, a1, a2, a3, l0, l1, l2, l3] = bytes;
        Self { load_addr: u32::from_le_bytes([a0, a1, a2, a3]), data_len: u32::from_le_bytes([l0, l1, l2, l3]) }
    }
}

/// What becomes of a segment at boot (`should_map`, `should_load`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SegmentKind {
    /// Stays in flash; the cache shows it at its address.
    Map,
    /// Copied to RAM.
    Load,
    /// Neither: filler, or a reserved address below 0x10000000.
    Padding,
}

impl SegmentKind {
    /// The kind that `load_addr` makes it on `target`, in a build with MMU pages of `page` bytes.
    ///
    /// Without a target nothing is known to be mapped.
    pub fn of(load_addr: u32, target: Option<&Target>, page: u32) -> Self {
        if target.is_some_and(|target| target.should_map(load_addr, page)) {
            Self::Map
        } else if load_addr < 0x1000_0000 {
            Self::Padding
        } else {
            Self::Load
        }
    }
}

/// One segment of an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Segment {
    /// Its place in the image, from 0.
    pub index: u8,
    /// Where the data belongs in the chip's address space.
    pub load_addr: u32,
    /// Bytes of data.
    pub length: u32,
    /// Where the data starts, from the start of the image.
    pub offset: u32,
    /// What becomes of it at boot.
    pub kind: SegmentKind,
}
