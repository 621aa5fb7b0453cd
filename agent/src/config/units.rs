//! Amounts of bytes with units, and -1 for no limit.

use datasync_model::BytesPerSecond;

/// [`datasync_model::parse_bytes`], with its error as text.
pub(crate) fn parse_bytes(text: &str) -> Result<u64, String> {
    datasync_model::parse_bytes(text).map_err(|error| error.to_string())
}

/// Reads an amount of bytes as a bandwidth limit; `-1` is none, as in the API.
pub(crate) fn parse_rate(text: &str) -> Result<BytesPerSecond, String> {
    if text.trim() == "-1" {
        return Ok(BytesPerSecond::UNLIMITED);
    }
    let bytes = i64::try_from(parse_bytes(text)?).unwrap_or(i64::MAX);
    BytesPerSecond::try_from(bytes).map_err(|_| "must be more than 0; -1 is no limit".to_owned())
}
