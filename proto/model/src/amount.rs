//! Amounts of bytes with units.

/// Not an amount of bytes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotAnAmount {
    /// What follows the digits is no unit.
    #[error("{0:?} has no known unit: use B, KiB, MiB, GiB, TiB, KB, MB, GB or TB")]
    Unit(String),
    /// There are no digits, or the amount is above 64 bits.
    #[error("{0:?} is not an amount of bytes such as 64MiB")]
    Number(String),
}

/// Reads `67108864`, `64MiB`, `64 MiB`, `64MB`; units in any case. Decimal units are powers of
/// 1000, binary ones of 1024.
///
/// # Errors
/// [`NotAnAmount`] for an unknown unit, and for anything but a whole number of up to 64 bits.
pub fn parse_bytes(text: &str) -> Result<u64, NotAnAmount> {
    let text = text.trim();
    let digits = text
        .find(|character: char| !character.is_ascii_digit())
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let factor: u64 = match unit.trim_start().to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "kb" => 1000,
        "mb" => 1_000_000,
        "gb" => 1_000_000_000,
        "tb" => 1_000_000_000_000,
        "kib" => 1 << 10,
        "mib" => 1 << 20,
        "gib" => 1 << 30,
        "tib" => 1 << 40,
        _ => return Err(NotAnAmount::Unit(text.to_owned())),
    };
    number
        .parse::<u64>()
        .ok()
        .and_then(|number| number.checked_mul(factor))
        .ok_or_else(|| NotAnAmount::Number(text.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_read_with_and_without_units() {
        for (text, bytes) in [
            ("0", 0),
            ("1024", 1024),
            (" 64 MiB ", 64 << 20),
            ("1gib", 1 << 30),
            ("5TB", 5_000_000_000_000),
        ] {
            assert_eq!(parse_bytes(text), Ok(bytes), "{text}");
        }
        for text in ["", "MiB", "-1", "1.5GiB", "1 parsec", "99999999999 TiB"] {
            assert!(parse_bytes(text).is_err(), "{text}");
        }
    }
}
