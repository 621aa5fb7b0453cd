//! Small files by two COMPOUNDs: one makes, writes and reads, the other sets attributes and renames.

use datasync_endpoint::{Attributes, EndpointError};

use super::super::attributes::Wanted;
use super::super::compound::{Compound, Operation, Results};
use super::changes::{FILE_SYNC, read_bitmap, read_change, read_written};
use super::{Client, read_results};
use crate::changes::{NewAttributes, Whole};
use crate::counts::Procedure;
use crate::xdr::Reply;

/// Of the larger COMPOUND of the two, with its SEQUENCE.
const OPERATIONS: u32 = 9;

impl Client {
    /// Makes a file with all of its content, brings it to stable storage and reads it back. `None` where
    /// that is more than one COMPOUND may have, and of version 4.0, where an OPEN may have to be confirmed.
    ///
    /// What comes after the CLOSE carries the anonymous stateid, so that a refusal leaves nothing open,
    /// and READ is the last: see [`Client::read`].
    pub(crate) async fn make_whole_file(
        &self,
        directory: &[u8],
        name: &[u8],
        (mode, content): (u32, &[u8]),
    ) -> Result<Option<Whole>, EndpointError> {
        if self.minor == 0 || !self.is_taken(OPERATIONS).await? {
            return Ok(None);
        }
        let procedure = Procedure::Open;
        self.named(procedure, name)?;
        let asked = u32::try_from(content.len()).unwrap_or(u32::MAX);
        let further = |compound| {
            let made = self.open_and_close(compound, name, mode);
            made.write(0, FILE_SYNC, content).read(0, asked)
        };
        let mut results = self.change(procedure, directory, further).await?;
        let made = self.opened_and_closed(procedure, &mut results)?;
        let procedure = Procedure::Write;
        let written = self.result(procedure, &mut results, Operation::Write, |reply| {
            read_written(reply, asked)
        })?;
        let procedure = Procedure::Read;
        let (content, _) = self.result(procedure, &mut results, Operation::Read, |reply| {
            read_results(reply, asked)
        })?;
        Ok(Some(Whole {
            made,
            written,
            content,
        }))
    }

    /// Sets attributes of an entry, renames it, and gives its attributes where they can be had. The
    /// error names the operation that was refused.
    pub(crate) async fn set_and_rename(
        &self,
        (entry, new): (&[u8], &NewAttributes),
        (from_directory, from): (&[u8], &[u8]),
        (to_directory, to): (&[u8], &[u8]),
    ) -> Result<Option<Attributes>, EndpointError> {
        let procedure = Procedure::Rename;
        self.named(procedure, to)?;
        let sets = *new != NewAttributes::default();
        if !self.is_taken(OPERATIONS).await? {
            if sets {
                self.set_attributes(entry, new).await?;
            }
            let renaming = self.rename((from_directory, from), (to_directory, to));
            return renaming.await.map(|()| None);
        }
        let further = |compound: Compound| {
            let compound = if sets {
                compound.set_attributes(new)
            } else {
                compound
            };
            let saved = compound.put(from_directory).operation(Operation::SaveFh);
            let renamed = saved.put(to_directory).operation(Operation::Rename);
            let renamed = renamed.data(from).data(to);
            renamed.put(entry).attributes(Wanted::Entry)
        };
        let mut results = self.change(procedure, entry, further).await?;
        if sets {
            let procedure = Procedure::SetAttr;
            self.result(procedure, &mut results, Operation::SetAttr, read_bitmap)?;
        }
        self.renamed(&mut results)?;
        if results.next(Operation::PutFh).is_err() {
            return Ok(None);
        }
        Ok(self.attributes_of(Procedure::GetAttr, &mut results).ok())
    }

    /// Whether a COMPOUND may have so many operations.
    async fn is_taken(&self, operations: u32) -> Result<bool, EndpointError> {
        if self.minor == 0 {
            return Ok(true);
        }
        Ok(self.session().await?.operations_max >= operations)
    }

    fn renamed(&self, results: &mut Results) -> Result<(), EndpointError> {
        let procedure = Procedure::Rename;
        let passed = |_: &mut Reply| Ok(());
        for operation in [Operation::PutFh, Operation::SaveFh, Operation::PutFh] {
            self.result(procedure, results, operation, passed)?;
        }
        self.result(procedure, results, Operation::Rename, read_change)
    }
}
