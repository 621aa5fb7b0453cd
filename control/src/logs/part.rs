//! A part of a log as an agent sends it, checked.

use datasync_model::{LogLine, TaskExecutionArn};
use datasync_proto::LogLines;

/// Bounds of one part.
const LINES_MAX: usize = 4000;
const LOG_ID_BYTES: std::ops::RangeInclusive<usize> = 1..=64;

/// See the module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Part {
    pub(crate) execution: TaskExecutionArn,
    pub(super) log_id: String,
    /// The number of the first line.
    pub(super) first: u64,
    pub(super) lines: Vec<LogLine>,
}

/// Why a part is no part of a log.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BadPart {
    #[error("it names no execution: {0}")]
    Execution(String),
    #[error("its log id has {0} bytes")]
    LogId(usize),
    #[error("it has {0} lines, more than {LINES_MAX}")]
    Lines(usize),
    #[error("its lines are numbered beyond 64 bits")]
    Numbers,
}

impl Part {
    /// What came, with each text as one line of bounded length.
    ///
    /// # Errors
    /// [`BadPart`]
    pub(crate) fn read(sent: LogLines) -> Result<Self, BadPart> {
        let execution = sent.execution_arn.parse();
        let execution = execution
            .map_err(|error: datasync_model::ArnError| BadPart::Execution(error.to_string()))?;
        if !LOG_ID_BYTES.contains(&sent.log_id.len()) {
            return Err(BadPart::LogId(sent.log_id.len()));
        }
        if sent.lines.len() > LINES_MAX {
            return Err(BadPart::Lines(sent.lines.len()));
        }
        if sent.first.checked_add(sent.lines.len() as u64).is_none() {
            return Err(BadPart::Numbers);
        }
        Ok(Self {
            execution,
            log_id: sent.log_id,
            first: sent.first,
            lines: sent
                .lines
                .into_iter()
                .map(|line| plain(line.into()))
                .collect(),
        })
    }

    /// The number after the last line.
    pub(super) fn end(&self) -> u64 {
        self.first + self.lines.len() as u64
    }
}

fn plain(mut line: LogLine) -> LogLine {
    let end = line.text.floor_char_boundary(LogLine::TEXT_BYTES_MAX);
    line.text.truncate(end);
    if line.text.chars().any(char::is_control) {
        line.text = line.text.replace(char::is_control, " ");
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent() -> LogLines {
        LogLines {
            execution_arn: "arn:aws:datasync:us-east-1:123456789012:task/task-0123456789abcdef0\
                            /execution/exec-0123456789abcdef0"
                .to_owned(),
            log_id: "id".to_owned(),
            first: 3,
            lines: vec![datasync_proto::LogLine {
                at_milliseconds: 1,
                severity: "PANIC".to_owned(),
                text: format!("a\nb{}", "é".repeat(LogLine::TEXT_BYTES_MAX)),
            }],
        }
    }

    #[test]
    fn a_part_is_bounded_whatever_came() {
        let part = Part::read(sent()).unwrap();
        assert_eq!(part.end(), 4);
        let line = &part.lines[0];
        assert_eq!(line.severity, datasync_model::Severity::Notice);
        assert!(line.text.starts_with("a bé") && line.text.len() <= LogLine::TEXT_BYTES_MAX);
    }

    #[test]
    fn what_is_no_part_is_refused() {
        let bad = |change: &dyn Fn(&mut LogLines)| {
            let mut sent = sent();
            change(&mut sent);
            Part::read(sent).unwrap_err()
        };
        assert!(matches!(
            bad(&|sent| sent.execution_arn.clear()),
            BadPart::Execution(_)
        ));
        assert_eq!(bad(&|sent| sent.log_id.clear()), BadPart::LogId(0));
        assert_eq!(
            bad(&|sent| sent.log_id = "x".repeat(65)),
            BadPart::LogId(65)
        );
        assert_eq!(bad(&|sent| sent.first = u64::MAX), BadPart::Numbers);
        let many = |sent: &mut LogLines| sent.lines = vec![Default::default(); 4001];
        assert_eq!(bad(&many), BadPart::Lines(4001));
    }
}
