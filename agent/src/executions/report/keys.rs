//! Keys of a report's objects, as AWS DataSync lays them out. They follow from the execution, so
//! that a report which is written again takes the place of the one before.

use datasync_model::{ReportKind, TaskExecutionArn};
use sha2::{Digest as _, Sha256};

/// The word of a kind in keys.
fn word(kind: ReportKind) -> &'static str {
    match kind {
        ReportKind::Transferred => "transferred",
        ReportKind::Verified => "verified",
        ReportKind::Skipped => "skipped",
        ReportKind::Deleted => "deleted",
    }
}

/// 17 hexadecimal digits that tell the objects of an execution apart.
fn suffix(text: &str) -> String {
    let mut digits = hex::encode(Sha256::digest(text));
    digits.truncate(17);
    digits
}

fn key(prefix: &str, folder: &str, execution: &TaskExecutionArn, name: &str) -> String {
    let (task, id) = (execution.task().id(), execution.id());
    let suffix = suffix(&format!("{execution} {name}"));
    format!("{prefix}{folder}/{task}/{id}/{id}.{name}-{suffix}.json")
}

/// The key of the summary.
pub(super) fn summary(prefix: &str, execution: &TaskExecutionArn) -> String {
    key(prefix, "Summary-Reports", execution, "summary-v1")
}

/// The key of the document with the signatures: in a folder of its own, so that the others hold
/// nothing but what AWS writes.
pub(super) fn signature(prefix: &str, execution: &TaskExecutionArn) -> String {
    key(prefix, "Report-Signatures", execution, "signature-v1")
}

/// What a key ends with: no other object of any report has the same.
pub(super) fn name(key: &str) -> &str {
    key.rsplit('/').next().unwrap_or(key)
}

/// The key of an object of entries; objects of a kind are numbered from 1.
pub(super) fn detailed(
    prefix: &str,
    execution: &TaskExecutionArn,
    kind: ReportKind,
    number: u32,
) -> String {
    let name = format!("files-{}-v1-{number:05}", word(kind));
    key(prefix, "Detailed-Reports", execution, &name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_those_that_parsers_of_reports_look_for() {
        let execution: TaskExecutionArn = "arn:aws:datasync:us-east-1:123456789012:\
            task/task-0123456789abcdef0/execution/exec-0123456789abcdef1"
            .parse()
            .unwrap();
        let one = detailed("r/", &execution, ReportKind::Transferred, 1);
        let begin = "r/Detailed-Reports/task-0123456789abcdef0/exec-0123456789abcdef1/\
                     exec-0123456789abcdef1.files-transferred-v1-00001-";
        let digits = one
            .strip_prefix(begin)
            .unwrap()
            .strip_suffix(".json")
            .unwrap();
        assert_eq!(digits.len(), 17);
        assert!(digits.bytes().all(|byte| byte.is_ascii_hexdigit()));
        assert_eq!(one, detailed("r/", &execution, ReportKind::Transferred, 1));
        assert_ne!(one, detailed("r/", &execution, ReportKind::Transferred, 2));
        assert_eq!(
            format!("{begin}{digits}.json").rsplit('/').next(),
            Some(name(&one))
        );
        let signature = signature("r/", &execution);
        assert!(signature.starts_with("r/Report-Signatures/task-0123456789abcdef0/"));
        let summary = summary("", &execution);
        assert!(summary.starts_with(
            "Summary-Reports/task-0123456789abcdef0/exec-0123456789abcdef1/exec-0123456789abcdef1."
        ));
    }
}
