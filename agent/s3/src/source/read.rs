//! What one object tells and holds.

use aws_smithy_types::body::SdkBody;
use aws_smithy_types::byte_stream::ByteStream;
use bytes::{Bytes, BytesMut};
use datasync_endpoint::{Crc64, EndpointError, ErrorKind, ReadReply};

use super::S3Source;
use super::facts::Facts;
use super::handle::Item;
use crate::calls::Operation;
use crate::error::chain;
use crate::lean::Ask;
use crate::presence::READ_REFUSED;
use crate::requests::Wait;

/// An object is not what it was.
const REPLACED: &str = "the object was replaced meanwhile";

impl S3Source {
    /// What HEAD tells; `None` if there is no such object. With an ETag, another object is a
    /// [`ErrorKind::Stale`].
    pub(super) async fn head(
        &self,
        object_key: &str,
        etag: Option<&str>,
    ) -> Result<Option<Facts>, EndpointError> {
        let operation = Operation::HeadObject;
        let target = self.store.place.target(object_key);
        let requests = &self.store.requests;
        let turn = requests.turn(operation, &target).await?;
        let ask = Ask {
            operation,
            object_key,
            target: &target,
            range: None,
            etag,
        };
        let asking = Box::pin(self.store.ask_object(ask));
        let answer = match requests
            .within(Wait::Answer, operation, &target, asking)
            .await?
        {
            Ok(answer) => answer,
            Err(error) if error.kind == ErrorKind::NotFound => return Ok(None),
            Err(error) if error.kind == ErrorKind::PermissionDenied && etag.is_none() => {
                drop(turn);
                self.store.missing_or_refused(object_key, error).await?;
                return Ok(None);
            }
            Err(error) => return Err(self.explained(error)),
        };
        let facts = self.facts(operation, object_key, Facts::read(&answer.headers))?;
        if etag.is_some_and(|etag| etag != facts.etag) {
            return Err(self.error(ErrorKind::Stale, operation, object_key, REPLACED));
        }
        Ok(Some(facts))
    }

    fn facts(
        &self,
        operation: Operation,
        object_key: &str,
        read: Result<Facts, String>,
    ) -> Result<Facts, EndpointError> {
        read.map_err(|wrong| {
            let detail = format!("the store answers with {wrong}");
            self.error(ErrorKind::Protocol, operation, object_key, detail)
        })
    }

    /// Bytes of an object in the version of `item`.
    pub(super) async fn content(
        &self,
        item: &Item,
        offset: u64,
        length: u32,
    ) -> Result<ReadReply, EndpointError> {
        let there = item.size.saturating_sub(offset);
        let wanted = u64::from(length).min(there);
        if wanted == 0 && item.size > 0 {
            return Ok(ReadReply {
                data: Bytes::new(),
                eof: true,
                attributes: None,
            });
        }
        let is_whole = wanted == item.size;
        let range = (!is_whole).then(|| (offset, offset + wanted - 1));
        let (facts, data) = self.get(item, range, wanted).await?;
        if is_whole
            && let Some(told) = facts.told.crc64
            && told != Crc64::of(&data)
        {
            let detail = format!(
                "what came is not what the store has the CRC-64/NVME {:016x} of",
                told.0
            );
            let operation = Operation::GetObject;
            return Err(self.error(ErrorKind::ServerFault, operation, &item.key, detail));
        }
        let attributes = self.node_of(item, &facts).attributes;
        if is_whole {
            self.note(item, facts);
        }
        Ok(ReadReply {
            data,
            eof: offset.saturating_add(wanted) >= item.size,
            attributes: Some(attributes),
        })
    }

    /// A range of exactly `wanted` bytes, or all.
    async fn get(
        &self,
        item: &Item,
        range: Option<(u64, u64)>,
        wanted: u64,
    ) -> Result<(Facts, Bytes), EndpointError> {
        let operation = Operation::GetObject;
        let target = self.store.place.target(&item.key);
        let requests = &self.store.requests;
        let _turn = requests.turn(operation, &target).await?;
        let ask = Ask {
            operation,
            object_key: &item.key,
            target: &target,
            range,
            etag: Some(&item.etag),
        };
        let asking = Box::pin(self.store.ask_object(ask));
        let answer = requests
            .within(Wait::Answer, operation, &target, asking)
            .await?;
        let answer = answer.map_err(|error| self.gone(error))?;
        let facts = self.facts(operation, &item.key, Facts::read(&answer.headers))?;
        if facts.etag != item.etag {
            return Err(self.error(ErrorKind::Stale, operation, &item.key, REPLACED));
        }
        if facts.range != range || facts.size != item.size {
            let detail = format!(
                "asked for {range:?} of {} bytes, the store delivers {:?} of {}",
                item.size, facts.range, facts.size
            );
            return Err(self.error(ErrorKind::Protocol, operation, &item.key, detail));
        }
        let data = self.body(answer.body, wanted, &target).await?;
        Ok((facts, data))
    }

    /// Exactly `wanted` bytes of an answer.
    async fn body(&self, body: SdkBody, wanted: u64, target: &str) -> Result<Bytes, EndpointError> {
        let operation = Operation::GetObject;
        let wrong =
            |kind, detail: String| Err(EndpointError::new(kind, operation.name(), target, detail));
        let mut stream = ByteStream::new(body);
        let mut data = BytesMut::with_capacity(usize::try_from(wanted).unwrap_or_default());
        loop {
            let next = stream.try_next();
            let requests = &self.store.requests;
            let came = requests
                .within(Wait::Answer, operation, target, next)
                .await?;
            let came = match came {
                Ok(Some(bytes)) => bytes,
                Ok(None) if data.len() as u64 == wanted => return Ok(data.freeze()),
                Ok(None) => {
                    let detail = format!("{wanted} bytes were announced, {} came", data.len());
                    return wrong(ErrorKind::Unreachable, detail);
                }
                Err(error) => {
                    let why = chain(&error);
                    let detail = format!("the answer broke off at byte {}: {why}", data.len());
                    return wrong(ErrorKind::Unreachable, detail);
                }
            };
            if (data.len() + came.len()) as u64 > wanted {
                let detail = format!("more than the {wanted} bytes that were announced came");
                return wrong(ErrorKind::Protocol, detail);
            }
            data.extend_from_slice(&came);
        }
    }

    /// An object that is not there any more, or not in that version, is stale.
    fn gone(&self, error: EndpointError) -> EndpointError {
        match error.kind {
            ErrorKind::NotFound | ErrorKind::Precondition => EndpointError {
                kind: ErrorKind::Stale,
                ..error
            },
            _ => self.explained(error),
        }
    }

    /// The same error, with what it means for a source.
    pub(super) fn explained(&self, mut error: EndpointError) -> EndpointError {
        match error.kind {
            ErrorKind::Precondition => error.kind = ErrorKind::Stale,
            ErrorKind::NotSupported if error.detail.contains("InvalidObjectState") => {
                let advice = "the object is archived: restore it first";
                error.detail = format!("{advice}: {}", error.detail);
            }
            ErrorKind::PermissionDenied => {
                error.detail = format!("{READ_REFUSED}: {}", error.detail);
            }
            _ => {}
        }
        error
    }
}
