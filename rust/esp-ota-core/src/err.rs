//! One list of errors, in ESP-IDF's names and numbers, and the facts behind each.

use std::fmt;

/// `esp_err_t`: the codes this crate produces (components/esp_common/include/esp_err.h and friends).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "the names are ESP-IDF's own")]
#[repr(i32)]
pub enum EspErr {
    Fail = -1,
    Ok = 0,
    InvalidArg = 0x102,
    InvalidState = 0x103,
    InvalidSize = 0x104,
    NotFound = 0x105,
    NotSupported = 0x106,
    InvalidVersion = 0x10A,
    NotAllowed = 0x10D,
    NvsNotFound = 0x1102,
    NvsReadOnly = 0x1104,
    NvsNotEnoughSpace = 0x1105,
    NvsRemoveFailed = 0x1108,
    NvsKeyTooLong = 0x1109,
    NvsInvalidState = 0x110B,
    NvsInvalidLength = 0x110C,
    NvsNoFreePages = 0x110D,
    NvsValueTooLong = 0x110E,
    NvsNewVersionFound = 0x1110,
    NvsKeysNotInitialized = 0x1116,
    NvsCorruptKeyPart = 0x1117,
    NvsWrongEncryption = 0x1119,
    OtaValidateFailed = 0x1503,
    OtaSpiModeMismatch = 0x1508,
    EfuseCntIsFull = 0x1602,
    NotEnoughUnusedKeyBlocks = 0x1605,
    ImageInvalid = 0x2002,
    FlashOpFail = 0x6001,
}

/// One thing wrong with some bytes: where, what was found, what the rule expects.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Fault {
    /// The code ESP-IDF returns for it.
    pub err: EspErr,
    /// The name of the field or rule, in the reference's words.
    pub field: String,
    /// Where, in bytes from the start of what was given (a flash address where a flash was given).
    pub offset: u64,
    /// What is there.
    pub found: String,
    /// What the rule asks for.
    pub expected: String,
}

impl Fault {
    /// A fault from its five facts.
    pub fn new(
        err: EspErr,
        field: impl Into<String>,
        offset: u64,
        found: impl Into<String>,
        expected: impl Into<String>,
    ) -> Self {
        Self { err, field: field.into(), offset, found: found.into(), expected: expected.into() }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at 0x{:x}: found {}, expected {}", self.field, self.offset, self.found, self.expected)
    }
}

impl std::error::Error for Fault {}

/// Why a flash operation did not return normally.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The operation was refused, and the device goes on.
    Fault(Fault),
    /// The power went away: the end of this life of the device. Holds the operations completed since arming.
    PowerLost(u64),
}

impl From<Fault> for Failure {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fault(fault) => fault.fmt(f),
            Self::PowerLost(operation) => write!(f, "power lost at flash operation {operation}"),
        }
    }
}

impl std::error::Error for Failure {}

/// The level of a console line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "the names say it")]
pub enum Level {
    Error,
    Warning,
    Info,
}

/// One console line without its time stamp, as the chip prints it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct LogLine {
    /// E, W or I.
    pub level: Level,
    /// The component's tag.
    pub tag: &'static str,
    /// The text after the tag.
    pub text: String,
}
