//! Integer fields of a CSV: Python's `int(text, 0)`, the suffixes K and M, and keywords.

use super::names::{self, Keywords};

/// White space as Python sees it: four separators more than Unicode's property has.
pub(super) fn is_space(char: char) -> bool {
    char.is_whitespace() || ('\x1c'..='\x1f').contains(&char)
}

/// `parse_int` of gen_esp32part.py. Each trailing K or M multiplies, and only then keywords are looked up, so `appK` is a
/// number. Values beyond 128 bits stick at the end of the range.
pub(super) fn parse_int(text: &str, keywords: Keywords) -> Option<i128> {
    let (mut rest, mut factor) = (text, 1_i128);
    loop {
        let (shorter, unit) = match rest.strip_suffix(['k', 'K']) {
            Some(shorter) => (shorter, 1 << 10),
            None => match rest.strip_suffix(['m', 'M']) {
                Some(shorter) => (shorter, 1 << 20),
                None => break,
            },
        };
        (rest, factor) = (shorter, factor.saturating_mul(unit));
    }
    let value = integer(rest).or_else(|| names::value(keywords, &rest.to_lowercase()).map(i128::from))?;
    Some(value.saturating_mul(factor))
}

/// `int(text, 0)`: a sign, a base prefix, single underscores between digits; no leading zeros on a decimal number.
fn integer(text: &str) -> Option<i128> {
    let text = text.trim_matches(is_space);
    let (sign, text) = match text.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, text.strip_prefix('+').unwrap_or(text)),
    };
    let (radix, digits) = match text.as_bytes() {
        [b'0', b'x' | b'X', ..] => (16, text.get(2..)?),
        [b'0', b'o' | b'O', ..] => (8, text.get(2..)?),
        [b'0', b'b' | b'B', ..] => (2, text.get(2..)?),
        _ => (10, text),
    };
    let digits = if radix == 10 { digits } else { digits.strip_prefix('_').unwrap_or(digits) };
    let mut value = 0_i128;
    for group in digits.split('_') {
        if group.is_empty() {
            return None;
        }
        for char in group.chars() {
            let digit = i128::from(char.to_digit(radix)?);
            value = value.saturating_mul(i128::from(radix)).saturating_add(digit);
        }
    }
    let octal_look = radix == 10 && digits.starts_with('0') && value != 0;
    (!octal_look).then_some(sign * value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_pythons() {
        for (text, value) in [
            ("0", 0),
            ("00", 0),
            ("0_0", 0),
            ("1_000", 1000),
            ("0x_10", 16),
            ("0X1f", 31),
            ("0o17", 15),
            ("0B11", 3),
            ("+5", 5),
            ("-2M", -2 << 20),
            ("1KK", 1 << 20),
            ("1mK", 1 << 30),
            ("0x10K", 16384),
            ("5 K", 5120),
        ] {
            assert_eq!(parse_int(text, &[]), Some(value), "{text}");
        }
        for text in ["", "K", "MM", "010", "1.5M", "_1", "1_", "1__0", "0x", "0x__1", "- 5", "--5", "0b2", "ota", "1 0"]
        {
            assert_eq!(parse_int(text, &[]), None, "{text}");
        }
    }

    #[test]
    fn huge_numbers_stick_at_the_end() {
        assert_eq!(parse_int(&"9".repeat(60), &[]), Some(i128::MAX));
        assert_eq!(parse_int(&format!("1{}", "M".repeat(60)), &[]), Some(i128::MAX));
        assert_eq!(parse_int(&format!("-1{}", "k".repeat(60)), &[]), Some(-i128::MAX));
    }

    #[test]
    fn a_suffix_goes_before_the_keyword() {
        assert_eq!(parse_int("appK", names::TYPES), Some(0));
        assert_eq!(parse_int("dataM", names::TYPES), Some(1 << 20));
        assert_eq!(parse_int("Data", names::TYPES), Some(1));
        assert_eq!(parse_int("ota_0 K", names::subtypes(0)), None);
    }
}
