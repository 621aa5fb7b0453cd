//! Bytes in and out: bodies into content files, content files into streams.

use std::collections::VecDeque;
use std::io::{self, SeekFrom};
use std::ops::Range;
use std::path::PathBuf;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures::{Stream, StreamExt as _, TryStreamExt as _, stream};
use s3s::{S3Error, S3ErrorCode, S3Result, StdError, s3_error};
use tokio::fs::File;
use tokio::io::{AsyncReadExt as _, AsyncSeekExt as _};

use crate::bucket::disk_error;
use crate::checksum::Algorithm;
use crate::disk::{Disk, Received, blocking};
use crate::object::ObjectRecord;

/// Largest body of one PutObject or UploadPart: 5 GiB.
pub(crate) const BODY_MAX: u64 = 5 * 1024 * 1024 * 1024;

/// A client that sends nothing for so long has lost its connection.
const BODY_IDLE_MAX: Duration = Duration::from_secs(60);

/// Bytes gathered before they go to the disk in one step.
const WRITE_SIZE: usize = 1024 * 1024;

const READ_SIZE: usize = 256 * 1024;

/// Stores a body of known length and hashes it on the way.
///
/// Nothing stays behind when it fails or is cut short.
pub(crate) async fn receive(
    disk: &Disk,
    body: impl Stream<Item = Result<Bytes, StdError>>,
    length: Option<u64>,
    algorithm: Option<Algorithm>,
) -> S3Result<Received> {
    if length.is_some_and(|length| length > BODY_MAX) {
        return Err(too_large());
    }
    let mut body = std::pin::pin!(body);
    let mut writer = None;
    let mut gathered: Vec<Bytes> = Vec::new();
    let mut size = 0;
    let mut total: u64 = 0;
    loop {
        let next = tokio::time::timeout(BODY_IDLE_MAX, body.next()).await;
        let chunk = next.map_err(|_| idle())?.transpose().map_err(body_error)?;
        let last = chunk.is_none();
        if let Some(chunk) = chunk {
            size += chunk.len();
            total += chunk.len() as u64;
            gathered.push(chunk);
        }
        if total > BODY_MAX {
            return Err(too_large());
        }
        if last && length.is_some_and(|length| length != total) {
            return Err(incomplete());
        }
        if !last && size < WRITE_SIZE {
            continue;
        }
        let disk = disk.clone();
        let chunks = std::mem::take(&mut gathered);
        let current = writer.take();
        size = 0;
        let step = move || {
            let mut writer = match current {
                Some(writer) => writer,
                None => disk.writer(algorithm)?,
            };
            chunks.iter().try_for_each(|chunk| writer.write(chunk))?;
            if last {
                writer.finish().map(Step::Done)
            } else {
                Ok(Step::More(writer))
            }
        };
        match blocking(step)
            .await
            .and_then(|step: io::Result<Step>| step)
            .map_err(disk_error)?
        {
            Step::Done(received) => return Ok(received),
            Step::More(more) => writer = Some(more),
        }
    }
}

enum Step {
    More(crate::disk::Writer),
    Done(Received),
}

fn too_large() -> S3Error {
    s3_error!(
        EntityTooLarge,
        "Your proposed upload exceeds the maximum allowed size"
    )
}

fn incomplete() -> S3Error {
    s3_error!(
        IncompleteBody,
        "You did not provide the number of bytes specified by the Content-Length HTTP header"
    )
}

fn idle() -> S3Error {
    s3_error!(
        RequestTimeout,
        "Your socket connection to the server was not read from or written to within the timeout \
         period. Idle connections will be closed."
    )
}

/// s3s checks the payload's signature while the body is read and keeps its error types to itself;
/// their names are all there is to tell them apart.
fn body_error(error: StdError) -> S3Error {
    let text = error.to_string();
    if text.contains("Sha256Mismatch") {
        let mut answer = S3Error::with_message(
            S3ErrorCode::Custom("XAmzContentSHA256Mismatch".into()),
            "The provided 'x-amz-content-sha256' header does not match what was computed.",
        );
        answer.set_status_code(http::StatusCode::BAD_REQUEST);
        return answer;
    }
    if text.contains("SignatureMismatch") {
        return s3_error!(
            SignatureDoesNotMatch,
            "The signature of a chunk of the body does not match the signature you provided."
        );
    }
    let mut answer = incomplete();
    answer.set_source(error);
    answer
}

/// Bytes `range` of an object, read piece by piece.
pub(crate) fn read(
    disk: &Disk,
    record: &ObjectRecord,
    range: Range<u64>,
) -> impl Stream<Item = io::Result<Bytes>> + Send + Sync + use<> {
    stream::try_unfold(Reader::new(disk, record, range), |mut reader| async move {
        let piece = reader.next().await?;
        Ok::<_, io::Error>(piece.map(|piece| (piece, reader)))
    })
}

/// As [`read`], as the body of another write.
pub(crate) fn read_as_body(
    disk: &Disk,
    record: &ObjectRecord,
    range: Range<u64>,
) -> impl Stream<Item = Result<Bytes, StdError>> + Send + Sync + use<> {
    read(disk, record, range).map_err(StdError::from)
}

struct Reader {
    /// Files yet to read: path, first byte, number of bytes.
    rest: VecDeque<(PathBuf, u64, u64)>,
    open: Option<(File, u64)>,
}

impl Reader {
    fn new(disk: &Disk, record: &ObjectRecord, range: Range<u64>) -> Self {
        let mut rest = VecDeque::new();
        let mut start = 0;
        for segment in &record.segments {
            let end = start + segment.size;
            let (from, to) = (range.start.max(start), range.end.min(end));
            if from < to {
                rest.push_back((disk.data_path(&segment.id), from - start, to - from));
            }
            start = end;
        }
        Self { rest, open: None }
    }

    async fn next(&mut self) -> io::Result<Option<Bytes>> {
        if self.open.is_none() {
            let Some((path, offset, length)) = self.rest.pop_front() else {
                return Ok(None);
            };
            let mut file = File::open(path).await?;
            file.set_max_buf_size(READ_SIZE);
            file.seek(SeekFrom::Start(offset)).await?;
            self.open = Some((file, length));
        }
        let Some((file, left)) = &mut self.open else {
            return Ok(None);
        };
        let size = usize::try_from(*left).unwrap_or(READ_SIZE).min(READ_SIZE);
        let mut piece = BytesMut::zeroed(size);
        file.read_exact(&mut piece).await?;
        *left -= size as u64;
        if *left == 0 {
            self.open = None;
        }
        Ok(Some(piece.freeze()))
    }
}
