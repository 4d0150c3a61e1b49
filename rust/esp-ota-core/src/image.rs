//! The firmware image: what it is made of, what is wrong with it, and what the device says about it.
//!
//! Layout: header (24 bytes), up to 16 segments (8-byte header, then data) without gaps, fill up to a byte that ends a
//! block of 16 and holds the XOR of all segment data, and, when header byte 23 is set, SHA-256 of everything before it.

mod digest;
mod header;
mod inspect;
mod load;
mod memo;
mod older_revisions;
mod options;
mod request;
mod rules;
mod signed;
mod validity;
mod verify;
mod walk;

pub use header::{HEADER_SIZE, ImageHeader, SEGMENT_HEADER_SIZE, Segment, SegmentHeader, SegmentKind};
pub use inspect::{ImageInfo, ImageKind, inspect};
pub use memo::{Memo, remembered, verify_on};
pub use options::{HEAD, IdfVersion, Options, since};
pub use request::{Build, Mode, Request, Verdict};
pub use rules::{IMAGE_MAGIC, MAX_SEGMENTS, hex};
pub use validity::check_image_validity;
pub use verify::verify;

/// The image ends on a multiple of this, the checksum being the last byte.
pub const CHECKSUM_BLOCK: u32 = 16;

/// `ESP_IMAGE_HASH_LEN`: bytes of the appended SHA-256.
pub const HASH_LEN: usize = 32;
