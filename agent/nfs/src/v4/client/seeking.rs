//! Where data and holes of a file are.

use datasync_endpoint::EndpointError;

use super::Client;
use crate::counts::Procedure;
use crate::v4::attributes::Wanted;
use crate::v4::compound::{Compound, Operation, Unanswered};
use crate::v4::holes::Extent;
use crate::v4::status::Status;
use crate::xdr::{Malformed, Reply};

const DATA: u32 = 0;
const HOLE: u32 = 1;

impl Client {
    /// What of a file begins at `offset`, and the file's attributes before it was looked for.
    ///
    /// # Errors
    /// `NotSupported` where the server does not tell.
    pub(in crate::v4) async fn extent(
        &self,
        file: &[u8],
        offset: u64,
    ) -> Result<Extent, EndpointError> {
        let procedure = Procedure::Seek;
        let further = |compound: Compound| {
            let compound = compound.attributes(Wanted::Entry);
            compound.seek(offset, DATA).seek(offset, HOLE)
        };
        let mut results = self.at(procedure, file, further).await?;
        let attributes = self.attributes_of(procedure, &mut results)?;
        let data = results
            .next(Operation::Seek)
            .and_then(|reply| Ok(read_seek(reply)?));
        let data = match data {
            Ok(data) => data,
            Err(Unanswered::Status(Status::NXIO)) => None,
            Err(why) => return Err(self.unanswered(procedure, &why)),
        };
        let end = match data {
            Some(begin) if begin <= offset => results
                .next(Operation::Seek)
                .and_then(|reply| Ok(read_seek(reply)?))
                .map_err(|why| self.unanswered(procedure, &why))?,
            _ => None,
        };
        Ok(Extent::at(offset, data, end, attributes))
    }
}

/// Where it is; `None` at the end of the file.
pub(super) fn read_seek(reply: &mut Reply) -> Result<Option<u64>, Malformed> {
    let eof = reply.flag("the eof of a SEEK")?;
    let offset = reply.u64("the offset of a SEEK")?;
    Ok((!eof).then_some(offset))
}
