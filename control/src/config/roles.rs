//! How control gets credentials for role ARNs.

use datasync_model::Partition;

use super::layers::{Layers, RoleTable};

/// A way to get credentials for a role ARN.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Role {
    /// The role's ARN, or `*` for every role that has no entry of its own.
    pub arn: String,
    /// How.
    pub kind: RoleKind,
}

/// How credentials for a role are got.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RoleKind {
    /// A key set with `datasync-control role set-key`, sealed in the store.
    SealedKey,
    /// STS AssumeRole with the credentials of the AWS default chain.
    AssumeRole {
        /// Passed to AssumeRole where the role's trust policy asks for one.
        external_id: Option<String>,
        /// Base URL of an STS that is not AWS's.
        sts_endpoint: Option<String>,
        /// Base URL of the S3-compatible store that honours the credentials; `None` means AWS.
        endpoint: Option<String>,
    },
}

pub(super) fn roles(tables: Vec<RoleTable>, layers: &mut Layers) -> Vec<Role> {
    let mut roles: Vec<Role> = Vec::new();
    for table in tables {
        let arn = table.arn.clone();
        let role = if arn != "*" && !is_role_arn(&arn) {
            Err(format!(
                "role {arn:?}: arn must look like arn:aws:iam::123456789012:role/name, or be \"*\""
            ))
        } else if roles.iter().any(|role| role.arn == arn) {
            Err(format!("role {arn:?} appears twice"))
        } else {
            role_kind(table).map(|kind| Role { arn, kind })
        };
        match role {
            Ok(role) => roles.push(role),
            Err(fault) => layers.fault(fault),
        }
    }
    roles
}

/// Whether `text` has the form of a role ARN (DataSync API, `BucketAccessRoleArn`).
pub(crate) fn is_role_arn(text: &str) -> bool {
    let mut fields = text.splitn(6, ':');
    fields.next() == Some("arn")
        && fields
            .next()
            .is_some_and(|partition| partition.parse::<Partition>().is_ok())
        && fields.next() == Some("iam")
        && fields.next() == Some("")
        && fields
            .next()
            .is_some_and(|account| account.is_empty() || account.len() == 12)
        && fields.next().is_some_and(|name| {
            name.strip_prefix("role/")
                .is_some_and(|name| !name.is_empty())
        })
}

fn role_kind(table: RoleTable) -> Result<RoleKind, String> {
    let url = |name: &str, value: Option<String>| match value {
        Some(url) if !(url.starts_with("https://") || url.starts_with("http://")) => Err(format!(
            "role {:?}: {name} must begin with https:// or http://",
            table.arn
        )),
        value => Ok(value),
    };
    match table.kind.as_str() {
        "sealed-key" => {
            if table.external_id.is_some()
                || table.sts_endpoint.is_some()
                || table.endpoint.is_some()
            {
                return Err(format!(
                    "role {:?}: a sealed-key role has no other members; its key and endpoint are \
                     set with `datasync-control role set-key`",
                    table.arn
                ));
            }
            Ok(RoleKind::SealedKey)
        }
        "assume-role" => Ok(RoleKind::AssumeRole {
            external_id: table.external_id.clone(),
            sts_endpoint: url("sts_endpoint", table.sts_endpoint.clone())?,
            endpoint: url("endpoint", table.endpoint.clone())?,
        }),
        other => Err(format!(
            "role {:?}: kind {other:?} must be sealed-key or assume-role",
            table.arn
        )),
    }
}
