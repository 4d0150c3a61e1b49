//! When the power goes away: a fault plan is one short text, and replays without a seed.

use std::fmt;
use std::str::FromStr;

/// What becomes of the operation that the power cut falls on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Tear {
    /// The power goes between two operations: the next one is not started.
    Clean,
    /// The next operation is done by half: a program stores the first half of its bytes (rounded down), a sector erase
    /// sets the first 2048 bytes to 0xFF and leaves the rest as it was.
    Half,
}

/// `cut@N` or `cut@N:torn`: N operations complete, then the power goes.
///
/// `Display` gives the text back that was parsed; there is one spelling for each plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FaultPlan {
    operations: u64,
    tear: Tear,
}

impl FaultPlan {
    /// A power cut after `operations` complete ones.
    pub fn cut(operations: u64, tear: Tear) -> Self {
        Self { operations, tear }
    }

    /// How many operations complete before the cut.
    pub fn operations(self) -> u64 {
        self.operations
    }

    /// What becomes of the next one.
    pub fn tear(self) -> Tear {
        self.tear
    }
}

impl fmt::Display for FaultPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let torn = match self.tear {
            Tear::Clean => "",
            Tear::Half => ":torn",
        };
        write!(f, "cut@{}{torn}", self.operations)
    }
}

/// A text that is no fault plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotAPlan(String);

impl fmt::Display for NotAPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "not a fault plan: {:?} (expected cut@N or cut@N:torn)", self.0)
    }
}

impl std::error::Error for NotAPlan {}

impl FromStr for FaultPlan {
    type Err = NotAPlan;

    fn from_str(text: &str) -> Result<Self, NotAPlan> {
        let refused = || NotAPlan(text.to_owned());
        let rest = text.strip_prefix("cut@").ok_or_else(refused)?;
        let (count, tear) = match rest.split_once(':') {
            None => (rest, Tear::Clean),
            Some((count, "torn")) => (count, Tear::Half),
            Some(_) => return Err(refused()),
        };
        // u64::from_str takes a sign, and a leading zero would be a second spelling.
        let canonical = count.bytes().all(|digit| digit.is_ascii_digit()) && (count == "0" || !count.starts_with('0'));
        match count.parse() {
            Ok(operations) if canonical => Ok(Self { operations, tear }),
            _ => Err(refused()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_is_its_text() {
        for text in ["cut@0", "cut@37", "cut@0:torn", "cut@37:torn", "cut@18446744073709551615:torn"] {
            assert_eq!(text.parse::<FaultPlan>().map(|plan| plan.to_string()), Ok(text.to_owned()));
        }
        assert_eq!("cut@5:torn".parse(), Ok(FaultPlan::cut(5, Tear::Half)));
        assert_eq!("cut@5".parse(), Ok(FaultPlan::cut(5, Tear::Clean)));
    }

    #[test]
    fn anything_else_is_refused() {
        for text in [
            "",
            "cut",
            "cut@",
            "cut@+1",
            "cut@-1",
            "cut@01",
            "cut@00",
            "cut@1:",
            "cut@1:half",
            "cut@1:torn:torn",
            "cut@0x10",
            " cut@1",
            "cut@1 ",
            "Cut@1",
            "cut@1+cut@2",
            "drop@5",
            "cut@18446744073709551616",
            "cut@\u{661}",
        ] {
            assert!(text.parse::<FaultPlan>().is_err(), "{text:?}");
        }
    }
}
