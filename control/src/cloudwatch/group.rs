//! Where a log goes: the log group of its task, and a stream of its own.

use datasync_model::TaskExecutionArn;

/// A log group by its ARN, `arn:aws:logs:REGION:ACCOUNT:log-group:NAME[:*]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct LogGroup {
    pub(super) name: String,
    pub(super) region: String,
    partition: String,
}

impl LogGroup {
    /// `None` if the ARN is none of a log group.
    pub(super) fn of(arn: &str) -> Option<Self> {
        let mut fields = arn.splitn(7, ':');
        let ("arn", partition, "logs") = (fields.next()?, fields.next()?, fields.next()?) else {
            return None;
        };
        let (region, _account) = (fields.next()?, fields.next()?);
        let "log-group" = fields.next()? else {
            return None;
        };
        let name = fields.next()?;
        let name = name.strip_suffix(":*").unwrap_or(name);
        (!name.is_empty() && !region.is_empty()).then(|| Self {
            name: name.to_owned(),
            region: region.to_owned(),
            partition: partition.to_owned(),
        })
    }

    /// The region's endpoint of CloudWatch Logs.
    pub(super) fn endpoint(&self) -> String {
        let suffix = match self.partition.as_str() {
            "aws-cn" => "amazonaws.com.cn",
            _ => "amazonaws.com",
        };
        format!("https://logs.{}.{suffix}", self.region)
    }
}

/// The stream of an execution, as DataSync calls it.
pub(super) fn stream(execution: &TaskExecutionArn) -> String {
    format!("{}-{}", execution.task().id(), execution.id())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_is_read_from_its_arn() {
        let group = LogGroup::of("arn:aws:logs:eu-north-1:123456789012:log-group:/aws/datasync:*");
        let group = group.unwrap();
        assert_eq!(
            (group.name.as_str(), group.region.as_str()),
            ("/aws/datasync", "eu-north-1")
        );
        assert_eq!(group.endpoint(), "https://logs.eu-north-1.amazonaws.com");
        let china = LogGroup::of("arn:aws-cn:logs:cn-north-1:1:log-group:a").unwrap();
        assert_eq!(china.endpoint(), "https://logs.cn-north-1.amazonaws.com.cn");
        for wrong in [
            "",
            "arn:aws:s3:::b",
            "arn:aws:logs:r:1:log-group:",
            "arn:aws:logs:r:1:x:a",
        ] {
            assert_eq!(LogGroup::of(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_stream_is_called_by_task_and_execution() {
        let execution = crate::fleet::fixture::execution_row(1, 2).arn().clone();
        let expected = format!("{}-{}", execution.task().id(), execution.id());
        assert_eq!(stream(&execution), expected);
        assert!(expected.starts_with("task-") && expected.contains("-exec-"));
    }
}
