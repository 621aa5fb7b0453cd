//! What the fuzz target `rpc_record` of `tests/fuzz` calls.

use futures::FutureExt;

use super::*;

/// Short enough that inputs reach it.
const MAX: usize = 256;

/// A stream of an NFS server: records of at most what is taken come out of it, one after another,
/// then an error. Put together they are no more than was sent.
///
/// # Panics
/// If that does not hold.
pub fn rpc_record(data: &[u8]) {
    let (mut stream, pool) = (data, Arc::default());
    let mut yielded = 0;
    loop {
        let before = stream.len();
        let reading = read_record(&mut stream, MAX, &pool).now_or_never();
        assert!(reading.is_some(), "bytes that are there are waited for");
        let Some(Ok(record)) = reading else { break };
        assert!(record.len() <= MAX);
        assert!(record.len() + 4 <= before - stream.len());
        yielded += record.len();
    }
    assert!(yielded <= data.len(), "more is read than was sent");
}

#[cfg(test)]
mod tests {
    #[test]
    fn seeds_are_no_findings() {
        crate::script::seeds("rpc_record", super::rpc_record);
    }
}
