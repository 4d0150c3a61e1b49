//! An image in flash, followed to its signature sector.

use sha2::{Digest, Sha256, Sha384};

use super::Scheme;
use crate::efuse::EFuse;
use crate::err::{EspErr, Failure};
use crate::flash::SECTOR;
use crate::image::{Build, Mode, Options, Request, verify};
use crate::source::Source;

/// What a signature is about: its sector, and the digest of the bytes before it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signed {
    /// The flash address of the image.
    pub offset: u32,
    /// The 4096 bytes behind the image, at the next boundary of a sector.
    pub sector: Vec<u8>,
    /// The digest of everything before it, as the scheme takes it.
    pub digest: Vec<u8>,
}

impl Signed {
    /// The image in `region` (address and size), followed to its end as `esp_image_get_metadata` does.
    ///
    /// The inner error is the code for an image that cannot be followed, or that ends where no sector is left.
    pub fn behind<S: Source + ?Sized>(
        flash: &S,
        region: (u32, u32),
        scheme: Scheme,
        efuse: &EFuse,
    ) -> Result<Result<Self, EspErr>, Failure> {
        let (offset, size) = region;
        let (efuse, options) = (efuse.clone(), Options::default());
        let verdict =
            verify(flash, &Request { offset, size, build: Build::App, mode: Mode::Metadata, efuse, options })?;
        if verdict.err != EspErr::Ok {
            return Ok(Err(verdict.err));
        }
        let length = u64::from(verdict.image_len).next_multiple_of(SECTOR as u64);
        let mut sector = vec![0; SECTOR];
        if flash.read(u64::from(offset) + length, &mut sector)? < SECTOR {
            return Ok(Err(EspErr::Fail));
        }
        let digest = if scheme.sha384() {
            hashed::<Sha384, S>(flash, u64::from(offset), length)?
        } else {
            hashed::<Sha256, S>(flash, u64::from(offset), length)?
        };
        Ok(Ok(Self { offset, sector, digest }))
    }
}

/// The digest of `length` bytes from `from` on.
pub(crate) fn hashed<D: Digest, S: Source + ?Sized>(flash: &S, from: u64, length: u64) -> Result<Vec<u8>, Failure> {
    let (mut sha, mut done) = (D::new(), 0);
    while done < length {
        let limit = usize::try_from(length - done).unwrap_or(SECTOR).min(SECTOR);
        let run = flash.run(from + done, limit)?;
        if run.is_empty() {
            break;
        }
        sha.update(run);
        done += run.len() as u64;
    }
    Ok(sha.finalize().to_vec())
}
