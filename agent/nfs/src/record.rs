//! Record marking (RFC 5531 §11): a record is one or more fragments, each behind its length.

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncReadExt};

use crate::pool::{Buffer, Pool};

#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzzing;

/// Set in the mark of a record's last fragment.
pub(crate) const LAST_FRAGMENT: u32 = 1 << 31;
/// The longest reply that we take: the largest READ and its header.
pub(crate) const RECORD_MAX: usize = (4 << 20) + (4 << 10);
/// The most fragments of one record: empty ones would otherwise go on for ever.
const FRAGMENTS_MAX: usize = 4096;

/// Reads one record, put together from its fragments. Not cancel-safe.
///
/// # Errors
/// `Unsupported` where the server speaks TLS, `InvalidData` for a record beyond `max` bytes, `UnexpectedEof` where the stream ends.
pub(crate) async fn read_record<R: AsyncRead + Unpin + Send>(
    stream: &mut R,
    max: usize,
    pool: &Arc<Pool>,
) -> io::Result<Bytes> {
    let mut record = Buffer::empty();
    for _ in 0..FRAGMENTS_MAX {
        let mark = stream.read_u32().await?;
        let length = (mark & !LAST_FRAGMENT) as usize;
        if is_tls(mark) && record.len() == 0 {
            return Err(io::Error::new(
                io::ErrorKind::Unsupported,
                "the server answers in TLS, which was not asked for",
            ));
        }
        if record.len() + length > max {
            return Err(invalid(format!(
                "a reply of {} bytes was announced; at most {max} are taken",
                record.len() + length
            )));
        }
        stream.read_exact(record.extend(length, pool)).await?;
        if mark & LAST_FRAGMENT != 0 {
            return Ok(record.freeze());
        }
    }
    Err(invalid(format!(
        "a reply of more than {FRAGMENTS_MAX} fragments"
    )))
}

/// Whether a mark is the beginning of an alert or a handshake of TLS (RFC 8446 §5.1). As a mark it
/// announces a third of a gigabyte at least.
fn is_tls(mark: u32) -> bool {
    let [content, major, ..] = mark.to_be_bytes();
    matches!(content, 0x15 | 0x16) && major == 3
}

fn invalid(text: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn read(mut wire: &[u8]) -> io::Result<Bytes> {
        read_record(&mut wire, 100, &Arc::default()).await
    }

    #[tokio::test]
    async fn an_answer_in_tls_is_named() {
        // The alert of a server that expected a ClientHello.
        let error = read(&[0x15, 3, 3, 0, 2, 2, 70]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::Unsupported);
        assert!(error.to_string().contains("TLS"), "{error}");
        // Of any other record that is too long, only that is said.
        let error = read(&[0x15, 4, 3, 0, 2, 2, 70]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
    }

    fn fragment(body: &[u8], last: bool) -> Vec<u8> {
        let mark = u32::try_from(body.len()).unwrap() | if last { LAST_FRAGMENT } else { 0 };
        [&mark.to_be_bytes(), body].concat()
    }

    #[tokio::test]
    async fn fragments_are_put_together() {
        let wire = [
            fragment(b"ab", false),
            fragment(b"", false),
            fragment(b"cde", true),
        ]
        .concat();
        assert_eq!(read(&wire).await.unwrap(), "abcde");
    }

    #[tokio::test]
    async fn a_lying_length_is_refused_before_memory_is_taken() {
        let single = (0x7fff_ffffu32 | LAST_FRAGMENT).to_be_bytes();
        let summed = [fragment(&[0; 60], false), fragment(&[0; 60], true)].concat();
        for wire in [single.as_slice(), &summed] {
            assert_eq!(
                read(wire).await.unwrap_err().kind(),
                io::ErrorKind::InvalidData
            );
        }
    }

    #[tokio::test]
    async fn empty_fragments_do_not_go_on_for_ever() {
        let wire = fragment(b"", false).repeat(FRAGMENTS_MAX + 1);
        assert_eq!(
            read(&wire).await.unwrap_err().kind(),
            io::ErrorKind::InvalidData
        );
    }

    #[tokio::test]
    async fn a_cut_record_is_an_end_of_stream() {
        let whole = fragment(b"abcd", true);
        for cut in 0..whole.len() {
            let error = read(&whole[..cut]).await.unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof, "{cut}");
        }
    }
}
