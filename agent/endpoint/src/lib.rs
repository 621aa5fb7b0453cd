//! The seams of the data path: what the engine asks of a source and of a destination.
//!
//! NFS, S3 and the in-memory fakes implement these traits; the engine knows nothing else of them.
//! Names are bytes, keys are the sortable text form of names (see [`Key`]).

mod algorithm;
mod attributes;
mod checksum;
mod destination;
mod error;
mod extended;
mod key;
mod metadata;
mod pace;
mod part_stream;
mod properties;
mod source;
mod stored;
mod tree;

#[cfg(feature = "testing")]
pub mod contract;
#[cfg(feature = "testing")]
pub mod memory;

pub use algorithm::{
    Algorithm, Checksum, ChecksumHasher, NotAChecksum, ObjectChecksum, ObjectHasher,
};
pub use attributes::{Attributes, DeviceNumbers, EntryKind, Fingerprint, Timestamp};
pub use checksum::{Crc64, Crc64Hasher};
pub use destination::{
    Abilities, DELETE_MAX, Destination, Integrity, ListPage, ListedObject, ObjectHeader,
    ObjectIdentifier, ObjectState, OpenUpload, PartReceipt, Payload, ReadBack, Receipt, Settled,
    StoredPart, UploadId, part_length,
};
pub use error::{Effect, EndpointError, ErrorKind};
pub use extended::{
    ACES_MAX, Ace, AceKind, Acl, EXTENDED_NAMES, ExtendedKinds, ExtendedMetadata, NotExtended,
    WHO_MAX, WithoutExtended, XATTR_NAME_MAX, XATTRS_MAX, XATTRS_SIZE_MAX, Xattrs,
};
pub use key::{EntryPath, Key, KeyError, decode_name, encode_name};
pub use metadata::PosixMetadata;
pub use pace::{Grant, Pace, Unpaced};
pub use part_stream::{BrokenOff, Chunks, PartStream};
pub use properties::ObjectProperties;
pub use source::{DirCursor, DirEntry, DirPage, Handle, Node, ReadReply, Source};
pub use stored::StoredObject;
pub use tree::{NoTree, SharedFile, directory_id, is_same_entry, is_same_file};
