//! Amounts of bytes with units.

use datasync_model::BytesPerSecond;

/// Reads `67108864`, `64MiB`, `64 MiB`, `64MB`; units in any case. Decimal units are powers of
/// 1000, binary ones of 1024.
pub(crate) fn parse_bytes(text: &str) -> Result<u64, String> {
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
        _ => {
            return Err(format!(
                "{text:?} has no known unit: use B, KiB, MiB, GiB, TiB, KB, MB, GB or TB"
            ));
        }
    };
    number
        .parse::<u64>()
        .ok()
        .and_then(|number| number.checked_mul(factor))
        .ok_or_else(|| format!("{text:?} is not an amount of bytes such as 64MiB"))
}

/// Reads an amount of bytes as a bandwidth limit; `-1` is none, as in the API.
pub(crate) fn parse_rate(text: &str) -> Result<BytesPerSecond, String> {
    if text.trim() == "-1" {
        return Ok(BytesPerSecond::UNLIMITED);
    }
    let bytes = i64::try_from(parse_bytes(text)?).unwrap_or(i64::MAX);
    BytesPerSecond::try_from(bytes).map_err(|_| "must be more than 0; -1 is no limit".to_owned())
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
