//! Verdicts remembered: one is kept while the sectors it was made of are unchanged, and only then.
//!
//! The flash shares its content in reference-counted pieces, and whoever holds a piece forces a writer to copy it first. So
//! a verdict holds the pieces it has seen: as long as the flash still has the very same ones, not a bit has changed.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use super::request::{Request, Verdict};
use super::verify::judge;
use crate::crypt::FlashCrypt;
use crate::err::Failure;
use crate::flash::{Flash, Pieces};

/// Verdicts kept. A device asks about few images in few ways; a sweep over its power cuts about little more.
const KEPT: usize = 16;

struct Known {
    request: Request,
    seen: (u64, u64),
    pieces: Pieces,
    /// The same bytes mean something else to another engine.
    engine: Option<FlashCrypt>,
    verdict: Arc<Verdict>,
}

/// The verdicts over one flash and its forks.
#[derive(Clone, Default)]
pub struct Memo(Arc<Mutex<VecDeque<Known>>>);

impl Memo {
    fn find(&self, flash: &Flash, request: &Request) -> Option<Arc<Verdict>> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let matches = |known: &Known| {
            &known.request == request
                && known.engine.as_ref() == flash.encryption()
                && flash.has(&known.pieces, known.seen)
        };
        let index = known.iter().position(matches)?;
        let found = known.remove(index)?;
        let verdict = Arc::clone(&found.verdict);
        flash.needs(found.seen);
        known.push_front(found);
        Some(verdict)
    }

    fn keep(&self, known: Known) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.truncate(KEPT - 1);
        all.push_front(known);
    }
}

/// The verdict, if it was given before over the very same bytes. A flash without power remembers nothing.
pub fn remembered(flash: &Flash, request: &Request) -> Option<Arc<Verdict>> {
    flash.memo().find(flash, request).filter(|_| flash.powered())
}

/// [`super::verify`] of an image in a flash, to be remembered.
pub fn verify_on(flash: &Flash, request: &Request) -> Result<Arc<Verdict>, Failure> {
    flash.check_read(0, 0)?;
    let (verdict, seen) = judge(&flash.cache(), request)?;
    let verdict = Arc::new(verdict);
    let known = Known {
        request: request.clone(),
        seen,
        pieces: flash.pieces(seen),
        engine: flash.encryption().cloned(),
        verdict: Arc::clone(&verdict),
    };
    flash.memo().keep(known);
    Ok(verdict)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::efuse::EFuse;
    use crate::flash::SECTOR;
    use crate::image::{Build, Mode, Options};
    use crate::partition::Partition;
    use crate::target::Target;
    use crate::writer::OtaWriter;

    /// No segments, no hash: 32 bytes that are accepted.
    fn image() -> [u8; 32] {
        let mut bytes = [0; 32];
        for (at, value) in [(0, 0xE9), (12, 5), (31, 0xEF)] {
            if let Some(byte) = bytes.get_mut(at) {
                *byte = value;
            }
        }
        bytes
    }

    fn asked() -> Option<(Flash, Request)> {
        let mut flash = Flash::new(0x40_0000, false).ok()?;
        flash.program(0x1_0FF0, &image()).ok()?; // over the end of a sector
        let request = Request {
            offset: 0x1_0FF0,
            size: 0x1000,
            build: Build::App,
            mode: Mode::Verify,
            efuse: EFuse::new(Target::by_name("esp32c3")?),
            options: Options::default(),
        };
        Some((flash, request))
    }

    fn knows(flash: &Flash, request: &Request) -> bool {
        remembered(flash, request).is_some()
    }

    #[test]
    fn a_verdict_is_known_until_a_sector_under_it_changes() -> Result<(), Failure> {
        let (mut flash, request) = asked().unwrap_or_else(|| unreachable!("a flash of 4 MiB exists"));
        assert!(!knows(&flash, &request));
        assert_eq!(verify_on(&flash, &request)?.err, crate::err::EspErr::Ok);
        assert!(knows(&flash, &request) && knows(&flash.fork(), &request));
        flash.program(0x1_2000, &[0])?; // the sector behind, of the same chunk
        flash.erase(0x1_F000, SECTOR as u64)?;
        assert!(knows(&flash, &request));
        let mut fork = flash.fork();
        fork.program(0x1_0000, &[0])?; // not in the image, but in its sector
        assert!(!knows(&fork, &request) && knows(&flash, &request));
        flash.erase(0x1_1000, SECTOR as u64)?;
        assert!(!knows(&flash, &request));
        Ok(())
    }

    #[test]
    fn a_verdict_over_one_device_is_known_to_the_others_that_took_the_same_image() -> Result<(), Failure> {
        let (parent, request) = asked().unwrap_or_else(|| unreachable!("a flash of 4 MiB exists"));
        let slot = Partition { offset: 0x2_0000, size: 0x1_0000, ..Partition::default() };
        let taken = |pieces: usize| -> Result<Flash, Failure> {
            let mut flash = parent.fork();
            let mut writer = OtaWriter::new(slot.clone(), true, &[0xE9], 0);
            for piece in [image().as_slice(), &[0xA5; 3 * SECTOR]].concat().chunks(pieces) {
                writer.write(&mut flash, piece)?;
            }
            writer.flush(&mut flash)?;
            Ok(flash)
        };
        let (first, mut second) = (taken(SECTOR)?, taken(1000)?);
        let request = Request { offset: 0x2_0000, size: 0x1_0000, ..request };
        assert!(!knows(&first, &request));
        verify_on(&first, &request)?;
        assert!(knows(&second, &request));
        second.program(0x2_1000, &[0])?;
        assert!(knows(&second, &request), "behind the image");
        second.program(0x2_0800, &[0])?;
        assert!(!knows(&second, &request) && knows(&first, &request));
        Ok(())
    }

    #[test]
    fn another_question_another_engine_and_no_power_are_not_answered_from_memory() -> Result<(), Failure> {
        let (mut flash, request) = asked().unwrap_or_else(|| unreachable!("a flash of 4 MiB exists"));
        verify_on(&flash, &request)?;
        let others = [
            Request { size: 0x2000, ..request.clone() },
            Request { offset: 0x1_0000, ..request.clone() },
            Request { build: Build::Bootloader, ..request.clone() },
            Request { mode: Mode::VerifySilent, ..request.clone() },
            Request { efuse: EFuse { chip_revision: 1, ..request.efuse.clone() }, ..request.clone() },
            Request { options: Options { debugger_attached: true, ..Options::default() }, ..request.clone() },
        ];
        assert!(others.iter().all(|other| !knows(&flash, other)));
        flash.set_encryption(FlashCrypt::new("esp32c3", &[0; 32], 0xF).ok());
        assert!(!knows(&flash, &request));
        flash.set_encryption(None);
        assert!(knows(&flash, &request));
        flash.power_off();
        assert!(!knows(&flash, &request) && verify_on(&flash, &request).is_err());
        Ok(())
    }

    #[test]
    fn the_verdict_longest_unused_is_forgotten_first() -> Result<(), Failure> {
        let (flash, request) = asked().unwrap_or_else(|| unreachable!("a flash of 4 MiB exists"));
        let nth = |number: usize| Request { size: 0x1000 + number as u32, ..request.clone() };
        for number in 0..KEPT {
            verify_on(&flash, &nth(number))?;
        }
        assert!(knows(&flash, &nth(0)));
        verify_on(&flash, &nth(KEPT))?;
        assert!(knows(&flash, &nth(0)) && !knows(&flash, &nth(1)));
        Ok(())
    }
}
