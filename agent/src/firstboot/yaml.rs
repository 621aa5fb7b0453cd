//! YAML without types: what a document says, each scalar as its text.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};

/// Far more than any seed has.
const DEPTH_MAX: usize = 16;
const NODES_MAX: usize = 4_000;
const ALIASES_MAX: usize = 16;

/// A value of a document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Node {
    Null,
    Text(String),
    List(Vec<Node>),
    Map(BTreeMap<String, Node>),
}

impl Node {
    /// # Errors
    /// Why the text is no YAML, or too much of it; no part of it is in the error.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let options = serde_saphyr::options! {
            // Lines of the document may hold keys.
            with_snippet: false,
            leading_zero_numbers_as_strings: true,
            budget: serde_saphyr::budget! {
                max_depth: DEPTH_MAX,
                max_nodes: NODES_MAX,
                max_aliases: ALIASES_MAX,
                max_documents: 1,
            },
        };
        if text.trim().is_empty() {
            return Ok(Self::Null);
        }
        serde_saphyr::from_str_with_options(text, options).map_err(|error| error.to_string())
    }

    /// # Errors
    /// If it is anything but a mapping.
    pub(super) fn into_map(self, what: &str) -> Result<BTreeMap<String, Node>, String> {
        match self {
            Self::Map(map) => Ok(map),
            Self::Null => Ok(BTreeMap::new()),
            Self::Text(_) | Self::List(_) => Err(format!("{what}: must be a mapping")),
        }
    }

    /// # Errors
    /// If it is anything but a list.
    pub(super) fn into_list(self, what: &str) -> Result<Vec<Node>, String> {
        match self {
            Self::List(list) => Ok(list),
            Self::Null => Ok(Vec::new()),
            Self::Text(_) | Self::Map(_) => Err(format!("{what}: must be a list")),
        }
    }

    /// # Errors
    /// If it is anything but a scalar.
    pub(super) fn into_text(self, what: &str) -> Result<String, String> {
        match self {
            Self::Text(text) => Ok(text),
            Self::Null => Ok(String::new()),
            Self::List(_) | Self::Map(_) => Err(format!("{what}: must be a text or a number")),
        }
    }

    /// A list of scalars, or one; joined by commas.
    ///
    /// # Errors
    /// If it is anything else.
    pub(super) fn into_joined(self, what: &str) -> Result<String, String> {
        match self {
            Self::List(list) => {
                let texts: Result<Vec<_>, _> =
                    list.into_iter().map(|one| one.into_text(what)).collect();
                Ok(texts?.join(","))
            }
            other => other.into_text(what),
        }
    }
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AnyNode)
    }
}

struct AnyNode;

impl<'de> Visitor<'de> for AnyNode {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text, a whole number, true or false, a list or a mapping")
    }

    fn visit_unit<E>(self) -> Result<Node, E> {
        Ok(Node::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Node, E> {
        Ok(Node::Text(value.to_string()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Node, E> {
        Ok(Node::Text(value.to_string()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Node, E> {
        Ok(Node::Text(value.to_string()))
    }

    /// Digits with an `e` among them may be a fingerprint: their text would be lost.
    fn visit_f64<E: Error>(self, _: f64) -> Result<Node, E> {
        Err(E::custom(
            "a number with a fraction or an exponent: put it in quotes",
        ))
    }

    fn visit_str<E>(self, value: &str) -> Result<Node, E> {
        Ok(Node::Text(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Node, E> {
        Ok(Node::Text(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Node, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Node::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Node, A::Error> {
        let mut map = BTreeMap::new();
        while let Some((name, value)) = entries.next_entry::<String, Node>()? {
            map.insert(name, value);
        }
        Ok(Node::Map(map))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scalars_keep_their_text() {
        let map =
            Node::parse("a: 5\nb: true\nc: 007\nd: 'x'\ne:\nf: [1, two]\ng: 52:54:00:12:34:56\n")
                .unwrap()
                .into_map("it")
                .unwrap();
        let text = |name: &str| map[name].clone().into_joined(name).unwrap();
        assert_eq!(text("a"), "5");
        assert_eq!(text("b"), "true");
        assert_eq!(text("c"), "007");
        assert_eq!(text("d"), "x");
        assert_eq!(text("e"), "");
        assert_eq!(text("f"), "1,two");
        assert_eq!(text("g"), "52:54:00:12:34:56");
    }

    #[test]
    fn what_is_too_much_or_unclear_is_refused_without_being_shown() {
        let deep = "[".repeat(100) + &"]".repeat(100);
        let bomb = "a: &a [x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a]\nc: [*b,*b,*b,*b,*b,*b,*b,*b,*b]\n";
        for bad in [
            deep.as_str(),
            bomb,
            "a: 12e45\n",
            "key: s3cret\n  : [\n",
            "a: s3cret\na: 2\n",
        ] {
            let error = Node::parse(bad).unwrap_err();
            assert!(!error.contains("s3cret"), "{error}");
        }
        let quotes = Node::parse("a: 12e45\n").unwrap_err();
        assert!(quotes.contains("quotes"), "{quotes}");
    }
}
