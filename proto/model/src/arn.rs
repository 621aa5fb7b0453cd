//! ARNs and ids of agents, locations, tasks and executions, in the API's patterns.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::word::words;

words! {
    /// The partition of an ARN.
    Partition {
        Aws = "aws",
        AwsCn = "aws-cn",
        AwsUsGov = "aws-us-gov",
        AwsEusc = "aws-eusc",
        AwsIso = "aws-iso",
        AwsIsoB = "aws-iso-b",
    }
}

impl Partition {
    /// The one that a region lies in, by the form of its name.
    #[must_use]
    pub fn of_region(region: &str) -> Self {
        let of = |prefix| region.starts_with(prefix);
        match () {
            () if of("cn-") => Self::AwsCn,
            () if of("us-gov-") => Self::AwsUsGov,
            () if of("us-iso-") => Self::AwsIso,
            () if of("us-isob-") => Self::AwsIsoB,
            () if of("eusc-") => Self::AwsEusc,
            () => Self::Aws,
        }
    }

    /// How the names of its services end.
    #[must_use]
    pub fn dns_suffix(self) -> &'static str {
        match self {
            Self::Aws | Self::AwsUsGov => "amazonaws.com",
            Self::AwsCn => "amazonaws.com.cn",
            Self::AwsEusc => "amazonaws.eu",
            Self::AwsIso => "c2s.ic.gov",
            Self::AwsIsoB => "sc2s.sgov.gov",
        }
    }
}

/// Why a text is not the ARN that was asked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not the ARN of {kind}: it must look like {example}")]
pub struct ArnError {
    text: String,
    kind: &'static str,
    example: &'static str,
}

/// A region name such as `us-east-1`: lower-case letters, digits and hyphens, at most 64.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Region(String);

/// An account id: twelve digits.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct AccountId(String);

/// Where resources live: the part of every ARN that one control plane shares.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Home {
    /// `aws` unless configured otherwise.
    pub partition: Partition,
    /// The region that clients sign for.
    pub region: Region,
    /// The one account of this control plane.
    pub account: AccountId,
}

macro_rules! checked_text {
    ($name:ident, $what:literal, $check:expr) => {
        impl FromStr for $name {
            type Err = String;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                let check: fn(&str) -> bool = $check;
                if check(text) {
                    Ok(Self(text.to_owned()))
                } else {
                    Err(format!(concat!("{:?} is not ", $what), text))
                }
            }
        }

        impl TryFrom<String> for $name {
            type Error = String;

            fn try_from(text: String) -> Result<Self, Self::Error> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(value: $name) -> Self {
                value.0
            }
        }

        impl $name {
            /// The text itself.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

checked_text!(
    Region,
    "a region: lower-case letters, digits and hyphens, at most 64",
    |text| {
        !text.is_empty()
            && text.len() <= 64
            && text
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
    }
);
checked_text!(AccountId, "an account id: twelve digits", |text| {
    text.len() == 12 && text.bytes().all(|b| b.is_ascii_digit())
});

/// The 17 hexadecimal digits that end every id; the first is `0`, as at AWS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct UniqueId(u64);

impl UniqueId {
    /// An id from eight random bytes.
    #[must_use]
    pub fn from_random(random: [u8; 8]) -> Self {
        Self(u64::from_be_bytes(random))
    }
}

impl fmt::Display for UniqueId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:017x}", self.0)
    }
}

fn is_id(text: &str, prefix: &str, hexadecimal: bool) -> bool {
    text.strip_prefix(prefix).is_some_and(|digits| {
        digits.len() == 17
            && digits.bytes().all(|b| match b {
                b'0'..=b'9' | b'a'..=b'f' => true,
                b'g'..=b'z' => !hexadecimal,
                _ => false,
            })
    })
}

fn split_home<'a>(text: &'a str, kind: &str) -> Option<(Home, &'a str)> {
    if text.len() > 128 {
        return None;
    }
    let mut fields = text.splitn(6, ':');
    if fields.next()? != "arn" {
        return None;
    }
    let partition = fields.next()?.parse().ok()?;
    if fields.next()? != "datasync" {
        return None;
    }
    let region = fields.next()?.parse().ok()?;
    let account = fields.next()?.parse().ok()?;
    let id = fields.next()?.strip_prefix(kind)?.strip_prefix('/')?;
    Some((
        Home {
            partition,
            region,
            account,
        },
        id,
    ))
}

macro_rules! resource_arn {
    ($(#[$meta:meta])* $name:ident, $kind:literal, $prefix:literal, $hex:literal, $what:literal, $example:literal) => {
        $(#[$meta])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name {
            home: Home,
            id: String,
        }

        impl $name {
            /// The ARN of a new resource.
            #[must_use]
            pub fn new(home: &Home, id: UniqueId) -> Self {
                Self { home: home.clone(), id: format!(concat!($prefix, "{}"), id) }
            }

            /// Partition, region and account.
            #[must_use]
            pub fn home(&self) -> &Home {
                &self.home
            }

            /// The id after the last slash, with its prefix.
            #[must_use]
            pub fn id(&self) -> &str {
                &self.id
            }
        }

        impl FromStr for $name {
            type Err = ArnError;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                split_home(text, $kind)
                    .filter(|(_, id)| is_id(id, $prefix, $hex))
                    .map(|(home, id)| Self { home, id: id.to_owned() })
                    .ok_or_else(|| ArnError { text: text.to_owned(), kind: $what, example: $example })
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let Home { partition, region, account } = &self.home;
                write!(f, concat!("arn:{}:datasync:{}:{}:", $kind, "/{}"), partition, region, account, self.id)
            }
        }

        impl TryFrom<String> for $name {
            type Error = ArnError;

            fn try_from(text: String) -> Result<Self, Self::Error> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(arn: $name) -> Self {
                arn.to_string()
            }
        }
    };
}

resource_arn!(
    /// `arn:P:datasync:R:ACCOUNT:agent/agent-…`
    AgentArn, "agent", "agent-", false, "an agent",
    "arn:aws:datasync:us-east-1:123456789012:agent/agent-0123456789abcdef0"
);
resource_arn!(
    /// `arn:P:datasync:R:ACCOUNT:location/loc-…`
    LocationArn, "location", "loc-", false, "a location",
    "arn:aws:datasync:us-east-1:123456789012:location/loc-0123456789abcdef0"
);
resource_arn!(
    /// `arn:P:datasync:R:ACCOUNT:task/task-…`
    TaskArn, "task", "task-", true, "a task",
    "arn:aws:datasync:us-east-1:123456789012:task/task-0123456789abcdef0"
);

/// `arn:P:datasync:R:ACCOUNT:task/task-…/execution/exec-…`
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TaskExecutionArn {
    task: TaskArn,
    id: String,
}

impl TaskExecutionArn {
    /// The ARN of a new execution of `task`.
    #[must_use]
    pub fn new(task: &TaskArn, id: UniqueId) -> Self {
        Self {
            task: task.clone(),
            id: format!("exec-{id}"),
        }
    }

    /// The task that the execution belongs to.
    #[must_use]
    pub fn task(&self) -> &TaskArn {
        &self.task
    }

    /// `exec-…`
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }
}

impl FromStr for TaskExecutionArn {
    type Err = ArnError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let error = || ArnError {
            text: text.to_owned(),
            kind: "a task execution",
            example: "arn:aws:datasync:us-east-1:123456789012:task/task-0123456789abcdef0/execution/exec-0123456789abcdef0",
        };
        let (task, id) = text.split_once("/execution/").ok_or_else(error)?;
        let task = task.parse().map_err(|_| error())?;
        if is_id(id, "exec-", true) {
            Ok(Self {
                task,
                id: id.to_owned(),
            })
        } else {
            Err(error())
        }
    }
}

impl fmt::Display for TaskExecutionArn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/execution/{}", self.task, self.id)
    }
}

impl TryFrom<String> for TaskExecutionArn {
    type Error = ArnError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<TaskExecutionArn> for String {
    fn from(arn: TaskExecutionArn) -> Self {
        arn.to_string()
    }
}

#[cfg(test)]
mod tests;
