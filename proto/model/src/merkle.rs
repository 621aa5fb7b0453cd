//! Merkle trees over records, as RFC 6962 section 2.1 defines them, with SHA-256.
//!
//! Leaves and inner nodes are hashed with different first bytes, so that no inner node passes for a
//! record.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

const LEAF: [u8; 1] = [0];
const NODE: [u8; 1] = [1];

/// A SHA-256 hash; lower-case hexadecimal as text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Digest([u8; 32]);

/// A text or a sequence of bytes that is no SHA-256 hash.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a SHA-256 hash is 64 hexadecimal digits")]
pub struct NotADigest;

impl Digest {
    /// The hash of `bytes`.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }

    /// The hash of a record as a leaf.
    #[must_use]
    pub fn of_record(record: &[u8]) -> Self {
        Self::chained(&LEAF, &[record])
    }

    fn of_node(left: Self, right: Self) -> Self {
        Self::chained(&NODE, &[&left.0, &right.0])
    }

    fn chained(first: &[u8], rest: &[&[u8]]) -> Self {
        let mut hash = Sha256::new();
        hash.update(first);
        for part in rest {
            hash.update(part);
        }
        Self(hash.finalize().into())
    }

    /// The hash itself.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl TryFrom<&[u8]> for Digest {
    type Error = NotADigest;

    fn try_from(bytes: &[u8]) -> Result<Self, NotADigest> {
        bytes.try_into().map(Self).map_err(|_| NotADigest)
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl FromStr for Digest {
    type Err = NotADigest;

    fn from_str(text: &str) -> Result<Self, NotADigest> {
        let mut hash = [0; 32];
        hex::decode_to_slice(text, &mut hash).map_err(|_| NotADigest)?;
        Ok(Self(hash))
    }
}

impl TryFrom<String> for Digest {
    type Error = NotADigest;

    fn try_from(text: String) -> Result<Self, NotADigest> {
        text.parse()
    }
}

impl From<Digest> for String {
    fn from(digest: Digest) -> Self {
        digest.to_string()
    }
}

/// A tree that grows by one record at a time and holds one hash for each of its complete subtrees:
/// 64 at most.
#[derive(Debug, Clone, Default)]
pub struct MerkleTree {
    records: u64,
    /// Roots of the complete subtrees, the largest first: one for each bit that is set in `records`.
    subtrees: Vec<Digest>,
}

impl MerkleTree {
    /// Adds the hash of a record ([`Digest::of_record`]) behind those that are there.
    pub fn push(&mut self, leaf: Digest) {
        let mut right = leaf;
        for _ in 0..self.records.trailing_ones() {
            if let Some(left) = self.subtrees.pop() {
                right = Digest::of_node(left, right);
            }
        }
        self.subtrees.push(right);
        self.records += 1;
    }

    /// How many records it has.
    #[must_use]
    pub fn records(&self) -> u64 {
        self.records
    }

    /// The root of what was added so far; without any record, the hash of nothing.
    #[must_use]
    pub fn root(&self) -> Digest {
        let mut subtrees = self.subtrees.iter().rev().copied();
        let Some(last) = subtrees.next() else {
            return Digest::of(&[]);
        };
        subtrees.fold(last, |right, left| Digest::of_node(left, right))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn root(records: &[Vec<u8>]) -> Digest {
        let mut tree = MerkleTree::default();
        for record in records {
            tree.push(Digest::of_record(record));
        }
        assert_eq!(tree.records(), records.len() as u64);
        tree.root()
    }

    /// The definition, word for word.
    fn defined(records: &[Vec<u8>]) -> Digest {
        match records {
            [] => Digest::of(&[]),
            [one] => Digest::of_record(one),
            _ => {
                let half = records.len().next_power_of_two() / 2;
                let (left, right) = records.split_at(half);
                Digest::of_node(defined(left), defined(right))
            }
        }
    }

    #[test]
    fn roots_are_those_of_the_reference_implementation_of_rfc_6962() {
        let records: Vec<_> = [
            "",
            "00",
            "10",
            "2021",
            "3031",
            "40414243",
            "5051525354555657",
            "606162636465666768696a6b6c6d6e6f",
        ]
        .map(|text| hex::decode(text).unwrap())
        .into();
        let roots = [
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
            "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
            "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
            "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
            "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
            "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
            "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
            "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
            "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
        ];
        for (count, expected) in roots.iter().enumerate() {
            assert_eq!(root(&records[..count]).to_string(), *expected, "{count}");
        }
    }

    proptest! {
        #[test]
        fn a_tree_that_grows_has_the_defined_root_and_few_hashes(
            records in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..4), 0..70),
        ) {
            prop_assert_eq!(root(&records), defined(&records));
            let mut tree = MerkleTree::default();
            for record in &records {
                tree.push(Digest::of_record(record));
                prop_assert_eq!(tree.subtrees.len(), tree.records.count_ones() as usize);
            }
        }

        #[test]
        fn a_hash_is_read_as_it_is_written(bytes in any::<[u8; 32]>()) {
            let digest = Digest(bytes);
            prop_assert_eq!(digest.to_string().parse(), Ok(digest));
            prop_assert_eq!(Digest::try_from(&bytes[..]), Ok(digest));
            prop_assert_eq!(Digest::try_from(&bytes[1..]), Err(NotADigest));
            prop_assert_eq!(digest.to_string()[1..].parse::<Digest>(), Err(NotADigest));
        }
    }
}
