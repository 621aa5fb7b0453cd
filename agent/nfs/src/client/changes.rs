//! The procedures that change an export (RFC 1813 §3.3.2 and §3.3.7 to §3.3.15, §3.3.21).

use bytes::Bytes;
use datasync_endpoint::{Attributes, DeviceNumbers, EndpointError, ErrorKind, Timestamp};
use nfs3_types::nfs3::{
    COMMIT3args, CREATE3args, LINK3args, MKDIR3args, MKNOD3args, NFS_PROGRAM, Nfs3Option,
    REMOVE3args, RENAME3args, RMDIR3args, SETATTR3args, SYMLINK3args, WRITE3args, createhow3,
    devicedata3, diropargs3, filename3, mknoddata3, nfspath3, nfstime3, sattr3, set_atime,
    set_mtime, specdata3, stable_how, symlinkdata3,
};
use nfs3_types::xdr_codec::{Opaque, Pack};

use super::{Client, wire_handle};
use crate::attributes::read_optional;
use crate::changes::{Made, NewAttributes, Verifier, Written, unsure, written};
use crate::counts::Procedure;
use crate::status::{is_name, printable, read_handle};
use crate::xdr::{Malformed, Reply};

fn place<'a>(directory: &[u8], name: &'a [u8]) -> diropargs3<'a> {
    diropargs3 {
        dir: wire_handle(directory),
        name: filename3(Opaque::borrowed(name)),
    }
}

impl Client {
    /// As [`Client::call`], of a procedure that changes something.
    async fn change<A: Pack>(
        &self,
        procedure: Procedure,
        number: NFS_PROGRAM,
        arguments: &A,
    ) -> Result<Reply, EndpointError> {
        let called = self.call(procedure, number, arguments).await;
        called.map_err(unsure)
    }

    fn named(&self, procedure: Procedure, name: &[u8]) -> Result<(), EndpointError> {
        if is_name(name) {
            return Ok(());
        }
        let detail = "not a name: 1 to 255 bytes, no '/', no NUL, not '.' or '..'".to_owned();
        let mut error = self.error(ErrorKind::InvalidName, procedure, detail);
        error.target = format!("{} {:?}", error.target, printable(name));
        Err(error)
    }

    /// What was made; what the server leaves out is asked for.
    async fn made(
        &self,
        procedure: Procedure,
        mut reply: Reply,
        (directory, name): (&[u8], &[u8]),
    ) -> Result<Made, EndpointError> {
        let (handle, attributes) =
            read_made(&mut reply).map_err(|error| unsure(self.malformed(procedure, &error)))?;
        let Some(handle) = handle else {
            return self.lookup(directory, name).await;
        };
        match attributes {
            Some(attributes) => Ok((handle, attributes)),
            None => {
                let attributes = self.attributes(&handle).await?;
                Ok((handle, attributes))
            }
        }
    }

    pub(crate) async fn make_file(
        &self,
        directory: &[u8],
        name: &[u8],
        mode: u32,
    ) -> Result<Made, EndpointError> {
        let procedure = Procedure::Create;
        self.named(procedure, name)?;
        let arguments = CREATE3args {
            where_: place(directory, name),
            how: createhow3::GUARDED(of_mode(mode)),
        };
        let number = NFS_PROGRAM::NFSPROC3_CREATE;
        let reply = self.change(procedure, number, &arguments).await?;
        self.made(procedure, reply, (directory, name)).await
    }

    pub(crate) async fn make_directory(
        &self,
        directory: &[u8],
        name: &[u8],
        mode: u32,
    ) -> Result<Made, EndpointError> {
        let procedure = Procedure::MkDir;
        self.named(procedure, name)?;
        let arguments = MKDIR3args {
            where_: place(directory, name),
            attributes: of_mode(mode),
        };
        let number = NFS_PROGRAM::NFSPROC3_MKDIR;
        let reply = self.change(procedure, number, &arguments).await?;
        self.made(procedure, reply, (directory, name)).await
    }

    pub(crate) async fn make_link(
        &self,
        directory: &[u8],
        name: &[u8],
        target: &[u8],
    ) -> Result<Made, EndpointError> {
        let procedure = Procedure::SymLink;
        self.named(procedure, name)?;
        let arguments = SYMLINK3args {
            where_: place(directory, name),
            symlink: symlinkdata3 {
                symlink_attributes: of_mode(0o777),
                symlink_data: nfspath3(Opaque::borrowed(target)),
            },
        };
        let number = NFS_PROGRAM::NFSPROC3_SYMLINK;
        let reply = self.change(procedure, number, &arguments).await?;
        self.made(procedure, reply, (directory, name)).await
    }

    pub(crate) async fn make_device(
        &self,
        directory: &[u8],
        name: &[u8],
        (is_block, numbers): (bool, DeviceNumbers),
        mode: u32,
    ) -> Result<Made, EndpointError> {
        let procedure = Procedure::MkNod;
        self.named(procedure, name)?;
        let device = devicedata3 {
            dev_attributes: of_mode(mode),
            spec: specdata3 {
                specdata1: numbers.major,
                specdata2: numbers.minor,
            },
        };
        let arguments = MKNOD3args {
            where_: place(directory, name),
            what: if is_block {
                mknoddata3::NF3BLK(device)
            } else {
                mknoddata3::NF3CHR(device)
            },
        };
        let number = NFS_PROGRAM::NFSPROC3_MKNOD;
        let reply = self.change(procedure, number, &arguments).await?;
        self.made(procedure, reply, (directory, name)).await
    }

    pub(crate) async fn write(
        &self,
        file: &[u8],
        offset: u64,
        data: &[u8],
        is_stable: bool,
    ) -> Result<Written, EndpointError> {
        let procedure = Procedure::Write;
        let asked = u32::try_from(data.len()).unwrap_or(u32::MAX);
        let arguments = WRITE3args {
            file: wire_handle(file),
            offset,
            count: asked,
            stable: if is_stable {
                stable_how::FILE_SYNC
            } else {
                stable_how::UNSTABLE
            },
            data: Opaque::borrowed(data),
        };
        let number = NFS_PROGRAM::NFSPROC3_WRITE;
        let mut reply = self.change(procedure, number, &arguments).await?;
        read_wcc(&mut reply)
            .and_then(|()| read_written(&mut reply, asked))
            .map_err(|error| unsure(self.malformed(procedure, &error)))
    }

    pub(crate) async fn commit(&self, file: &[u8]) -> Result<Verifier, EndpointError> {
        let procedure = Procedure::Commit;
        let arguments = COMMIT3args {
            file: wire_handle(file),
            offset: 0,
            count: 0,
        };
        let number = NFS_PROGRAM::NFSPROC3_COMMIT;
        let mut reply = self.change(procedure, number, &arguments).await?;
        read_wcc(&mut reply)
            .and_then(|()| reply.bytes8("the verifier of a COMMIT"))
            .map_err(|error| self.malformed(procedure, &error))
    }

    pub(crate) async fn set_attributes(
        &self,
        entry: &[u8],
        new: &NewAttributes,
        unchanged_since: Option<Timestamp>,
    ) -> Result<(), EndpointError> {
        let procedure = Procedure::SetAttr;
        let invalid = |detail| self.error(ErrorKind::Invalid, procedure, detail);
        let arguments = SETATTR3args {
            object: wire_handle(entry),
            new_attributes: wire_attributes(new).map_err(invalid)?,
            guard: match unchanged_since {
                Some(ctime) => Nfs3Option::Some(wire_time(ctime).map_err(invalid)?),
                None => Nfs3Option::None,
            },
        };
        let number = NFS_PROGRAM::NFSPROC3_SETATTR;
        self.change(procedure, number, &arguments).await?;
        Ok(())
    }

    pub(crate) async fn rename(
        &self,
        (from_directory, from): (&[u8], &[u8]),
        (to_directory, to): (&[u8], &[u8]),
    ) -> Result<(), EndpointError> {
        let procedure = Procedure::Rename;
        self.named(procedure, to)?;
        let arguments = RENAME3args {
            from: place(from_directory, from),
            to: place(to_directory, to),
        };
        let number = NFS_PROGRAM::NFSPROC3_RENAME;
        self.change(procedure, number, &arguments).await?;
        Ok(())
    }

    pub(crate) async fn link(
        &self,
        entry: &[u8],
        directory: &[u8],
        name: &[u8],
    ) -> Result<(), EndpointError> {
        let procedure = Procedure::Link;
        self.named(procedure, name)?;
        let arguments = LINK3args {
            file: wire_handle(entry),
            link: place(directory, name),
        };
        let number = NFS_PROGRAM::NFSPROC3_LINK;
        self.change(procedure, number, &arguments).await?;
        Ok(())
    }

    pub(crate) async fn remove(&self, directory: &[u8], name: &[u8]) -> Result<(), EndpointError> {
        let procedure = Procedure::Remove;
        self.named(procedure, name)?;
        let arguments = REMOVE3args {
            object: place(directory, name),
        };
        let number = NFS_PROGRAM::NFSPROC3_REMOVE;
        self.change(procedure, number, &arguments).await?;
        Ok(())
    }

    pub(crate) async fn remove_directory(
        &self,
        directory: &[u8],
        name: &[u8],
    ) -> Result<(), EndpointError> {
        let procedure = Procedure::RmDir;
        self.named(procedure, name)?;
        let arguments = RMDIR3args {
            object: place(directory, name),
        };
        let number = NFS_PROGRAM::NFSPROC3_RMDIR;
        self.change(procedure, number, &arguments).await?;
        Ok(())
    }
}

fn of_mode(mode: u32) -> sattr3 {
    sattr3 {
        mode: Nfs3Option::Some(mode),
        ..sattr3::default()
    }
}

fn wire_attributes(new: &NewAttributes) -> Result<sattr3, String> {
    let option = |value: Option<u32>| value.map_or(Nfs3Option::None, Nfs3Option::Some);
    Ok(sattr3 {
        mode: option(new.mode),
        uid: option(new.uid),
        gid: option(new.gid),
        size: Nfs3Option::None,
        atime: match new.atime {
            Some(time) => set_atime::SET_TO_CLIENT_TIME(wire_time(time)?),
            None => set_atime::DONT_CHANGE,
        },
        mtime: match new.mtime {
            Some(time) => set_mtime::SET_TO_CLIENT_TIME(wire_time(time)?),
            None => set_mtime::DONT_CHANGE,
        },
    })
}

/// Seconds are unsigned (RFC 1813 §2.5).
fn wire_time(time: Timestamp) -> Result<nfstime3, String> {
    let seconds = u32::try_from(time.seconds).map_err(|_| {
        format!(
            "a time of {} seconds since 1970, which version 3 cannot tell (1970 to 2106): let the \
             location use version 4",
            time.seconds
        )
    })?;
    Ok(nfstime3 {
        seconds,
        nseconds: time.nanoseconds,
    })
}

/// Handle and attributes of `CREATE3resok` and its like, as far as they are told.
pub(super) fn read_made(
    reply: &mut Reply,
) -> Result<(Option<Bytes>, Option<Attributes>), Malformed> {
    let handle = if reply.flag("whether a handle follows")? {
        // A copy, so that 64 bytes do not keep the reply.
        Some(Bytes::copy_from_slice(&read_handle(reply)?))
    } else {
        None
    };
    Ok((handle, read_optional(reply)?))
}

/// Passes `wcc_data` by.
pub(super) fn read_wcc(reply: &mut Reply) -> Result<(), Malformed> {
    if reply.flag("whether attributes of before follow")? {
        // size, mtime, ctime
        for _ in 0..3 {
            reply.u64("attributes of before")?;
        }
    }
    read_optional(reply)?;
    Ok(())
}

pub(super) fn read_written(reply: &mut Reply, asked: u32) -> Result<Written, Malformed> {
    let count = reply.u32("the count of a WRITE")?;
    let committed = reply.u32("how a WRITE was committed")?;
    let verifier = reply.bytes8("the verifier of a WRITE")?;
    written(count, committed, verifier, asked)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn version_3_knows_times_from_1970_to_2106() {
        let at = |seconds| {
            wire_time(Timestamp {
                seconds,
                nanoseconds: 7,
            })
        };
        for seconds in [0, 4_294_967_295] {
            assert_eq!(i64::from(at(seconds).unwrap().seconds), seconds);
        }
        for seconds in [-1, 4_294_967_296] {
            let refused = at(seconds).unwrap_err();
            assert!(refused.contains("version 4"), "{refused}");
        }
    }
}
