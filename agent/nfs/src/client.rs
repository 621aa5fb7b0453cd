//! The procedures of NFS version 3 (RFC 1813 §3.3): here those that change nothing.

mod changes;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzzing;
mod results;

use std::net::SocketAddr;

use bytes::Bytes;
use datasync_endpoint::{Attributes, EndpointError, ErrorKind, ReadReply};
use nfs3_types::nfs3::{
    FSINFO3args, GETATTR3args, LOOKUP3args, NFS_PROGRAM, PROGRAM, READ3args, READLINK3args,
    VERSION, diropargs3, filename3, nfs_fh3,
};
use nfs3_types::xdr_codec::{Opaque, Pack};

use crate::attributes::read_attributes;
use crate::config::NfsConfig;
use crate::counts::{Counters, Procedure};
use crate::rpc;
use crate::status::{Status, is_name, printable};
use crate::transport::Transport;
use crate::xdr::{Malformed, Reply};
use results::{fsinfo_results, read_link_results, read_lookup, read_results};

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
