//! When the power goes away, and which cells are broken: a fault plan is one short text, and replays without a seed.
//!
//! Parts are joined by `+`. Each cut waits for the one before it: `cut@1207:torn-erase+cut@3` counts three operations from
//! when power has come back.

use std::fmt;
use std::str::FromStr;

/// The two kinds of mutating operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "the names say it")]
pub enum OpKind {
    Program,
    Erase,
}

/// How far a torn operation has come in the cells it was to change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Shape {
    /// The first half, rounded down, is done.
    Head,
    /// Only so many of the first bytes are done.
    First(u16),
    /// The last half is done.
    Tail,
    /// Some of the bits that were to change have changed; which, the address tells.
    Bits,
    /// All is zero: an erase programs its cells first.
    Zero,
    /// The changing bits read now so, now so, until the power has gone once more; then some have changed.
    Weak,
}

/// What becomes of the operation that a power cut falls on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Tear {
    /// The power goes between two operations: the next one is not started.
    Clean,
    /// The next operation is completed, and whatever follows it is not begun.
    After,
    /// The next operation is done by half, whatever it is.
    Half,
    /// The next operation comes so far if it is of this kind; if it is of the other, it is not started.
    Torn(OpKind, Shape),
}

/// The names of the ways to tear; `torn-program/K` stands beside them.
const TEARS: [(&str, Tear); 10] = [
    ("after", Tear::After),
    ("torn", Tear::Half),
    ("torn-program", Tear::Torn(OpKind::Program, Shape::Head)),
    ("tail-program", Tear::Torn(OpKind::Program, Shape::Tail)),
    ("bits-program", Tear::Torn(OpKind::Program, Shape::Bits)),
    ("weak-program", Tear::Torn(OpKind::Program, Shape::Weak)),
    ("torn-erase", Tear::Torn(OpKind::Erase, Shape::Head)),
    ("bits-erase", Tear::Torn(OpKind::Erase, Shape::Bits)),
    ("zero-erase", Tear::Torn(OpKind::Erase, Shape::Zero)),
    ("weak-erase", Tear::Torn(OpKind::Erase, Shape::Weak)),
];

/// One power cut: so many operations complete, then the power goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Cut {
    /// How many operations complete, counted from arming, or from when power came back after the cut before.
    pub operations: u64,
    /// What becomes of the next one.
    pub tear: Tear,
}

/// One bit of a flash that is not as it should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Cell {
    /// The byte's address.
    pub address: u64,
    /// The bit in it, 0 to 7.
    pub bit: u8,
    /// `Some(value)`: it reads so for ever. `None`: it changes once, when the plan is armed.
    pub stuck: Option<bool>,
}

impl Cell {
    /// The bit as a mask of its byte.
    pub fn mask(self) -> u8 {
        1 << (self.bit & 7)
    }
}

/// One part of a plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Part {
    /// `cut@N`, `cut@N:TEAR`.
    Cut(Cut),
    /// `stuck0@ADDR.BIT`, `stuck1@ADDR.BIT`, `bitflip@ADDR.BIT`.
    Cell(Cell),
}

/// Cuts and cells, in the order they were written in.
///
/// `Display` gives the text back that was parsed; there is one spelling for each plan.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct FaultPlan(pub Vec<Part>);

impl FaultPlan {
    /// A single power cut after `operations` complete ones.
    pub fn cut(operations: u64, tear: Tear) -> Self {
        Self(vec![Part::Cut(Cut { operations, tear })])
    }

    /// The next power cut.
    pub(crate) fn next_cut(&self) -> Option<Cut> {
        self.0.iter().find_map(|part| if let Part::Cut(cut) = part { Some(*cut) } else { None })
    }

    /// The next power cut has happened.
    pub(crate) fn spend_cut(&mut self) {
        if let Some(index) = self.0.iter().position(|part| matches!(part, Part::Cut(_))) {
            self.0.remove(index);
        }
    }

    /// The cells.
    pub(crate) fn cells(&self) -> impl Iterator<Item = Cell> + '_ {
        self.0.iter().filter_map(|part| if let Part::Cell(cell) = part { Some(*cell) } else { None })
    }
}

impl fmt::Display for Tear {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Clean => Ok(()),
            Self::Torn(_, Shape::First(count)) => write!(f, ":torn-program/{count}"),
            tear => {
                let name = TEARS.iter().find(|(_, known)| known == tear).map_or("", |(name, _)| name);
                write!(f, ":{name}")
            }
        }
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cut(Cut { operations, tear }) => write!(f, "cut@{operations}{tear}"),
            Self::Cell(Cell { address, bit, stuck }) => {
                let name = match stuck {
                    Some(false) => "stuck0",
                    Some(true) => "stuck1",
                    None => "bitflip",
                };
                write!(f, "{name}@0x{address:x}.{bit}")
            }
        }
    }
}

impl fmt::Display for FaultPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, part) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str("+")?;
            }
            write!(f, "{part}")?;
        }
        Ok(())
    }
}

/// A text that is no fault plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotAPlan(String);

impl fmt::Display for NotAPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tears: Vec<&str> = TEARS.iter().map(|(name, _)| *name).collect();
        write!(
            f,
            "not a fault plan: {:?} (expected cut@N, cut@N:TEAR with one of {} or torn-program/K, stuck0@0xADDR.BIT, \
             stuck1@0xADDR.BIT or bitflip@0xADDR.BIT, joined by +)",
            self.0,
            tears.join(", ")
        )
    }
}

impl std::error::Error for NotAPlan {}

/// `from_str` takes a sign, and a leading zero would be a second spelling.
fn canonical<T: FromStr>(digits: &str) -> Option<T> {
    let plain = digits.bytes().all(|digit| digit.is_ascii_digit()) && (digits == "0" || !digits.starts_with('0'));
    if plain { digits.parse().ok() } else { None }
}

fn tear(name: &str) -> Option<Tear> {
    if let Some(count) = name.strip_prefix("torn-program/") {
        return Some(Tear::Torn(OpKind::Program, Shape::First(canonical(count)?)));
    }
    TEARS.iter().find(|(known, _)| *known == name).map(|&(_, tear)| tear)
}

fn part(text: &str) -> Option<Part> {
    let (name, place) = text.split_once('@')?;
    if name == "cut" {
        let (count, tear) = match place.split_once(':') {
            None => (place, Tear::Clean),
            Some((count, name)) => (count, tear(name)?),
        };
        return Some(Part::Cut(Cut { operations: canonical(count)?, tear }));
    }
    let stuck = match name {
        "stuck0" => Some(false),
        "stuck1" => Some(true),
        "bitflip" => None,
        _ => return None,
    };
    let (address, bit) = place.strip_prefix("0x")?.split_once('.')?;
    let plain = address.bytes().all(|digit| digit.is_ascii_digit() || (b'a'..=b'f').contains(&digit))
        && (address == "0" || !address.starts_with('0'));
    let address = u64::from_str_radix(address, 16).ok().filter(|_| plain)?;
    Some(Part::Cell(Cell { address, bit: canonical(bit).filter(|&bit| bit < 8)?, stuck }))
}

impl FromStr for FaultPlan {
    type Err = NotAPlan;

    fn from_str(text: &str) -> Result<Self, NotAPlan> {
        let parts: Option<Vec<Part>> = text.split('+').map(part).collect();
        parts.map(Self).ok_or_else(|| NotAPlan(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_is_its_text() {
        for text in [
            "cut@0",
            "cut@37",
            "cut@0:torn",
            "cut@18446744073709551615:torn",
            "cut@1207:torn-erase+cut@3",
            "cut@5:torn-program/28",
            "cut@5:after",
            "stuck0@0x10000.7",
            "bitflip@0x0.0+cut@3:weak-erase+stuck1@0xffff.3",
        ] {
            assert_eq!(text.parse::<FaultPlan>().map(|plan| plan.to_string()), Ok(text.to_owned()));
        }
        for (name, _) in TEARS {
            let text = format!("cut@1:{name}");
            assert_eq!(text.parse::<FaultPlan>().map(|plan| plan.to_string()), Ok(text));
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
            "cut@1:torn-program/",
            "cut@1:torn-program/01",
            "cut@1:torn-program/70000",
            "cut@1:torn-erase/3",
            "cut@0x10",
            " cut@1",
            "cut@1 ",
            "Cut@1",
            "cut@1+",
            "cut@1++cut@2",
            "drop@5",
            "cut@18446744073709551616",
            "cut@\u{661}",
            "stuck0@16.1",
            "stuck0@0x10",
            "stuck0@0x10.8",
            "stuck0@0x010.1",
            "stuck0@0xA.1",
            "stuck2@0x10.1",
            "bitflip@0x.1",
        ] {
            assert!(text.parse::<FaultPlan>().is_err(), "{text:?}");
        }
    }
}
