//! The operations that change a file system (RFC 8881 §18). WRITEs carry the anonymous stateid, as
//! READs do: see `docs/adr/0016-nfs-destination.md`.

use bytes::Bytes;
use datasync_endpoint::{DeviceNumbers, EndpointError, ErrorKind};

use super::super::attributes::Wanted;
use super::super::compound::{Compound, Operation, Results, Unanswered};
use super::Client;
use crate::changes::{Made, NewAttributes, Verifier, Written, unsure, written};
use crate::counts::Procedure;
use crate::status::{is_name, printable};
use crate::xdr::{Malformed, Reply};

/// `nfs_ftype4` of what CREATE makes.
const DIRECTORY: u32 = 2;
const BLOCK_DEVICE: u32 = 3;
const CHAR_DEVICE: u32 = 4;
const LINK: u32 = 5;
/// `stable_how4`.
const UNSTABLE: u32 = 0;
pub(super) const FILE_SYNC: u32 = 2;
/// The most words of a bitmap.
const BITMAP_MAX: u32 = 8;

impl Client {
    pub(super) fn named(&self, procedure: Procedure, name: &[u8]) -> Result<(), EndpointError> {
        if is_name(name) {
            return Ok(());
        }
        let detail = "not a name: 1 to 255 bytes, no '/', no NUL, not '.' or '..'".to_owned();
        let mut error = self.error(ErrorKind::InvalidName, procedure, detail);
        error.target = format!("{} {:?}", error.target, printable(name));
        Err(error)
    }

    /// The results of operations that come after a PUTFH and may have changed something.
    pub(super) async fn change(
        &self,
        procedure: Procedure,
        handle: &[u8],
        further: impl FnOnce(Compound) -> Compound,
    ) -> Result<Results, EndpointError> {
        let called = self.at(procedure, handle, further).await;
        called.map_err(unsure)
    }

    /// Reads the result of one operation.
    pub(super) fn result<T>(
        &self,
        procedure: Procedure,
        results: &mut Results,
        operation: Operation,
        read: impl FnOnce(&mut Reply) -> Result<T, Malformed>,
    ) -> Result<T, EndpointError> {
        results
            .next(operation)
            .and_then(|reply| Ok(read(reply)?))
            .map_err(|why| unsure(self.unanswered(procedure, &why)))
    }

    /// Handle and attributes of what was made.
    pub(super) fn made(
        &self,
        procedure: Procedure,
        results: &mut Results,
    ) -> Result<Made, EndpointError> {
        let handle = results
            .handle()
            .map_err(|why| unsure(self.unanswered(procedure, &why)))?;
        let attributes = self.attributes_of(procedure, results).map_err(unsure)?;
        Ok((Bytes::copy_from_slice(&handle), attributes))
    }

    /// Makes an empty file: OPEN is the only way, and what it opens is closed at once.
    pub(crate) async fn make_file(
        &self,
        directory: &[u8],
        name: &[u8],
        mode: u32,
    ) -> Result<Made, EndpointError> {
        self.named(Procedure::Open, name)?;
        if self.minor == 0 {
            self.make_file_by_owner(directory, name, mode).await
        } else {
            self.make_file_in_session(directory, name, mode).await
        }
    }

    async fn create(
        &self,
        directory: &[u8],
        name: &[u8],
        mode: u32,
        kind: impl FnOnce(Compound) -> Compound,
    ) -> Result<Made, EndpointError> {
        let procedure = Procedure::Create;
        self.named(procedure, name)?;
        let new = NewAttributes {
            mode: Some(mode),
            ..NewAttributes::default()
        };
        let further = |compound: Compound| {
            kind(compound.operation(Operation::Create))
                .data(name)
                .new_attributes(&new)
                .handle()
                .attributes(Wanted::Entry)
        };
        let mut results = self.change(procedure, directory, further).await?;
        self.result(procedure, &mut results, Operation::Create, |reply| {
            read_change(reply)?;
            read_bitmap(reply)
        })?;
        self.made(procedure, &mut results)
    }

    pub(crate) async fn make_directory(
        &self,
        directory: &[u8],
        name: &[u8],
        mode: u32,
    ) -> Result<Made, EndpointError> {
        let kind = |compound: Compound| compound.words(&[DIRECTORY]);
        self.create(directory, name, mode, kind).await
    }

    pub(crate) async fn make_link(
        &self,
        directory: &[u8],
        name: &[u8],
        target: &[u8],
    ) -> Result<Made, EndpointError> {
        let kind = |compound: Compound| compound.words(&[LINK]).data(target);
        self.create(directory, name, 0o777, kind).await
    }

    pub(crate) async fn make_device(
        &self,
        directory: &[u8],
        name: &[u8],
        (is_block, numbers): (bool, DeviceNumbers),
        mode: u32,
    ) -> Result<Made, EndpointError> {
        let kind = if is_block { BLOCK_DEVICE } else { CHAR_DEVICE };
        let words = [kind, numbers.major, numbers.minor];
        self.create(directory, name, mode, |compound| compound.words(&words))
            .await
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
        let stable = if is_stable { FILE_SYNC } else { UNSTABLE };
        let further = |compound: Compound| compound.write(offset, stable, data);
        let mut results = self.change(procedure, file, further).await?;
        self.result(procedure, &mut results, Operation::Write, |reply| {
            read_written(reply, asked)
        })
    }

    pub(crate) async fn commit(&self, file: &[u8]) -> Result<Verifier, EndpointError> {
        let procedure = Procedure::Commit;
        let further = |compound: Compound| {
            let compound = compound.operation(Operation::Commit);
            compound.longs(&[0]).words(&[0])
        };
        let mut results = self.change(procedure, file, further).await?;
        self.result(procedure, &mut results, Operation::Commit, |reply| {
            reply.bytes8("the verifier of a COMMIT")
        })
    }

    pub(crate) async fn set_attributes(
        &self,
        entry: &[u8],
        new: &NewAttributes,
    ) -> Result<(), EndpointError> {
        let procedure = Procedure::SetAttr;
        let further = |compound: Compound| compound.set_attributes(new);
        let mut results = self.change(procedure, entry, further).await?;
        self.result(procedure, &mut results, Operation::SetAttr, read_bitmap)
    }

    /// A call about an entry of a second directory: the first handle is the saved one.
    async fn with_saved(
        &self,
        procedure: Procedure,
        (saved, present): (&[u8], &[u8]),
        operation: Operation,
        further: impl FnOnce(Compound) -> Compound,
    ) -> Result<(), EndpointError> {
        let compound = |compound: Compound| {
            let compound = compound.operation(Operation::SaveFh).put(present);
            further(compound.operation(operation))
        };
        let mut results = self.change(procedure, saved, compound).await?;
        let passed = |_: &mut Reply| Ok(());
        self.result(procedure, &mut results, Operation::SaveFh, passed)?;
        self.result(procedure, &mut results, Operation::PutFh, passed)?;
        self.result(procedure, &mut results, operation, read_change)
    }

    pub(crate) async fn rename(
        &self,
        (from_directory, from): (&[u8], &[u8]),
        (to_directory, to): (&[u8], &[u8]),
    ) -> Result<(), EndpointError> {
        let procedure = Procedure::Rename;
        self.named(procedure, to)?;
        let handles = (from_directory, to_directory);
        let names = |compound: Compound| compound.data(from).data(to);
        self.with_saved(procedure, handles, Operation::Rename, names)
            .await
    }

    pub(crate) async fn link(
        &self,
        entry: &[u8],
        directory: &[u8],
        name: &[u8],
    ) -> Result<(), EndpointError> {
        let procedure = Procedure::Link;
        self.named(procedure, name)?;
        let new_name = |compound: Compound| compound.data(name);
        self.with_saved(procedure, (entry, directory), Operation::Link, new_name)
            .await
    }

    pub(crate) async fn remove(&self, directory: &[u8], name: &[u8]) -> Result<(), EndpointError> {
        let procedure = Procedure::Remove;
        self.named(procedure, name)?;
        let further = |compound: Compound| compound.operation(Operation::Remove).data(name);
        let mut results = self.change(procedure, directory, further).await?;
        self.result(procedure, &mut results, Operation::Remove, read_change)
    }
}

pub(super) fn read_written(reply: &mut Reply, asked: u32) -> Result<Written, Malformed> {
    let count = reply.u32("the count of a WRITE")?;
    let committed = reply.u32("how a WRITE was committed")?;
    let verifier = reply.bytes8("the verifier of a WRITE")?;
    written(count, committed, verifier, asked)
}

/// Passes `change_info4` by.
pub(super) fn read_change(reply: &mut Reply) -> Result<(), Malformed> {
    reply.u32("whether a change was atomic")?;
    for _ in 0..2 {
        reply.u64("a change attribute")?;
    }
    Ok(())
}

/// Passes the bitmap of attributes that were set by.
pub(super) fn read_bitmap(reply: &mut Reply) -> Result<(), Malformed> {
    let count = reply.u32("the length of a bitmap")?;
    if count > BITMAP_MAX {
        return Err(Malformed::TooLong {
            what: "a bitmap",
            announced: count as usize * 4,
            max: BITMAP_MAX as usize * 4,
        });
    }
    for _ in 0..count {
        reply.u32("a bitmap")?;
    }
    Ok(())
}

/// The status that an operation was refused with.
pub(super) fn refused(why: &Unanswered) -> Option<super::Status> {
    match why {
        Unanswered::Status(status) => Some(*status),
        Unanswered::Malformed(_) => None,
    }
}
