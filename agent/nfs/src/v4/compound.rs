//! COMPOUND (RFC 8881 §16.2): operations that travel together, and their results one by one.

use std::io::Write;

use bytes::Bytes;
use nfs3_types::xdr_codec::{self, Pack};

use super::attributes::{Wanted, new_values};
use super::session::CALLBACK_PROGRAM;
use super::status::Status;
use crate::changes::NewAttributes;
use crate::xdr::{Malformed, Reply};

/// The longest tag of a reply; ours are empty, and servers send them back.
const TAG_MAX: usize = 1024;
/// The anonymous stateid (RFC 8881 §8.2.3).
pub(super) const ANONYMOUS: [u32; 4] = [0; 4];

/// Operations that we use (RFC 8881 §16.2.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operation {
    Close = 4,
    Commit = 5,
    Create = 6,
    GetAttr = 9,
    GetFh = 10,
    Link = 11,
    Lookup = 15,
    Open = 18,
    OpenConfirm = 20,
    PutFh = 22,
    PutRootFh = 24,
    Read = 25,
    ReadDir = 26,
    ReadLink = 27,
    Remove = 28,
    Rename = 29,
    SaveFh = 32,
    SetAttr = 34,
    SetClientId = 35,
    SetClientIdConfirm = 36,
    Write = 38,
    ExchangeId = 42,
    CreateSession = 43,
    DestroySession = 44,
    Sequence = 53,
    DestroyClientId = 57,
    ReclaimComplete = 58,
    Seek = 69,
    GetXattr = 72,
    SetXattr = 73,
    ListXattrs = 74,
    RemoveXattr = 75,
}

/// Where a call stands in its session (RFC 8881 §18.46).
#[derive(Debug, Clone, Copy)]
pub(super) struct Sequence {
    pub(super) session: [u8; 16],
    pub(super) number: u32,
    pub(super) slot: u32,
    pub(super) highest_slot: u32,
}

/// Operations in the order in which the server carries them out.
#[derive(Debug, Clone, Default)]
pub(super) struct Compound {
    operations: u32,
    body: Vec<u8>,
}

impl Compound {
    fn word(&mut self, word: u32) {
        self.body.extend_from_slice(&word.to_be_bytes());
    }

    fn long(&mut self, long: u64) {
        self.body.extend_from_slice(&long.to_be_bytes());
    }

    fn opaque(&mut self, data: &[u8]) {
        // Names and handles, whose lengths were checked.
        self.word(u32::try_from(data.len()).unwrap_or(u32::MAX));
        self.body.extend_from_slice(data);
        self.body.resize(self.body.len().next_multiple_of(4), 0);
    }

    pub(super) fn operation(mut self, operation: Operation) -> Self {
        self.word(operation as u32);
        self.operations += 1;
        self
    }

    pub(super) fn words(mut self, words: &[u32]) -> Self {
        for word in words {
            self.word(*word);
        }
        self
    }

    pub(super) fn longs(mut self, longs: &[u64]) -> Self {
        for long in longs {
            self.long(*long);
        }
        self
    }

    pub(super) fn fixed(mut self, bytes: &[u8]) -> Self {
        self.body.extend_from_slice(bytes);
        self
    }

    pub(super) fn data(mut self, data: &[u8]) -> Self {
        self.opaque(data);
        self
    }

    pub(super) fn put_root(self) -> Self {
        self.operation(Operation::PutRootFh)
    }

    pub(super) fn put(self, handle: &[u8]) -> Self {
        self.operation(Operation::PutFh).data(handle)
    }

    pub(super) fn lookup(self, name: &[u8]) -> Self {
        self.operation(Operation::Lookup).data(name)
    }

    pub(super) fn handle(self) -> Self {
        self.operation(Operation::GetFh)
    }

    pub(super) fn attributes(self, wanted: Wanted) -> Self {
        let words = wanted.words();
        self.operation(Operation::GetAttr).words(&[2]).words(&words)
    }

    pub(super) fn read(self, offset: u64, length: u32) -> Self {
        self.operation(Operation::Read)
            .words(&ANONYMOUS)
            .longs(&[offset])
            .words(&[length])
    }

    pub(super) fn write(self, offset: u64, stable: u32, data: &[u8]) -> Self {
        self.operation(Operation::Write)
            .words(&ANONYMOUS)
            .longs(&[offset])
            .words(&[stable])
            .data(data)
    }

    pub(super) fn new_attributes(self, new: &NewAttributes) -> Self {
        let (words, values) = new_values(new);
        self.words(&[2]).words(&words).data(&values)
    }

    /// The anonymous stateid will do for all but a size.
    pub(super) fn set_attributes(self, new: &NewAttributes) -> Self {
        self.operation(Operation::SetAttr)
            .words(&ANONYMOUS)
            .new_attributes(new)
    }

    /// Of a client that is called back by nobody: no delegation is asked for.
    pub(super) fn set_client_id(self, verifier: u64, name: &[u8]) -> Self {
        self.operation(Operation::SetClientId)
            .longs(&[verifier])
            .data(name)
            .words(&[CALLBACK_PROGRAM])
            .data(b"tcp")
            .data(b"0.0.0.0.0.0")
            .words(&[0])
    }

    /// `NFS4_CONTENT_DATA` is 0, `NFS4_CONTENT_HOLE` 1 (RFC 7862 §15.11).
    pub(super) fn seek(self, offset: u64, content: u32) -> Self {
        self.operation(Operation::Seek)
            .words(&ANONYMOUS)
            .longs(&[offset])
            .words(&[content])
    }

    pub(super) fn read_link(self) -> Self {
        self.operation(Operation::ReadLink)
    }
}

/// A COMPOUND as it is sent, after the SEQUENCE of its session if it has one.
pub(super) struct Sent<'a> {
    pub(super) minor: u32,
    pub(super) sequence: Option<Sequence>,
    pub(super) compound: &'a Compound,
}

impl Sent<'_> {
    fn head(&self) -> Vec<u8> {
        let operations = self.compound.operations + u32::from(self.sequence.is_some());
        let mut head = Compound::default().words(&[0, self.minor, operations]);
        if let Some(sequence) = &self.sequence {
            head = head
                .operation(Operation::Sequence)
                .fixed(&sequence.session)
                // What we ask for can be asked again: the server need not keep answers.
                .words(&[sequence.number, sequence.slot, sequence.highest_slot, 0]);
        }
        head.body
    }
}

impl Pack for Sent<'_> {
    fn packed_size(&self) -> usize {
        let sequence = if self.sequence.is_some() { 36 } else { 0 };
        12 + sequence + self.compound.body.len()
    }

    fn pack(&self, out: &mut impl Write) -> xdr_codec::Result<usize> {
        out.write_all(&self.head())?;
        out.write_all(&self.compound.body)?;
        Ok(self.packed_size())
    }
}

/// Why an operation has no result.
#[derive(Debug)]
pub(super) enum Unanswered {
    Status(Status),
    Malformed(Malformed),
}

impl From<Malformed> for Unanswered {
    fn from(malformed: Malformed) -> Self {
        Self::Malformed(malformed)
    }
}

/// The results of a COMPOUND, read in the order of its operations.
#[derive(Debug)]
pub(super) struct Results {
    pub(super) reply: Reply,
    /// Of the whole: that of the last operation that was carried out.
    status: Option<Status>,
    left: u32,
}

impl Results {
    pub(super) fn read(mut reply: Reply) -> Result<Self, Malformed> {
        let status = Status::read(&mut reply)?;
        reply.opaque(TAG_MAX, "a tag")?;
        let left = reply.u32("the number of results")?;
        Ok(Self {
            reply,
            status,
            left,
        })
    }

    /// Goes on to the result of `operation`, which was carried out.
    pub(super) fn next(&mut self, operation: Operation) -> Result<&mut Reply, Unanswered> {
        if self.left == 0 {
            return Err(match self.status {
                Some(status) => Unanswered::Status(status),
                None => Malformed::Cut("the results of a COMPOUND").into(),
            });
        }
        self.left -= 1;
        let found = self.reply.u32("an operation's number")?;
        let status = Status::read(&mut self.reply)?;
        if let Some(status) = status {
            return Err(Unanswered::Status(status));
        }
        if found != operation as u32 {
            return Err(Malformed::Other(format!(
                "a result of operation {found} where one of {operation:?} belongs"
            ))
            .into());
        }
        Ok(&mut self.reply)
    }

    pub(super) fn handle(&mut self) -> Result<Bytes, Unanswered> {
        let reply = self.next(Operation::GetFh)?;
        Ok(read_handle(reply)?)
    }
}

/// The longest handle (RFC 8881 §3.1, NFS4_FHSIZE).
pub(super) const HANDLE_MAX: usize = 128;

/// Reads a handle: 1 to 128 bytes, a slice of the reply.
pub(super) fn read_handle(reply: &mut Reply) -> Result<Bytes, Malformed> {
    let handle = reply.opaque(HANDLE_MAX, "a file handle")?;
    if handle.is_empty() {
        return Err(Malformed::Other("an empty file handle".to_owned()));
    }
    Ok(handle)
}

/// The bytes of a COMPOUND, for tests.
#[cfg(test)]
pub(super) fn bytes_of(sent: &Sent<'_>) -> Vec<u8> {
    let mut wire = Vec::new();
    sent.pack(&mut wire).unwrap();
    wire
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(wire: &[u8]) -> Vec<u32> {
        let (words, rest) = wire.as_chunks::<4>();
        assert!(rest.is_empty());
        words.iter().map(|word| u32::from_be_bytes(*word)).collect()
    }

    #[test]
    fn a_compound_begins_with_its_sequence_and_says_how_long_it_is() {
        let compound = Compound::default().put(b"abcde").read(7, 9);
        let sequence = Sequence {
            session: [0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0, 4],
            number: 5,
            slot: 6,
            highest_slot: 63,
        };
        let sent = Sent {
            minor: 1,
            sequence: Some(sequence),
            compound: &compound,
        };
        let wire = bytes_of(&sent);
        assert_eq!(wire.len(), sent.packed_size());
        let wire = words(&wire);
        assert_eq!(wire[..3], [0, 1, 3]);
        assert_eq!(wire[3..12], [53, 1, 2, 3, 4, 5, 6, 63, 0]);
        assert_eq!(wire[12..16], [22, 5, 0x6162_6364, 0x6500_0000]);
        assert_eq!(wire[16..], [25, 0, 0, 0, 0, 0, 7, 9]);
        let bare = Sent {
            minor: 0,
            sequence: None,
            compound: &compound,
        };
        let wire = bytes_of(&bare);
        assert_eq!(wire.len(), bare.packed_size());
        assert_eq!(words(&wire)[..4], [0, 0, 2, 22]);
    }

    fn results(words: &[u32]) -> Results {
        let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_be_bytes()).collect();
        Results::read(Reply::new(bytes.into())).unwrap()
    }

    #[test]
    fn the_operation_that_failed_says_why() {
        let mut read = results(&[70, 0, 2, 22, 0, 25, 70]);
        assert!(read.next(Operation::PutFh).is_ok());
        assert!(matches!(
            read.next(Operation::Read),
            Err(Unanswered::Status(status)) if status == Status::STALE
        ));
        // A server that lacks the minor version says so without results.
        let mut read = results(&[10021, 0, 0]);
        assert!(matches!(
            read.next(Operation::PutFh),
            Err(Unanswered::Status(status)) if status == Status::MINOR_VERS_MISMATCH
        ));
    }

    #[test]
    fn results_of_something_else_are_refused() {
        for words in [&[0, 0, 1, 26, 0][..], &[0, 0, 0], &[0, 0, 1, 25]] {
            assert!(matches!(
                results(words).next(Operation::Read),
                Err(Unanswered::Malformed(_))
            ));
        }
        assert!(Results::read(Reply::new(vec![0; 4].into())).is_err());
    }
}
