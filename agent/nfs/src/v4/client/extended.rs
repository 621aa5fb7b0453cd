//! Access control lists and extended attributes.

use bytes::Bytes;
use datasync_endpoint::{Acl, EndpointError, ErrorKind};

use super::Client;
use super::changes::{read_bitmap, read_change};
use crate::counts::Procedure;
use crate::v4::acl::{ACL_BITMAP, ACL_SIZE_MAX, ExtendedValues, SUPPORT_BITMAP, acl_value};
use crate::v4::compound::{ANONYMOUS, Compound, Operation, Unanswered};
use crate::v4::extended::MINOR_OF_XATTRS;
use crate::v4::status::Status;
use crate::v4::xattrs::{NamePage, PAGE_MAX, read_names, read_value};
use crate::xdr::Malformed;

/// `SETXATTR4_EITHER` (RFC 8276 §8.4.3): it may be there or not.
const EITHER: u32 = 0;

impl Client {
    async fn extended_values(
        &self,
        entry: &[u8],
        bitmap: &[u32],
    ) -> Result<ExtendedValues, EndpointError> {
        let procedure = Procedure::GetAttr;
        let further = |compound: Compound| compound.operation(Operation::GetAttr).words(bitmap);
        let mut results = self.at(procedure, entry, further).await?;
        let read = results
            .next(Operation::GetAttr)
            .and_then(|reply| Ok(ExtendedValues::read(reply, &self.owners)?));
        read.map_err(|why| match why {
            Unanswered::Malformed(Malformed::TooLong { announced, .. }) => {
                let detail = format!(
                    "its access control list takes {announced} bytes; at most \
                     {ACL_SIZE_MAX} are taken"
                );
                self.error(ErrorKind::TooLarge, procedure, detail)
            }
            why => self.unanswered(procedure, &why),
        })
    }

    /// What the server says of the file system that an entry is in.
    pub(in crate::v4) async fn extended_support(
        &self,
        entry: &[u8],
    ) -> Result<ExtendedValues, EndpointError> {
        if self.minor < MINOR_OF_XATTRS {
            return self.extended_values(entry, &[1, SUPPORT_BITMAP[1]]).await;
        }
        self.extended_values(entry, &SUPPORT_BITMAP).await
    }

    /// The list of an entry; `None` if it has none.
    pub(crate) async fn acl(&self, entry: &[u8]) -> Result<Option<Acl>, EndpointError> {
        Ok(self.extended_values(entry, &ACL_BITMAP).await?.acl)
    }

    pub(crate) async fn set_acl(&self, entry: &[u8], acl: &Acl) -> Result<(), EndpointError> {
        let procedure = Procedure::SetAttr;
        let value = acl_value(acl);
        let further = |compound: Compound| {
            compound
                .operation(Operation::SetAttr)
                .words(&ANONYMOUS)
                .words(&ACL_BITMAP)
                .data(&value)
        };
        let mut results = self.change(procedure, entry, further).await?;
        self.result(procedure, &mut results, Operation::SetAttr, read_bitmap)
    }

    /// A page of the names of an entry's extended attributes, after `cookie`.
    pub(in crate::v4) async fn xattr_names(
        &self,
        entry: &[u8],
        cookie: u64,
    ) -> Result<NamePage, EndpointError> {
        let procedure = Procedure::ListXattrs;
        let further = |compound: Compound| {
            let compound = compound.operation(Operation::ListXattrs);
            compound.longs(&[cookie]).words(&[PAGE_MAX])
        };
        let mut results = self.at(procedure, entry, further).await?;
        results
            .next(Operation::ListXattrs)
            .and_then(|reply| Ok(read_names(reply, cookie)?))
            .map_err(|why| self.unanswered(procedure, &why))
    }

    /// A value; `None` if there is no such attribute.
    pub(in crate::v4) async fn xattr(
        &self,
        entry: &[u8],
        name: &[u8],
    ) -> Result<Option<Bytes>, EndpointError> {
        let procedure = Procedure::GetXattr;
        let further = |compound: Compound| compound.operation(Operation::GetXattr).data(name);
        let mut results = self.at(procedure, entry, further).await?;
        let value = results
            .next(Operation::GetXattr)
            .and_then(|reply| Ok(read_value(reply)?));
        match value {
            Ok(value) => Ok(Some(value)),
            Err(Unanswered::Status(Status::NO_XATTR)) => Ok(None),
            Err(why) => Err(self.unanswered(procedure, &why)),
        }
    }

    pub(crate) async fn set_xattr(
        &self,
        entry: &[u8],
        name: &[u8],
        value: &[u8],
    ) -> Result<(), EndpointError> {
        let procedure = Procedure::SetXattr;
        let further = |compound: Compound| {
            let compound = compound.operation(Operation::SetXattr);
            compound.words(&[EITHER]).data(name).data(value)
        };
        let mut results = self.change(procedure, entry, further).await?;
        self.result(procedure, &mut results, Operation::SetXattr, read_change)
    }

    pub(crate) async fn remove_xattr(
        &self,
        entry: &[u8],
        name: &[u8],
    ) -> Result<(), EndpointError> {
        let procedure = Procedure::RemoveXattr;
        let further = |compound: Compound| compound.operation(Operation::RemoveXattr).data(name);
        let mut results = self.change(procedure, entry, further).await?;
        self.result(procedure, &mut results, Operation::RemoveXattr, read_change)
    }
}
