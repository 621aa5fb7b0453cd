//! The content of the file with the sealing key: one key, or two while one takes the place of the
//! other.
//!
//! One key is its 32 bytes and nothing else. Two keys are a letter and both: `P`, the key in use
//! and the next one; or `R`, the key in use and the one before it.

use zeroize::Zeroizing;

pub(super) const KEY_BYTES: usize = 32;
const PREPARED: u8 = b'P';
const REPLACING: u8 = b'R';
/// The longest content.
pub(super) const FILE_BYTES_MAX: usize = 1 + 2 * KEY_BYTES;

/// A key's bytes. `Debug` does not show them.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct KeyBytes(Zeroizing<[u8; KEY_BYTES]>);

impl KeyBytes {
    /// `None` if there is no randomness.
    pub(super) fn random() -> Option<Self> {
        let mut bytes = Zeroizing::new([0; KEY_BYTES]);
        getrandom::fill(bytes.as_mut()).ok()?;
        Some(Self(bytes))
    }

    fn of(bytes: &[u8]) -> Option<Self> {
        let bytes: [u8; KEY_BYTES] = bytes.try_into().ok()?;
        Some(Self(Zeroizing::new(bytes)))
    }

    pub(super) fn as_slice(&self) -> &[u8] {
        self.0.as_ref()
    }
}

impl std::fmt::Debug for KeyBytes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("KeyBytes")
    }
}

/// The keys that a control knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum KeyFile {
    /// The one key.
    One(KeyBytes),
    /// What is sealed with `next` can be opened already; `present` seals.
    Prepared { present: KeyBytes, next: KeyBytes },
    /// `present` seals; what `former` sealed can still be opened.
    Replacing { present: KeyBytes, former: KeyBytes },
}

/// Why a step makes no sense.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NoStep {
    /// Not begun by [`KeyFile::prepared`].
    #[error(
        "several controls may share the database, and none of them knows another key: run \
         `sealing-key prepare`, copy the key's file to every control, then run `sealing-key rotate`"
    )]
    NotPrepared,
    /// The one before has not ended.
    #[error("a replacement is under way: end it with `sealing-key forget-old` first")]
    UnderWay,
    /// There is no former key.
    #[error("there is no old key: begin with `sealing-key rotate`")]
    NoFormer,
}

impl KeyFile {
    pub(super) fn parse(bytes: &[u8]) -> Option<Self> {
        match bytes {
            [stage, keys @ ..] if keys.len() == 2 * KEY_BYTES => {
                let (first, second) = keys.split_at(KEY_BYTES);
                let (present, other) = (KeyBytes::of(first)?, KeyBytes::of(second)?);
                match *stage {
                    PREPARED => Some(Self::Prepared {
                        present,
                        next: other,
                    }),
                    REPLACING => Some(Self::Replacing {
                        present,
                        former: other,
                    }),
                    _ => None,
                }
            }
            key => KeyBytes::of(key).map(Self::One),
        }
    }

    pub(super) fn bytes(&self) -> Zeroizing<Vec<u8>> {
        let mut bytes = Zeroizing::new(Vec::with_capacity(FILE_BYTES_MAX));
        let stage = match self {
            Self::One(_) => None,
            Self::Prepared { .. } => Some(PREPARED),
            Self::Replacing { .. } => Some(REPLACING),
        };
        bytes.extend(stage);
        bytes.extend_from_slice(self.present().as_slice());
        if let Some(other) = self.other() {
            bytes.extend_from_slice(other.as_slice());
        }
        bytes
    }

    /// The key that seals.
    pub(super) fn present(&self) -> &KeyBytes {
        match self {
            Self::One(present)
            | Self::Prepared { present, .. }
            | Self::Replacing { present, .. } => present,
        }
    }

    /// The one that opens as well.
    pub(super) fn other(&self) -> Option<&KeyBytes> {
        match self {
            Self::One(_) => None,
            Self::Prepared { next, .. } => Some(next),
            Self::Replacing { former, .. } => Some(former),
        }
    }

    /// `new` becomes known and seals nothing yet. Done already, nothing changes.
    pub(crate) fn prepared(self, new: KeyBytes) -> Result<Self, NoStep> {
        match self {
            Self::One(present) => Ok(Self::Prepared { present, next: new }),
            prepared @ Self::Prepared { .. } => Ok(prepared),
            Self::Replacing { .. } => Err(NoStep::UnderWay),
        }
    }

    /// Another key seals from now on: the prepared one, or `new` if no other control needs to know
    /// it beforehand. Done already, nothing changes.
    pub(crate) fn replacing(self, new: KeyBytes, is_alone: bool) -> Result<Self, NoStep> {
        match self {
            Self::One(former) if is_alone => Ok(Self::Replacing {
                present: new,
                former,
            }),
            Self::One(_) => Err(NoStep::NotPrepared),
            Self::Prepared { present, next } => Ok(Self::Replacing {
                present: next,
                former: present,
            }),
            replacing @ Self::Replacing { .. } => Ok(replacing),
        }
    }

    /// The former key is forgotten.
    pub(crate) fn replaced(self) -> Result<Self, NoStep> {
        match self {
            Self::Replacing { present, .. } => Ok(Self::One(present)),
            Self::One(_) | Self::Prepared { .. } => Err(NoStep::NoFormer),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(byte: u8) -> KeyBytes {
        KeyBytes::of(&[byte; KEY_BYTES]).unwrap()
    }

    #[test]
    fn what_is_written_is_read() {
        let (present, other) = (key(1), key(2));
        let one = KeyFile::One(present.clone());
        assert_eq!(&one.bytes()[..], [1; KEY_BYTES]);
        for file in [
            one,
            KeyFile::Prepared {
                present: present.clone(),
                next: other.clone(),
            },
            KeyFile::Replacing {
                present,
                former: other,
            },
        ] {
            assert_eq!(KeyFile::parse(&file.bytes()), Some(file));
        }
        for length in [0, 31, 33, 64, 66] {
            assert_eq!(KeyFile::parse(&vec![b'P'; length]), None, "{length}");
        }
        assert_eq!(KeyFile::parse(&[b'X'; FILE_BYTES_MAX]), None);
    }

    #[test]
    fn one_control_replaces_its_key_in_two_steps() {
        let file = KeyFile::One(key(1)).replacing(key(2), true).unwrap();
        let begun = KeyFile::Replacing {
            present: key(2),
            former: key(1),
        };
        assert_eq!(file, begun);
        // Cut off and begun again: the same key.
        assert_eq!(file.clone().replacing(key(3), true), Ok(begun));
        assert_eq!(file.clone().prepared(key(3)), Err(NoStep::UnderWay));
        assert_eq!(file.replaced(), Ok(KeyFile::One(key(2))));
        assert_eq!(KeyFile::One(key(2)).replaced(), Err(NoStep::NoFormer));
    }

    #[test]
    fn several_controls_learn_the_next_key_before_it_seals() {
        let refused = KeyFile::One(key(1)).replacing(key(2), false);
        assert_eq!(refused, Err(NoStep::NotPrepared));
        let file = KeyFile::One(key(1)).prepared(key(2)).unwrap();
        assert_eq!((file.present(), file.other()), (&key(1), Some(&key(2))));
        assert_eq!(file.clone().prepared(key(3)), Ok(file.clone()));
        assert_eq!(file.clone().replaced(), Err(NoStep::NoFormer));
        let file = file.replacing(key(3), false).unwrap();
        assert_eq!((file.present(), file.other()), (&key(2), Some(&key(1))));
    }
}
