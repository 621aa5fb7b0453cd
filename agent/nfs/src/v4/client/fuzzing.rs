//! What the fuzz target `nfs4_reply` of `tests/fuzz` calls for operations that change something, and SEEK.

use super::changes::{read_bitmap, read_change, read_written};
use super::opening::{read_open, read_state};
use super::read_results;
use super::seeking::read_seek;
use crate::v4::attributes::Values;
use crate::v4::compound::{HANDLE_MAX, Operation, Results, Unanswered};
use crate::v4::fuzzing::told;
use crate::v4::holes::Extent;
use crate::v4::owners::Owners;

/// Handle and attributes of what was made.
fn is_made(results: &mut Results) -> Result<(), Unanswered> {
    let handle = results.handle()?;
    assert!((1..=HANDLE_MAX).contains(&handle.len()));
    told(results.next(Operation::GetAttr)?)
}

pub(in crate::v4) fn opened(mut results: Results) -> Result<(), Unanswered> {
    results.next(Operation::PutFh)?;
    read_open(results.next(Operation::Open)?)?;
    is_made(&mut results)?;
    read_state(results.next(Operation::Close)?)?;
    Ok(())
}

/// A file that is made with `asked` bytes and read back.
pub(in crate::v4) fn whole(mut results: Results, asked: u32) -> Result<(), Unanswered> {
    results.next(Operation::PutFh)?;
    read_open(results.next(Operation::Open)?)?;
    is_made(&mut results)?;
    read_state(results.next(Operation::Close)?)?;
    is_written(&mut results, asked)?;
    let (data, _) = read_results(results.next(Operation::Read)?, asked)?;
    assert!(data.len() <= asked as usize);
    Ok(())
}

/// A WRITE of `asked` bytes.
pub(in crate::v4) fn written(mut results: Results, asked: u32) -> Result<(), Unanswered> {
    results.next(Operation::PutFh)?;
    is_written(&mut results, asked)
}

fn is_written(results: &mut Results, asked: u32) -> Result<(), Unanswered> {
    let written = read_written(results.next(Operation::Write)?, asked)?;
    assert!((1..=asked).contains(&written.count));
    Ok(())
}

pub(in crate::v4) fn committed(mut results: Results) -> Result<(), Unanswered> {
    results.next(Operation::PutFh)?;
    let reply = results.next(Operation::Commit)?;
    reply.bytes8("the verifier of a COMMIT")?;
    Ok(())
}

pub(in crate::v4) fn made(mut results: Results) -> Result<(), Unanswered> {
    results.next(Operation::PutFh)?;
    let reply = results.next(Operation::Create)?;
    read_change(reply)?;
    read_bitmap(reply)?;
    is_made(&mut results)
}

pub(in crate::v4) fn extent(mut results: Results) -> Result<(), Unanswered> {
    const OFFSET: u64 = 100;
    results.next(Operation::PutFh)?;
    let values = Values::read(results.next(Operation::GetAttr)?)?;
    let data = read_seek(results.next(Operation::Seek)?)?;
    let end = read_seek(results.next(Operation::Seek)?)?;
    if let Ok(attributes) = values.attributes(&Owners::default()) {
        let extent = Extent::at(OFFSET, data, end, attributes);
        assert_eq!(extent.range.start, OFFSET);
        let is_within = extent.range.end <= attributes.size.max(OFFSET);
        assert!(is_within || !extent.is_hole, "a hole behind the end");
    }
    Ok(())
}

pub(in crate::v4) fn linked(mut results: Results) -> Result<(), Unanswered> {
    for operation in [Operation::PutFh, Operation::SaveFh, Operation::PutFh] {
        results.next(operation)?;
    }
    read_change(results.next(Operation::Link)?)?;
    Ok(())
}

pub(in crate::v4) fn set(results: &mut Results) -> Result<(), Unanswered> {
    results.next(Operation::PutFh)?;
    read_bitmap(results.next(Operation::SetAttr)?)?;
    Ok(())
}

pub(in crate::v4) fn renamed(mut results: Results) -> Result<(), Unanswered> {
    set(&mut results)?;
    for operation in [Operation::PutFh, Operation::SaveFh, Operation::PutFh] {
        results.next(operation)?;
    }
    read_change(results.next(Operation::Rename)?)?;
    results.next(Operation::PutFh)?;
    told(results.next(Operation::GetAttr)?)
}
