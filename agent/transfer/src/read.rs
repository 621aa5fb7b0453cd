//! Reading a file in one stable version.

use std::sync::Arc;

use bytes::Bytes;
use datasync_endpoint::{
    Attributes, Crc64, Crc64Hasher, EndpointError, Fingerprint, Handle, Source,
};
use futures::{Stream, StreamExt, TryStreamExt, stream};

use crate::attempts::Attempts;

/// READs in flight for one range.
const READS_IN_FLIGHT: usize = 4;

/// Why a range was not read.
#[derive(Debug)]
pub(crate) enum ReadError {
    /// The file is not the one that was listed any more.
    Changed,
    /// The file ends before the size that its attributes announce.
    Short { announced: u64, delivered: u64 },
    /// The file goes on after the size that its attributes announce.
    Long { announced: u64 },
    /// The source said no.
    Source(EndpointError),
}

/// A range of a file, as received, with the checksum over the received buffers.
#[derive(Debug)]
pub(crate) struct Range {
    pub(crate) chunks: Vec<Bytes>,
    pub(crate) crc64: Crc64,
    /// The attributes that came with the only READ of the range, if one READ was enough.
    pub(crate) attributes: Option<Attributes>,
}

impl Range {
    /// Of one READ, or of the several that it took.
    fn of(chunks: Vec<Bytes>, attributes: Option<Attributes>) -> Self {
        let mut hasher = Crc64Hasher::default();
        chunks.iter().for_each(|chunk| hasher.update(chunk));
        Self {
            chunks,
            crc64: hasher.finish(),
            attributes,
        }
    }
}

/// One version of a file: what is read of another is an error.
#[derive(Debug)]
pub(crate) struct Version<'a, S> {
    pub(crate) source: &'a S,
    pub(crate) attempts: &'a Attempts,
    pub(crate) file: &'a Handle,
    pub(crate) fingerprint: Fingerprint,
}

impl<S: Source> Version<'_, S> {
    /// Reads `length` bytes at `offset`.
    pub(crate) async fn range(&self, offset: u64, length: u64) -> Result<Range, ReadError> {
        let step = u64::from(self.source.read_max().max(1));
        if let Ok(wanted) = u32::try_from(length.min(step))
            && length <= step
        {
            let (chunks, attributes) = self.read_exactly(offset, wanted).await?;
            return Ok(Range::of(chunks, attributes));
        }
        let reads = (0..length.div_ceil(step)).map(|index| {
            let at = offset + index * step;
            let wanted = u32::try_from(step.min(offset + length - at)).unwrap_or(u32::MAX);
            self.read_exactly(at, wanted)
        });
        let mut replies = stream::iter(reads).buffered(READS_IN_FLIGHT);
        let mut chunks = Vec::new();
        let mut hasher = Crc64Hasher::default();
        while let Some((read, _)) = replies.try_next().await? {
            for chunk in read {
                hasher.update(&chunk);
                chunks.push(chunk);
            }
        }
        Ok(Range {
            chunks,
            crc64: hasher.finish(),
            attributes: None,
        })
    }

    /// Whether the file still is what it was before its first READ. `known` are attributes that
    /// came with the last READ.
    pub(crate) async fn is_current(
        &self,
        known: Option<Attributes>,
    ) -> Result<bool, EndpointError> {
        let now = match known {
            Some(attributes) => attributes,
            None => {
                self.attempts
                    .run(|| self.source.attributes(self.file))
                    .await?
            }
        };
        Ok(now.fingerprint() == self.fingerprint)
    }

    /// Makes sure of an end that the last READ did not tell of.
    async fn ends_at(&self, end: u64) -> Result<(), ReadError> {
        let beyond = self.attempts.run(|| self.source.read(self.file, end, 1));
        if beyond.await.map_err(ReadError::Source)?.data.is_empty() {
            return Ok(());
        }
        match self.is_current(None).await.map_err(ReadError::Source)? {
            true => Err(ReadError::Long { announced: end }),
            false => Err(ReadError::Changed),
        }
    }

    /// Reads until `wanted` bytes are there; the attributes are given if one READ did it.
    async fn read_exactly(
        &self,
        offset: u64,
        wanted: u32,
    ) -> Result<(Vec<Bytes>, Option<Attributes>), ReadError> {
        // An empty file is read too: the reply's attributes tell whether it still is empty.
        let mut missing = wanted.max(1);
        let mut at = offset;
        let mut chunks = Vec::new();
        loop {
            let reply = self
                .attempts
                .run(|| self.source.read(self.file, at, missing))
                .await
                .map_err(ReadError::Source)?;
            if reply
                .attributes
                .is_some_and(|now| now.fingerprint() != self.fingerprint)
            {
                return Err(ReadError::Changed);
            }
            let got = u32::try_from(reply.data.len())
                .unwrap_or(u32::MAX)
                .min(missing);
            if wanted == 0 {
                let grown = got > 0;
                return if grown {
                    Err(ReadError::Changed)
                } else {
                    Ok((chunks, reply.attributes))
                };
            }
            if got > 0 {
                chunks.push(reply.data.slice(..got as usize));
            }
            at += u64::from(got);
            missing -= got;
            if missing == 0 {
                if at == self.fingerprint.size && !reply.eof {
                    Box::pin(self.ends_at(at)).await?;
                }
                let only = chunks.len() == 1;
                return Ok((chunks, reply.attributes.filter(|_| only)));
            }
            if reply.eof || got == 0 {
                return Err(ReadError::Short {
                    announced: self.fingerprint.size,
                    delivered: at,
                });
            }
        }
    }
}

/// READs in flight of a [`stream_range`].
pub(crate) const STREAM_READS: u64 = 4;

/// The chunks of a range of a file, read as they are taken.
pub(crate) fn stream_range<S: Source>(
    source: Arc<S>,
    file: Handle,
    fingerprint: Fingerprint,
    (offset, length): (u64, u64),
    attempts: Arc<Attempts>,
) -> impl Stream<Item = Result<Bytes, ReadError>> + Send {
    let step = u64::from(source.read_max().max(1));
    let reads = (0..length.div_ceil(step)).map(move |index| {
        let at = offset + index * step;
        let wanted = u32::try_from(step.min(offset + length - at)).unwrap_or(u32::MAX);
        let (source, file) = (Arc::clone(&source), file.clone());
        let attempts = Arc::clone(&attempts);
        async move {
            let version = Version {
                source: &*source,
                attempts: &attempts,
                file: &file,
                fingerprint,
            };
            let (chunks, _) = version.read_exactly(at, wanted).await?;
            Ok(stream::iter(chunks.into_iter().map(Ok)))
        }
    });
    let in_flight = usize::try_from(STREAM_READS).unwrap_or(1);
    stream::iter(reads).buffered(in_flight).try_flatten()
}
