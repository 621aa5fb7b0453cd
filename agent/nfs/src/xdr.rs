//! Reading XDR (RFC 4506) from a reply, every announced length checked against a bound first.

use bytes::Bytes;
use nfs3_types::xdr_codec::Unpack;

/// A reply that is not what the protocol says.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Malformed {
    #[error("the reply ends in the middle of {0}")]
    Cut(&'static str),
    #[error("{what} of {announced} bytes; at most {max} are taken")]
    TooLong {
        what: &'static str,
        announced: usize,
        max: usize,
    },
    #[error("{what} is {value}, which means nothing")]
    Meaningless { what: &'static str, value: u32 },
    #[error("{0}")]
    Other(String),
}

/// A reply and how far it was read.
#[derive(Debug, Clone)]
pub(crate) struct Reply {
    bytes: Bytes,
    at: usize,
}

impl Reply {
    pub(crate) fn new(bytes: Bytes) -> Self {
        Self { bytes, at: 0 }
    }

    /// Of the whole reply, in bytes.
    pub(crate) fn length(&self) -> usize {
        self.bytes.len()
    }

    #[cfg(test)]
    pub(crate) fn bytes(&self) -> Bytes {
        self.bytes.clone()
    }

    fn take<const N: usize>(&mut self, what: &'static str) -> Result<[u8; N], Malformed> {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let (taken, _) = rest.split_first_chunk().ok_or(Malformed::Cut(what))?;
        self.at += N;
        Ok(*taken)
    }

    pub(crate) fn u32(&mut self, what: &'static str) -> Result<u32, Malformed> {
        self.take(what).map(u32::from_be_bytes)
    }

    pub(crate) fn u64(&mut self, what: &'static str) -> Result<u64, Malformed> {
        self.take(what).map(u64::from_be_bytes)
    }

    pub(crate) fn bytes8(&mut self, what: &'static str) -> Result<[u8; 8], Malformed> {
        self.take(what)
    }

    pub(crate) fn flag(&mut self, what: &'static str) -> Result<bool, Malformed> {
        match self.u32(what)? {
            0 => Ok(false),
            1 => Ok(true),
            value => Err(Malformed::Meaningless { what, value }),
        }
    }

    /// Variable-length opaque data: a slice of the reply, not a copy.
    pub(crate) fn opaque(&mut self, max: usize, what: &'static str) -> Result<Bytes, Malformed> {
        let announced = self.u32(what)? as usize;
        if announced > max {
            return Err(Malformed::TooLong {
                what,
                announced,
                max,
            });
        }
        let end = self.at + announced;
        if end.next_multiple_of(4) > self.bytes.len() {
            return Err(Malformed::Cut(what));
        }
        let data = self.bytes.slice(self.at..end);
        self.at = end.next_multiple_of(4);
        Ok(data)
    }

    /// A value of fixed size, by the codec.
    pub(crate) fn fixed<T: Unpack>(&mut self, what: &'static str) -> Result<T, Malformed> {
        use nfs3_types::xdr_codec::Error;
        let mut rest = self.bytes.get(self.at..).unwrap_or_default();
        let (value, taken) = T::unpack(&mut rest).map_err(|error| match error {
            Error::InvalidEnumValue(value) => Malformed::Meaningless { what, value },
            _ => Malformed::Cut(what),
        })?;
        self.at += taken;
        Ok(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn reply(words: &[u32]) -> Reply {
        Reply::new(
            words
                .iter()
                .flat_map(|word| word.to_be_bytes())
                .collect::<Vec<_>>()
                .into(),
        )
    }

    #[test]
    fn lengths_are_checked_before_anything_is_taken() {
        assert_eq!(
            reply(&[u32::MAX]).opaque(64, "handle"),
            Err(Malformed::TooLong {
                what: "handle",
                announced: u32::MAX as usize,
                max: 64
            })
        );
        assert_eq!(
            reply(&[8, 1]).opaque(64, "handle"),
            Err(Malformed::Cut("handle"))
        );
        assert_eq!(reply(&[5, 1, 2]).opaque(64, "name").unwrap().len(), 5);
        assert_eq!(
            reply(&[2]).flag("eof"),
            Err(Malformed::Meaningless {
                what: "eof",
                value: 2
            })
        );
        assert_eq!(reply(&[2]).u64("cookie"), Err(Malformed::Cut("cookie")));
    }

    proptest! {
        #[test]
        fn what_was_packed_is_read(data in proptest::collection::vec(any::<u8>(), 0..40), after: u64) {
            use nfs3_types::xdr_codec::{Opaque, Pack};
            let mut wire = Vec::new();
            Opaque::borrowed(&data).pack(&mut wire).unwrap();
            after.pack(&mut wire).unwrap();
            let mut reply = Reply::new(wire.into());
            prop_assert_eq!(&reply.opaque(40, "data").unwrap()[..], &data[..]);
            prop_assert_eq!(reply.u64("after").unwrap(), after);
        }

        #[test]
        fn no_reply_makes_it_panic(wire: Vec<u8>, max in 0usize..64) {
            let mut reply = Reply::new(wire.clone().into());
            while let Ok(data) = reply.opaque(max, "data") {
                prop_assert!(data.len() <= max);
            }
            prop_assert!(reply.at <= wire.len());
        }
    }
}
