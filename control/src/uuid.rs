//! The text of a UUID (RFC 9562, section 4).

/// 8-4-4-4-12 hexadecimal digits.
pub(crate) fn text(bytes: [u8; 16]) -> String {
    let digits = hex::encode(bytes);
    [
        &digits[..8],
        &digits[8..12],
        &digits[12..16],
        &digits[16..20],
        &digits[20..],
    ]
    .join("-")
}
