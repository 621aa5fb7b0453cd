//! ARNs that clients send: ours by form, and ours by account and region.

use std::str::FromStr;

use datasync_model::{AgentArn, Home, LocationArn, Partition, TaskArn, TaskExecutionArn};

use super::check::{list_size, required, unlike};
use super::error::ApiError;

const AGENTS_MAX: usize = 8;
/// Every ARN pattern of the model has this limit.
const ARN_LENGTH_MAX: usize = 128;

pub(super) trait HomeOf {
    fn home_of(&self) -> &Home;
}

impl HomeOf for AgentArn {
    fn home_of(&self) -> &Home {
        self.home()
    }
}
impl HomeOf for LocationArn {
    fn home_of(&self) -> &Home {
        self.home()
    }
}
impl HomeOf for TaskArn {
    fn home_of(&self) -> &Home {
        self.home()
    }
}
impl HomeOf for TaskExecutionArn {
    fn home_of(&self) -> &Home {
        self.task().home()
    }
}

/// An ARN of one of our resources.
///
/// # Errors
/// Another form, another account or another region.
pub(super) fn ours<A>(text: Option<String>, member: &str, home: &Home) -> Result<A, ApiError>
where
    A: FromStr + HomeOf,
    A::Err: std::fmt::Display,
{
    let text = required(text, member)?;
    if text.len() > ARN_LENGTH_MAX {
        let constraint = format!("must have at most {ARN_LENGTH_MAX} characters");
        return Err(ApiError::constraint(member, &text, &constraint));
    }
    let arn: A = text.parse().map_err(|error: A::Err| {
        ApiError::invalid(format!("Invalid parameter: {member}: {error}"))
    })?;
    let given = arn.home_of();
    if given.account != home.account {
        return Err(ApiError::invalid(format!(
            "Invalid parameter: ARN account ({}) must match authenticated user.",
            given.account
        )));
    }
    if given.region != home.region || given.partition != home.partition {
        return Err(ApiError::invalid(format!(
            "Invalid parameter: ARN {text} is of another region; this control plane is {} in {}.",
            home.region, home.partition
        )));
    }
    Ok(arn)
}

/// `AgentArns`: one to eight, each once.
pub(super) fn agents(
    texts: Vec<String>,
    member: &str,
    home: &Home,
) -> Result<Vec<AgentArn>, ApiError> {
    list_size(&texts, member, 1, AGENTS_MAX)?;
    let mut agents = Vec::new();
    for text in texts {
        let arn: AgentArn = ours(Some(text), member, home)?;
        if agents.contains(&arn) {
            return Err(ApiError::invalid(format!("Agent {arn} appears twice.")));
        }
        agents.push(arn);
    }
    Ok(agents)
}

/// Whether `text` is `arn:<partition>:<service>:<region>:<account>:<resource>` of `service`, with
/// a resource that `resource` accepts. An empty region or account is allowed as `global` says.
pub(super) fn is_arn(
    text: &str,
    service: &str,
    global: bool,
    resource: impl Fn(&str) -> bool,
) -> bool {
    let fields: Vec<&str> = text.splitn(6, ':').collect();
    let &["arn", partition, of, region, account, rest] = fields.as_slice() else {
        return false;
    };
    let place = region
        .bytes()
        .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    let owner = account.len() == 12 && account.bytes().all(|b| b.is_ascii_digit());
    partition.parse::<Partition>().is_ok()
        && of == service
        && place
        && (owner || (global && account.is_empty()))
        && resource(rest)
}

pub(super) fn role(text: Option<String>, member: &str) -> Result<String, ApiError> {
    const PATTERN: &str =
        "^arn:(aws|aws-cn|aws-us-gov|aws-eusc|aws-iso|aws-iso-b):iam::[0-9]{12}:role/.*$";
    let text = required(text, member)?;
    let good = text.len() <= 2048
        && is_arn(&text, "iam", false, |resource| {
            resource.starts_with("role/")
        })
        && text.split(':').nth(3) == Some("");
    if good {
        Ok(text)
    } else {
        Err(unlike(&text, member, PATTERN))
    }
}
