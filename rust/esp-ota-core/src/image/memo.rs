//! Verdicts remembered: one is kept while the sectors it was made of are unchanged, and only then.
//!
//! The flash shares its content in reference-counted pieces, and whoever holds a piece forces a writer to copy it first. So
//! a verdict holds the pieces it has seen: as long as the flash still has the very same ones, not a bit has changed.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use super::verify::{Request, Verdict, judge};
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
