//! How releases before v4.3.5, v4.4.5 and v5.0.1 compare a chip's revision: one number of it.

use super::header::ImageHeader;
use super::rules::{Refusal, Rules, TAG_COMM, line, v};
use crate::err::{EspErr, Fault, Level, LogLine};

impl Rules {
    /// Of the revision what older releases compare: the major number on three chips, the minor one on the others.
    fn number(&self, revision: u16) -> u16 {
        let (major, minor) = (revision / 100, revision % 100);
        match self.target.map_or("", |target| target.name) {
            "esp32" => major,
            "esp32c3" => minor,
            _ if !self.features.revisions_from_hal => 0,
            "esp32s2" | "esp32h2" => major,
            _ => minor,
        }
    }

    /// `bootloader_common_check_chip_validity` of such a release.
    pub(super) fn one_number(&self, header: &ImageHeader, revision: u16) -> Option<Refusal> {
        let (number, min) = (self.number(revision), header.min_chip_rev);
        if number >= min.into() {
            return None;
        }
        let expected = format!("at most {number}, of the chip's revision {}", v(revision));
        let fault = Fault::new(EspErr::Fail, "min_chip_rev", self.at(14), min.to_string(), expected);
        let text = format!(
            "This chip is revision {number} but the application is configured for minimum revision {min}. Can't run."
        );
        Some(Refusal { fault, log: vec![line(Level::Error, TAG_COMM, text)], always: true })
    }

    /// What a bootloader of such a release says where the two numbers differ.
    pub(super) fn other_number(&self, header: &ImageHeader, revision: u16) -> Option<LogLine> {
        let (number, min) = (self.number(revision), header.min_chip_rev);
        if self.features.full_revisions || number == u16::from(min) {
            return None;
        }
        let text = format!("chip revision: {number}, min. application chip revision: {min}");
        Some(line(Level::Info, TAG_COMM, text))
    }
}
