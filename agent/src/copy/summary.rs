//! The end of a copy in words.

use std::fmt::{self, Write as _};
use std::time::Duration;

use datasync_model::{Plan, PlannedRequests, RequestCounts};
use datasync_transfer::Verdict;
use indicatif::{HumanBytes, HumanDuration};

use super::report::{CopyReport, CopyStatus};

impl fmt::Display for CopyReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}: {} to {}",
            self.status.as_str(),
            self.source,
            self.destination
        )?;
        if let Some(endpoint) = &self.endpoint_url {
            write!(f, " at {endpoint}")?;
        }
        if self.resumed {
            f.write_str(", counting what was done before the interruption")?;
        }
        match &self.report.telemetry.plan {
            Some(plan) => self.write_plan(plan, f)?,
            None if self.report.result.total_duration_ms > 0 => self.write_counts(f)?,
            None => {}
        }
        self.write_failures(f)?;
        self.write_advice(f)
    }
}

impl CopyReport {
    /// What a dry run found.
    fn write_plan(&self, plan: &Plan, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let counters = &self.report.counters;
        write!(
            f,
            "\n  a dry run: nothing was written\
             \n  items     {} found: {} to transfer ({} of them metadata only), {} unchanged, \
             {} skipped, {} failed\
             \n  bytes     {} to transfer",
            counters.discovered,
            counters.to_transfer,
            plan.metadata_only,
            counters.unchanged,
            counters.skipped,
            counters.failed,
            HumanBytes(counters.bytes_to_transfer),
        )?;
        if let Some(ms) = plan.at_limit_ms {
            write!(f, ": {}", HumanDuration(Duration::from_millis(ms)))?;
            match self.bytes_per_second.limit() {
                _ if self.has_timetable => write!(f, " by the timetable")?,
                Some(rate) => write!(f, " at {}/s", HumanBytes(rate.get()))?,
                None => {}
            }
        }
        if counters.to_delete > 0 {
            write!(
                f,
                "\n  deletes   {} objects without a source",
                counters.to_delete
            )?;
        }
        if let Some(withheld) = &plan.withheld {
            write!(f, "\n  but       {}", printable(&withheld.detail))?;
        }
        let is_store = self.source.starts_with("s3://");
        write!(f, "\n  requests  {}", requests(&plan.requests, is_store))?;
        match &self.plan_list {
            Some(list) => write!(f, "\n  all of it: {}", list.display()),
            None => Ok(()),
        }
    }

    fn write_counts(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (counters, result) = (&self.report.counters, &self.report.result);
        write!(
            f,
            "\n  items     {} found: {} transferred, {} unchanged, {} skipped, {} failed\
             \n  bytes     {} written, {} sent{}\
             \n  verified  {} items, {} differ",
            counters.discovered,
            counters.transferred,
            counters.unchanged,
            counters.skipped,
            counters.failed,
            HumanBytes(counters.bytes_written),
            HumanBytes(counters.bytes_transferred),
            rate(counters.bytes_written, result.transfer_duration_ms),
            counters.verified,
            counters.mismatched,
        )?;
        if counters.to_delete > 0 {
            let (deleted, listed) = (counters.deleted, counters.to_delete);
            write!(
                f,
                "\n  deleted   {deleted} of {listed} objects without a source"
            )?;
        }
        for (side, requests) in [
            ("source", &self.report.telemetry.source_requests),
            ("destination", &self.report.telemetry.destination_requests),
        ] {
            if requests.total() > 0 {
                write!(f, "\n  requests  to the {side}: {requests}")?;
            }
        }
        write!(
            f,
            "\n  time      {} s: prepare {} s, transfer {} s, verify {} s",
            seconds(result.total_duration_ms),
            seconds(result.prepare_duration_ms),
            seconds(result.transfer_duration_ms),
            seconds(result.verify_duration_ms),
        )
    }

    fn write_failures(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(failure) = &self.report.result.failure {
            write!(f, "\n  {}", printable(&failure.to_string()))?;
        }
        for item in &self.first_failures {
            let verdict = match item.outcome {
                Verdict::Failed => "failed",
                Verdict::Skipped => "skipped",
                Verdict::Mismatched => "differs",
            };
            let line = format!("{verdict}: {}: {}", item.path, item.failure);
            write!(f, "\n  {}", printable(&line))?;
        }
        match &self.failure_list {
            Some(list) => write!(f, "\n  all that was not done: {}", list.display()),
            None => Ok(()),
        }
    }

    fn write_advice(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.status, &self.journal) {
            (CopyStatus::Success | CopyStatus::Incomplete, _) => Ok(()),
            (CopyStatus::Failed | CopyStatus::Interrupted, Some(journal)) => write!(
                f,
                "\n  to go on from here, run the same command again (journal: {})",
                journal.display()
            ),
            (CopyStatus::Interrupted, None) => f.write_str("\n  nothing was begun"),
            (CopyStatus::Failed, None) => {
                f.write_str("\n  run the same command again once the cause is gone")
            }
        }
    }
}

/// Requests to come, by kind; `is_store` says that the source has objects.
fn requests(planned: &PlannedRequests, is_store: bool) -> String {
    let of_source = if is_store {
        // What is asked about the source and about the destination has one name.
        let heads = planned.head_object + planned.getattr + planned.lookup;
        let reads = planned.read + planned.readlink;
        [("GetObject", reads), ("HeadObject", heads)].to_vec()
    } else {
        vec![
            ("READ", planned.read),
            ("READLINK", planned.readlink),
            ("GETATTR", planned.getattr),
            ("LOOKUP", planned.lookup),
            ("HeadObject", planned.head_object),
        ]
    };
    let of_destination = [
        ("PutObject", planned.put_object),
        ("CreateMultipartUpload", planned.multipart_upload),
        ("UploadPart", planned.upload_part),
        ("CompleteMultipartUpload", planned.multipart_upload),
        ("CopyObject", planned.copy_object),
        ("DeleteObject", planned.delete_object),
    ];
    let counts: RequestCounts = of_source.into_iter().chain(of_destination).collect();
    if counts.total() == 0 {
        return "none but those of looking".to_owned();
    }
    format!("{counts}, besides those of looking")
}

/// ` (… /s)`, if there was time and something to do in it.
fn rate(bytes: u64, milliseconds: u64) -> String {
    if bytes == 0 || milliseconds == 0 {
        return String::new();
    }
    let rate = bytes.saturating_mul(1000) / milliseconds;
    format!(" ({}/s)", HumanBytes(rate))
}

fn seconds(milliseconds: u64) -> String {
    format!("{:.1}", Duration::from_millis(milliseconds).as_secs_f64())
}

/// Servers choose some of these characters; a terminal obeys some of them.
fn printable(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for character in text.chars() {
        if character.is_control() {
            // Writing to a String cannot fail.
            write!(shown, "{}", character.escape_default()).ok();
        } else {
            shown.push(character);
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use datasync_model::{Counters, ErrorCode, Failure};
    use datasync_transfer::ListedItem;

    use super::super::tests::spec;
    use super::*;
    use crate::executions::launching;

    fn report(status: CopyStatus) -> CopyReport {
        let spec = spec();
        let mut report = launching(spec.execution.clone());
        report.counters = Counters {
            discovered: 12,
            transferred: 9,
            unchanged: 2,
            failed: 1,
            verified: 9,
            bytes_written: 5 << 20,
            bytes_transferred: 6 << 20,
            ..Counters::default()
        };
        report.result.total_duration_ms = 4_000;
        report.result.transfer_duration_ms = 2_500;
        CopyReport::new(&spec, status, report)
    }

    #[test]
    fn a_good_end_is_counted() {
        let mut done = report(CopyStatus::Success);
        done.report.counters.to_delete = 3;
        done.report.counters.deleted = 2;
        done.report.telemetry.source_requests = [("READ", 9)].into_iter().collect();
        assert_eq!(
            done.to_string(),
            "SUCCESS: nfs://nas/export/ to s3://bucket/prefix/ at http://store:9000\n  \
             items     12 found: 9 transferred, 2 unchanged, 0 skipped, 1 failed\n  \
             bytes     5.00 MiB written, 6.00 MiB sent (2.00 MiB/s)\n  \
             verified  9 items, 0 differ\n  \
             deleted   2 of 3 objects without a source\n  \
             requests  to the source: 9 READ\n  \
             time      4.0 s: prepare 0.0 s, transfer 2.5 s, verify 0.0 s"
        );
    }

    #[test]
    fn what_was_not_done_is_named_and_cannot_speak_to_the_terminal() {
        let mut partly = report(CopyStatus::Incomplete);
        partly.report.result.failure = Some(Failure::new(ErrorCode::ItemsFailed, "1 of 12"));
        partly.failure_list = Some(PathBuf::from("/state/list.jsonl"));
        partly.first_failures = vec![ListedItem {
            path: "/a".to_owned(),
            key: "a".to_owned(),
            outcome: Verdict::Failed,
            failure: Failure::new(ErrorCode::SourceFault, "said \u{1b}[2J"),
        }];
        let text = partly.to_string();
        let end = "\n  ItemsFailed: 1 of 12\n  failed: /a: SourceFault: said \\u{1b}[2J\n  \
                   all that was not done: /state/list.jsonl";
        assert!(text.ends_with(end), "{text}");
    }

    #[test]
    fn a_dry_run_says_what_would_be_done_and_what_it_costs() {
        let mut planned = report(CopyStatus::Success);
        planned.report.counters = Counters {
            discovered: 12,
            to_transfer: 5,
            bytes_to_transfer: 90 << 20,
            unchanged: 6,
            skipped: 1,
            to_delete: 2,
            ..Counters::default()
        };
        planned.report.telemetry.plan = Some(Plan {
            metadata_only: 1,
            requests: PlannedRequests {
                read: 90,
                put_object: 4,
                copy_object: 1,
                ..PlannedRequests::default()
            },
            withheld: Some(Failure::new(
                ErrorCode::DeletesWithheld,
                "2 deletes withheld",
            )),
            at_limit_ms: Some(90_000),
        });
        planned.bytes_per_second = (1 << 20).try_into().unwrap();
        planned.plan_list = Some(PathBuf::from("/state/plan.jsonl"));
        let text = planned.to_string();
        let expected = "\n  a dry run: nothing was written\n  \
             items     12 found: 5 to transfer (1 of them metadata only), 6 unchanged, 1 skipped, \
             0 failed\n  \
             bytes     90.00 MiB to transfer: 2 minutes at 1.00 MiB/s\n  \
             deletes   2 objects without a source\n  \
             but       2 deletes withheld\n  \
             requests  1 CopyObject, 4 PutObject, 90 READ, besides those of looking\n  \
             all of it: /state/plan.jsonl";
        assert!(text.ends_with(expected), "{text}");
        planned.source = "s3://bucket/".to_owned();
        let text = planned.to_string();
        assert!(
            text.contains("1 CopyObject, 90 GetObject, 4 PutObject"),
            "{text}"
        );
        planned.has_timetable = true;
        let text = planned.to_string();
        let expected = "90.00 MiB to transfer: 2 minutes by the timetable\n";
        assert!(text.contains(expected), "{text}");
    }

    #[test]
    fn an_early_end_says_how_to_go_on() {
        let mut stopped = report(CopyStatus::Interrupted);
        assert!(stopped.to_string().ends_with("\n  nothing was begun"));
        stopped.journal = Some(PathBuf::from("/state/exec"));
        stopped.resumed = true;
        let text = stopped.to_string();
        assert!(text.contains(", counting what was done before"), "{text}");
        let end = "run the same command again (journal: /state/exec)";
        assert!(text.ends_with(end), "{text}");
        let mut failed = report(CopyStatus::Failed);
        failed.report.result.total_duration_ms = 0;
        let failed = failed.to_string();
        assert_eq!(failed.lines().count(), 2, "nothing to count: {failed}");
        assert!(failed.ends_with("once the cause is gone"), "{failed}");
    }
}
