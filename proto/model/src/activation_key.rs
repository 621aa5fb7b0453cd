//! Activation keys: `XXXXX-XXXXX-XXXXX-XXXXX-XXXXX`, 25 characters of `A-Z0-9`.

use std::fmt;
use std::str::FromStr;

/// How long an unused key stays valid, in seconds (AWS DataSync user guide, "Activating an agent").
pub const KEY_LIFETIME_SECONDS: u64 = 30 * 60;

const GROUPS: usize = 5;
const GROUP_LENGTH: usize = 5;
/// 32 symbols, so that five bits of randomness give one symbol without bias; without I, L, O and U.
const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/// A single-use secret that ties an agent to CreateAgent. `Debug` does not show it.
#[derive(Clone, PartialEq, Eq)]
pub struct ActivationKey(String);

impl ActivationKey {
    /// Makes a key of 25 random bytes (five bits of each are used: 125 bits in all).
    #[must_use]
    pub fn from_random(random: [u8; GROUPS * GROUP_LENGTH]) -> Self {
        let mut text = String::with_capacity(GROUPS * (GROUP_LENGTH + 1));
        for (index, byte) in random.iter().enumerate() {
            if index > 0 && index % GROUP_LENGTH == 0 {
                text.push('-');
            }
            text.push(char::from(ALPHABET[usize::from(byte & 31)]));
        }
        Self(text)
    }

    /// The key itself: a secret until it is consumed.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for ActivationKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ActivationKey(…)")
    }
}

/// A text that has not the form of an activation key. Does not hold the text: it may be a secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("an activation key is five groups of five characters A-Z or 0-9, joined by '-'")]
pub struct MalformedKey;

impl FromStr for ActivationKey {
    type Err = MalformedKey;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let groups: Vec<&str> = text.split('-').collect();
        let well_formed = groups.len() == GROUPS
            && groups.iter().all(|group| {
                group.len() == GROUP_LENGTH
                    && group
                        .bytes()
                        .all(|b| b.is_ascii_uppercase() || b.is_ascii_digit())
            });
        if well_formed {
            Ok(Self(text.to_owned()))
        } else {
            Err(MalformedKey)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn random_keys_have_the_apis_form_and_hide_in_debug() {
        let key = ActivationKey::from_random(std::array::from_fn(|i| (i * 37 % 256) as u8));
        assert_eq!(key.reveal().parse::<ActivationKey>(), Ok(key.clone()));
        assert_eq!(key.reveal().len(), 29);
        assert_eq!(format!("{key:?}"), "ActivationKey(…)");
    }

    #[test]
    fn malformed_keys_are_refused() {
        for text in [
            "",
            "AAAAA",
            "aaaaa-AAAAA-AAAAA-AAAAA-AAAAA",
            "AAAAA-AAAAA-AAAAA-AAAAA-AAAAA-",
        ] {
            assert_eq!(text.parse::<ActivationKey>(), Err(MalformedKey), "{text}");
        }
    }
}
