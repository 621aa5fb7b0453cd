//! Where to go on in a directory, as NFS says it.

use bytes::Bytes;
use datasync_endpoint::{DirCursor, EndpointError, ErrorKind};

/// A place in a directory (RFC 1813 §3.3.17, RFC 8881 §18.23).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Position {
    /// Of the last entry before it.
    pub(crate) cookie: u64,
    /// Of the page before it.
    pub(crate) verifier: [u8; 8],
}

impl Position {
    /// The place that a cursor of ours stands for; without one, the start.
    pub(crate) fn of(cursor: Option<&DirCursor>) -> Result<Option<Self>, EndpointError> {
        let Some(cursor) = cursor else {
            return Ok(None);
        };
        let position = Self::read(cursor).ok_or_else(|| {
            let detail = "a place in a directory that no NFS server told";
            EndpointError::new(ErrorKind::BadCookie, "READDIR", "", detail)
        });
        position.map(Some)
    }

    pub(crate) fn read(cursor: &DirCursor) -> Option<Self> {
        let (cookie, verifier) = cursor.0.split_first_chunk()?;
        Some(Self {
            cookie: u64::from_be_bytes(*cookie),
            verifier: verifier.try_into().ok()?,
        })
    }
}

impl From<Position> for DirCursor {
    fn from(position: Position) -> Self {
        let bytes = [position.cookie.to_be_bytes(), position.verifier].concat();
        Self(Bytes::from(bytes))
    }
}
