//! A body that is followed by its checksum: `aws-chunked`, an unsigned payload and a trailer
//! ("Signature calculations: including trailing headers", Amazon S3 API reference).

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use aws_runtime::auth::PayloadSigningOverride;
use aws_sdk_s3::config::interceptors::BeforeTransmitInterceptorContextMut;
use aws_sdk_s3::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_s3::error::BoxError;
use bytes::Bytes;
use datasync_endpoint::BrokenOff;
use http_body::{Body, Frame, SizeHint};

use crate::body::{Digests, PacedBody};
use crate::sums::Proof;

/// Of every chunk but the last, in bytes.
pub(crate) const CHUNK: u64 = 1 << 20;
/// The least that S3 takes.
pub(crate) const CHUNK_MIN: u64 = 8 << 10;

/// The line before a chunk of `length` bytes.
fn chunk_line(length: u64) -> String {
    format!("{length:x}\r\n")
}

/// The bytes of a content of `length` bytes with all that is put around it.
fn encoded_length(length: u64, chunk: u64, proof: Proof) -> u64 {
    let framed = |bytes: u64| match bytes {
        0 => 0,
        bytes => chunk_line(bytes).len() as u64 + bytes + 2,
    };
    let end = "0\r\n:\r\n\r\n".len() + proof.header().len();
    (length / chunk) * framed(chunk) + framed(length % chunk) + end as u64 + proof.text_length()
}

/// Puts lines around the body's own slices, which are not copied.
pub(crate) struct Trailed {
    body: PacedBody,
    proof: Proof,
    /// Of the content, as the body gives it.
    digests: Arc<Mutex<Digests>>,
    /// Of the content, in bytes.
    remaining: u64,
    chunk: u64,
    /// What the present chunk lacks, in bytes.
    open: u64,
    ready: VecDeque<Bytes>,
    ended: bool,
    encoded_remaining: u64,
}

impl Trailed {
    /// In chunks of `chunk` bytes.
    pub(crate) fn new(
        body: PacedBody,
        length: u64,
        chunk: u64,
        digests: Arc<Mutex<Digests>>,
    ) -> Self {
        let chunk = chunk.max(CHUNK_MIN);
        let known = digests.lock().unwrap_or_else(PoisonError::into_inner);
        let proof = known.sum().proof();
        drop(known);
        Self {
            body,
            proof,
            digests,
            remaining: length,
            chunk,
            open: 0,
            ready: VecDeque::new(),
            ended: false,
            encoded_remaining: encoded_length(length, chunk, proof),
        }
    }

    /// Which checksum follows.
    pub(crate) fn proof(&self) -> Proof {
        self.proof
    }

    fn take(&mut self, mut slice: Bytes) -> Result<(), BrokenOff> {
        while !slice.is_empty() {
            if self.open == 0 {
                self.open = self.remaining.min(self.chunk);
                self.ready.push_back(chunk_line(self.open).into());
            }
            let length =
                usize::try_from(self.open).map_or(slice.len(), |open| open.min(slice.len()));
            if length == 0 {
                // More than was announced.
                return Err(BrokenOff);
            }
            self.ready.push_back(slice.split_to(length));
            self.open -= length as u64;
            self.remaining -= length as u64;
            if self.open == 0 {
                self.ready.push_back(Bytes::from_static(b"\r\n"));
            }
        }
        Ok(())
    }

    fn end(&mut self) -> Result<(), BrokenOff> {
        if self.remaining > 0 {
            return Err(BrokenOff);
        }
        let digests = self.digests.lock().unwrap_or_else(PoisonError::into_inner);
        let sum = digests.sum();
        drop(digests);
        let (name, value) = (self.proof.header(), sum.text());
        let trailer = format!("0\r\n{name}:{value}\r\n\r\n");
        self.ready.push_back(trailer.into());
        self.ended = true;
        Ok(())
    }
}

impl Body for Trailed {
    type Data = Bytes;
    type Error = BrokenOff;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BrokenOff>>> {
        let this = self.get_mut();
        loop {
            if let Some(next) = this.ready.pop_front() {
                this.encoded_remaining = this.encoded_remaining.saturating_sub(next.len() as u64);
                return Poll::Ready(Some(Ok(Frame::data(next))));
            }
            if this.ended {
                return Poll::Ready(None);
            }
            let taken = match ready!(Pin::new(&mut this.body).poll_frame(context)) {
                Some(Ok(frame)) => frame.into_data().map_or(Ok(()), |slice| this.take(slice)),
                Some(Err(broken)) => Err(broken),
                None => this.end(),
            };
            if let Err(broken) = taken {
                return Poll::Ready(Some(Err(broken)));
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.ended && self.ready.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.encoded_remaining)
    }
}

/// The headers of a request with such a body.
#[derive(Debug, Clone, Copy)]
pub(crate) struct TrailerHeaders {
    pub(crate) proof: Proof,
    /// Of the content in bytes.
    pub(crate) length: u64,
}

impl Intercept for TrailerHeaders {
    fn name(&self) -> &'static str {
        "TrailerHeaders"
    }

    fn modify_before_signing(
        &self,
        context: &mut BeforeTransmitInterceptorContextMut<'_>,
        _components: &RuntimeComponents,
        config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let headers = context.request_mut().headers_mut();
        headers.try_insert("content-encoding", "aws-chunked")?;
        headers.try_insert("x-amz-decoded-content-length", self.length.to_string())?;
        headers.try_insert("x-amz-trailer", self.proof.header())?;
        config
            .interceptor_state()
            .store_put(PayloadSigningOverride::StreamingUnsignedPayloadTrailer);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use datasync_endpoint::{Algorithm, PartStream, Unpaced};

    use super::*;
    use crate::body::Progress;
    use crate::sums::Sum;

    /// What is sent of `length` announced bytes, given as `slices`.
    fn sent(proof: Proof, slices: Vec<Bytes>, length: usize) -> Result<Vec<u8>, BrokenOff> {
        let digests = Arc::new(Mutex::new(Digests::of(Some(proof))));
        let part = PartStream {
            chunks: Box::pin(futures::stream::iter(slices.into_iter().map(Ok))),
            length: length as u64,
            pace: Arc::new(Unpaced),
        };
        let body = PacedBody::streamed(part, Arc::clone(&digests), Progress::new());
        let mut body = Trailed::new(body, length as u64, CHUNK, digests);
        let announced = body.size_hint().exact().unwrap();
        let mut context = Context::from_waker(Waker::noop());
        let mut all = Vec::new();
        while let Poll::Ready(Some(frame)) = Pin::new(&mut body).poll_frame(&mut context) {
            all.extend_from_slice(&frame?.into_data().unwrap());
        }
        assert!(body.is_end_stream());
        assert_eq!(announced, all.len() as u64);
        Ok(all)
    }

    #[test]
    fn chunks_have_a_fixed_size_whatever_the_slices() {
        let chunk = usize::try_from(CHUNK).unwrap();
        for (length, lines) in [
            (0, vec![]),
            (5, vec!["5"]),
            (chunk, vec!["100000"]),
            (2 * chunk + 17, vec!["100000", "100000", "11"]),
        ] {
            let content: Vec<u8> = (0..length).map(|at| (at / 999) as u8).collect();
            let mut expected = Vec::new();
            for (line, chunk) in lines.iter().zip(content.chunks(chunk)) {
                expected.extend_from_slice(format!("{line}\r\n").as_bytes());
                expected.extend_from_slice(chunk);
                expected.extend_from_slice(b"\r\n");
            }
            for (proof, name) in [
                (Proof::Crc64, "x-amz-checksum-crc64nvme"),
                (Proof::Other(Algorithm::Sha256), "x-amz-checksum-sha256"),
            ] {
                let value = Sum::of(proof, &content).text();
                let end = format!("0\r\n{name}:{value}\r\n\r\n");
                let expected = [expected.as_slice(), end.as_bytes()].concat();
                for slice in [1000, chunk - 1, chunk + 1, 3 * chunk] {
                    let slices = content.chunks(slice).map(Bytes::copy_from_slice);
                    assert!(
                        sent(proof, slices.collect(), length).unwrap() == expected,
                        "{name} {length} {slice}"
                    );
                }
            }
        }
    }

    #[test]
    fn another_length_than_the_announced_one_breaks_off() {
        for length in [4, 6] {
            assert!(
                sent(Proof::Crc64, vec![Bytes::from_static(b"12345")], length).is_err(),
                "{length}"
            );
        }
    }
}
