//! The few forms of DER (X.690) that a certificate of ours has in its extensions.

const OCTET_STRING: u8 = 0x04;
const UTF8_STRING: u8 = 0x0c;
const UTC_TIME: u8 = 0x17;
const SEQUENCE: u8 = 0x30;
/// Context-specific, constructed, number 0.
const EXPLICIT_0: u8 = 0xa0;

fn element(tag: u8, content: &[u8]) -> Vec<u8> {
    let mut element = vec![tag];
    let length = content.len();
    match u8::try_from(length) {
        Ok(short) if short < 0x80 => element.push(short),
        _ => {
            let bytes = length.to_be_bytes();
            let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
            let bytes = &bytes[zeros..];
            // At most eight.
            element.push(0x80 | u8::try_from(bytes.len()).unwrap_or_default());
            element.extend_from_slice(bytes);
        }
    }
    element.extend_from_slice(content);
    element
}

pub(super) fn octets(content: &[u8]) -> Vec<u8> {
    element(OCTET_STRING, content)
}

pub(super) fn text(content: &str) -> Vec<u8> {
    element(UTF8_STRING, content.as_bytes())
}

/// `content` is of the form `YYMMDDhhmmssZ`.
pub(super) fn utc_time(content: &str) -> Vec<u8> {
    element(UTC_TIME, content.as_bytes())
}

pub(super) fn sequence(elements: &[Vec<u8>]) -> Vec<u8> {
    element(SEQUENCE, &elements.concat())
}

pub(super) fn explicit_0(element_inside: &[u8]) -> Vec<u8> {
    element(EXPLICIT_0, element_inside)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_take_as_few_bytes_as_they_need() {
        for (length, head) in [
            (0, &[0x04, 0x00][..]),
            (127, &[0x04, 0x7f]),
            (128, &[0x04, 0x81, 0x80]),
            (255, &[0x04, 0x81, 0xff]),
            (256, &[0x04, 0x82, 0x01, 0x00]),
            (70_000, &[0x04, 0x83, 0x01, 0x11, 0x70]),
        ] {
            let element = octets(&vec![7; length]);
            assert_eq!(&element[..head.len()], head, "{length}");
            assert_eq!(element.len(), head.len() + length);
        }
    }

    #[test]
    fn elements_stand_in_each_other() {
        let inside = explicit_0(&text("ab"));
        assert_eq!(inside, [0xa0, 4, 0x0c, 2, b'a', b'b']);
        let whole = sequence(&[octets(b"x"), inside]);
        assert_eq!(whole[..5], [0x30, 9, 0x04, 1, b'x']);
    }
}
