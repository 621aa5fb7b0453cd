//! Enumerations whose members are the words of the DataSync API.

/// A string that is not a member of an API enumeration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{word:?} is not a {name}: it must be one of {members}")]
pub struct UnknownWord {
    /// The enumeration's name in the API.
    pub name: &'static str,
    /// What was given, cut to 100 characters.
    pub word: String,
    /// The members, joined by commas.
    pub members: String,
}

/// Nobody's text makes an error of any length.
pub(crate) const SHOWN_CHARACTERS_MAX: usize = 100;

/// Declares an enumeration with its API words, both ways.
macro_rules! words {
    ($(#[$meta:meta])* $name:ident { $($(#[$vmeta:meta])* $variant:ident = $word:literal),+ $(,)? }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize)]
        pub enum $name {
            $($(#[$vmeta])* #[serde(rename = $word)] $variant,)+
        }

        impl $name {
            /// Every member, in the order of the API's documentation.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The word of every member, in the same order.
            pub const WORDS: &'static [&'static str] = &[$($word),+];

            /// The word that the API uses.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word),+ }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let word = <String as serde::Deserialize>::deserialize(deserializer)?;
                word.parse().map_err(serde::de::Error::custom)
            }
        }

        impl std::str::FromStr for $name {
            type Err = $crate::UnknownWord;

            fn from_str(word: &str) -> Result<Self, Self::Err> {
                match word {
                    $($word => Ok(Self::$variant),)+
                    _ => Err($crate::UnknownWord {
                        name: stringify!($name),
                        word: word.chars().take($crate::word::SHOWN_CHARACTERS_MAX).collect(),
                        members: [$($word),+].join(", "),
                    }),
                }
            }
        }
    };
}
pub(crate) use words;
