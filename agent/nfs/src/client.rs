//! The procedures of NFS version 3 (RFC 1813 §3.3): here those that change nothing.

mod changes;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzzing;

use std::net::SocketAddr;

use bytes::Bytes;
use datasync_endpoint::{Attributes, EndpointError, ErrorKind, ReadReply};
use nfs3_types::nfs3::{
    FSINFO3args, GETATTR3args, LOOKUP3args, NFS_PROGRAM, PROGRAM, READ3args, READLINK3args,
    VERSION, diropargs3, filename3, nfs_fh3,
};
use nfs3_types::xdr_codec::{Opaque, Pack};

use crate::attributes::{read_attributes, read_optional};
use crate::config::NfsConfig;
use crate::counts::{Counters, Procedure};
use crate::rpc;
use crate::status::{Status, is_name, printable, read_handle};
use crate::transport::Transport;
use crate::xdr::{Malformed, Reply};

/// The longest target of a symbolic link that we take.
const LINK_TARGET_MAX: usize = 4096;
/// The most opaque data of a READ reply: some servers send more than was asked for.
const READ_DATA_MAX: usize = crate::record::RECORD_MAX;

/// What FSINFO says of the server's sizes, in bytes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sizes {
    pub(crate) read_max: u32,
    pub(crate) write_max: u32,
    pub(crate) directory_preferred: u32,
    /// Of a file; 0 where the server does not say.
    pub(crate) file_max: u64,
}

/// Calls on one export as one user.
#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) transport: Transport,
    counters: std::sync::Arc<Counters>,
    /// `host:/export`, for messages.
    pub(crate) target: String,
    uid: u32,
}

pub(crate) fn wire_handle(handle: &[u8]) -> nfs_fh3 {
    nfs_fh3 {
        data: Opaque::owned(handle.to_vec()),
    }
}

impl Client {
    pub(crate) fn new(
        address: SocketAddr,
        config: &NfsConfig,
        counters: std::sync::Arc<Counters>,
    ) -> Self {
        Self {
            transport: Transport::new(address, config),
            counters,
            target: format!("{}:{}", config.server_hostname, config.path),
            uid: config.uid,
        }
    }

    pub(crate) fn malformed(&self, procedure: Procedure, error: &Malformed) -> EndpointError {
        self.error(ErrorKind::Protocol, procedure, error.to_string())
    }

    pub(crate) fn error(
        &self,
        kind: ErrorKind,
        procedure: Procedure,
        detail: String,
    ) -> EndpointError {
        EndpointError::new(kind, procedure.name(), self.target.clone(), detail)
    }

    /// Calls, and reads the reply up to and including an NFS3_OK; any other status is an error.
    pub(crate) async fn call<A: Pack>(
        &self,
        procedure: Procedure,
        number: NFS_PROGRAM,
        arguments: &A,
    ) -> Result<Reply, EndpointError> {
        self.counters.add(procedure);
        let record = self
            .transport
            .call((PROGRAM, VERSION, number as u32), arguments)
            .await
            .map_err(|broken| self.error(broken.kind, procedure, broken.detail.to_string()))?;
        let mut reply = rpc::accepted(record)
            .map_err(|refusal| self.error(refusal.kind(), procedure, refusal.to_string()))?;
        match Status::read(&mut reply) {
            Ok(None) => Ok(reply),
            Ok(Some(status)) => Err(status.error(procedure.name(), self.target.clone(), self.uid)),
            Err(error) => Err(self.malformed(procedure, &error)),
        }
    }

    pub(crate) async fn attributes(&self, handle: &[u8]) -> Result<Attributes, EndpointError> {
        let arguments = GETATTR3args {
            object: wire_handle(handle),
        };
        let procedure = Procedure::GetAttr;
        let mut reply = self
            .call(procedure, NFS_PROGRAM::NFSPROC3_GETATTR, &arguments)
            .await?;
        read_attributes(&mut reply).map_err(|error| self.malformed(procedure, &error))
    }

    /// Handle and attributes of a name; attributes that the server leaves out are asked for.
    pub(crate) async fn lookup(
        &self,
        directory: &[u8],
        name: &[u8],
    ) -> Result<(Bytes, Attributes), EndpointError> {
        let procedure = Procedure::Lookup;
        let named = |mut error: EndpointError| {
            error.target = format!("{} {:?}", error.target, printable(name));
            error
        };
        if !is_name(name) {
            let detail = "not a name: 1 to 255 bytes, no '/', no NUL, not '.' or '..'";
            return Err(named(self.error(
                ErrorKind::InvalidName,
                procedure,
                detail.to_owned(),
            )));
        }
        let arguments = LOOKUP3args {
            what: diropargs3 {
                dir: wire_handle(directory),
                name: filename3(Opaque::borrowed(name)),
            },
        };
        let mut reply = self
            .call(procedure, NFS_PROGRAM::NFSPROC3_LOOKUP, &arguments)
            .await
            .map_err(named)?;
        let (handle, attributes) =
            read_lookup(&mut reply).map_err(|error| named(self.malformed(procedure, &error)))?;
        // A copy, so that 64 bytes do not keep the reply.
        let handle = Bytes::copy_from_slice(&handle);
        let attributes = match attributes {
            Some(attributes) => attributes,
            None => self.attributes(&handle).await.map_err(named)?,
        };
        Ok((handle, attributes))
    }

    pub(crate) async fn read_link(&self, link: &[u8]) -> Result<Bytes, EndpointError> {
        let arguments = READLINK3args {
            symlink: wire_handle(link),
        };
        let procedure = Procedure::ReadLink;
        let mut reply = self
            .call(procedure, NFS_PROGRAM::NFSPROC3_READLINK, &arguments)
            .await?;
        let target =
            read_link_results(&mut reply).map_err(|error| self.malformed(procedure, &error))?;
        Ok(Bytes::copy_from_slice(&target))
    }

    pub(crate) async fn read(
        &self,
        file: &[u8],
        offset: u64,
        length: u32,
    ) -> Result<ReadReply, EndpointError> {
        let arguments = READ3args {
            file: wire_handle(file),
            offset,
            count: length,
        };
        let procedure = Procedure::Read;
        let mut reply = self
            .call(procedure, NFS_PROGRAM::NFSPROC3_READ, &arguments)
            .await?;
        read_results(&mut reply, length).map_err(|error| self.malformed(procedure, &error))
    }

    pub(crate) async fn sizes(&self, root: &[u8]) -> Result<Sizes, EndpointError> {
        let arguments = FSINFO3args {
            fsroot: wire_handle(root),
        };
        let procedure = Procedure::FsInfo;
        let mut reply = self
            .call(procedure, NFS_PROGRAM::NFSPROC3_FSINFO, &arguments)
            .await?;
        fsinfo_results(&mut reply).map_err(|error| self.malformed(procedure, &error))
    }
}

/// Handle and attributes of `LOOKUP3resok`.
fn read_lookup(reply: &mut Reply) -> Result<(Bytes, Option<Attributes>), Malformed> {
    let handle = read_handle(reply)?;
    Ok((handle, read_optional(reply)?))
}

fn read_link_results(reply: &mut Reply) -> Result<Bytes, Malformed> {
    read_optional(reply)?;
    let target = reply.opaque(LINK_TARGET_MAX, "the target of a symbolic link")?;
    if target.contains(&0) {
        let detail = "the target of the symbolic link has a NUL in it";
        return Err(Malformed::Other(detail.to_owned()));
    }
    Ok(target)
}

fn fsinfo_results(reply: &mut Reply) -> Result<Sizes, Malformed> {
    read_optional(reply)?;
    let read_max = reply.u32("rtmax")?;
    for _ in 0..2 {
        reply.u32("rtpref and rtmult")?;
    }
    let write_max = reply.u32("wtmax")?;
    for _ in 0..2 {
        reply.u32("wtpref and wtmult")?;
    }
    Ok(Sizes {
        read_max,
        write_max,
        directory_preferred: reply.u32("dtpref")?,
        file_max: reply.u64("maxfilesize")?,
    })
}

/// Takes at most what was asked for and what the server says that it sent: nfs-ganesha may pad a
/// READ across the end of the file with more than `count` bytes.
fn read_results(reply: &mut Reply, asked: u32) -> Result<ReadReply, Malformed> {
    let attributes = read_optional(reply)?;
    let count = reply.u32("the count of a READ")?;
    let eof = reply.flag("the eof of a READ")?;
    let data = reply.opaque(READ_DATA_MAX, "the data of a READ")?;
    if data.len() < count as usize {
        return Err(Malformed::Other(format!(
            "a READ that says {count} bytes and carries {}",
            data.len()
        )));
    }
    let taken = count.min(asked);
    if taken == 0 && asked > 0 && !eof {
        return Err(Malformed::Other(
            "a READ without data that is not at the end of the file".to_owned(),
        ));
    }
    let mut data = data.slice(..taken as usize);
    // A slice keeps the whole reply, and memory is budgeted by what was asked for.
    if data.len() < reply.length() / 2 {
        data = Bytes::copy_from_slice(&data);
    }
    Ok(ReadReply {
        data,
        eof: eof && count <= asked,
        attributes,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn results(count: u32, eof: bool, data: &[u8]) -> Reply {
        let mut wire = Vec::new();
        for word in [0, count, u32::from(eof)] {
            word.pack(&mut wire).unwrap();
        }
        Opaque::borrowed(data).pack(&mut wire).unwrap();
        Reply::new(wire.into())
    }

    #[test]
    fn a_read_never_yields_more_than_was_asked_for_or_said() {
        let read = |count, eof, data: &[u8]| {
            read_results(&mut results(count, eof, data), 4).map(|read| (read.data, read.eof))
        };
        assert_eq!(
            read(4, false, b"abcd").unwrap(),
            (Bytes::from("abcd"), false)
        );
        assert_eq!(read(2, true, b"abcd").unwrap(), (Bytes::from("ab"), true));
        assert_eq!(
            read(6, true, b"abcdef").unwrap(),
            (Bytes::from("abcd"), false)
        );
        assert_eq!(read(0, true, b"").unwrap(), (Bytes::new(), true));
        assert!(read(0, false, b"").is_err());
        assert!(read(5, false, b"abcd").is_err());
    }

    #[test]
    fn a_few_bytes_do_not_keep_a_large_reply() {
        for (count, is_kept) in [(10_000, true), (8_000, true), (3_000, false), (1, false)] {
            let mut reply = results(count, false, &[7; 10_000]);
            let record = reply.bytes().as_ptr_range();
            let data = read_results(&mut reply, count).unwrap().data;
            assert_eq!(data.len(), count as usize);
            assert_eq!(record.contains(&data.as_ptr()), is_kept, "{count}");
        }
    }
}
