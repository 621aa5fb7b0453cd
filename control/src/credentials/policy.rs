//! The session policy of AssumeRole: what a location needs, on that location alone.

use serde_json::json;

/// The longest session policy that STS takes, in characters (STS API, AssumeRole, `Policy`).
const POLICY_LENGTH_MAX: usize = 2048;

/// `*`, `?` and `$` as themselves in a policy (IAM user guide, "Policy variables": special
/// characters).
fn literal(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '*' | '?' | '$' => {
                escaped.push_str("${");
                escaped.push(character);
                escaped.push('}');
            }
            other => escaped.push(other),
        }
    }
    escaped
}

/// What the keys are for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// A location: a listing of what is below a prefix, reading and writing there.
    Location,
    /// Reading one object, the manifest.
    Manifest,
    /// Writing below a prefix, where task reports go.
    Report,
    /// Writing to a log group; the bucket is its ARN.
    Logs,
    /// Reading a file system; the bucket is its ARN.
    FileSystem,
}

/// A policy for `purpose` in `bucket`, limited to `prefix` where that fits STS's bound on length.
pub(super) fn session_policy(
    purpose: Purpose,
    partition: &str,
    bucket: &str,
    prefix: &str,
) -> String {
    let policy = match purpose {
        Purpose::Location => of_location,
        Purpose::Manifest => of_manifest,
        Purpose::Report => of_report,
        Purpose::Logs => of_logs,
        Purpose::FileSystem => of_file_system,
    };
    let limited = policy(partition, bucket, Some(prefix));
    if limited.chars().count() > POLICY_LENGTH_MAX {
        policy(partition, bucket, None)
    } else {
        limited
    }
}

/// Without a key: any object.
fn of_manifest(partition: &str, bucket: &str, key: Option<&str>) -> String {
    let bucket = format!("arn:{partition}:s3:::{}", literal(bucket));
    let object = key.map_or_else(|| "*".to_owned(), literal);
    json!({
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Action": ["s3:GetObject", "s3:GetObjectVersion"],
                "Resource": format!("{bucket}/{object}"),
            },
            of_kms(),
        ],
    })
    .to_string()
}

/// Without a prefix: any object.
fn of_report(partition: &str, bucket: &str, prefix: Option<&str>) -> String {
    let bucket = format!("arn:{partition}:s3:::{}", literal(bucket));
    let prefix = literal(prefix.unwrap_or_default());
    json!({
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Action": ["s3:PutObject", "s3:PutObjectAcl"],
                "Resource": format!("{bucket}/{prefix}*"),
            },
            of_kms(),
        ],
    })
    .to_string()
}

fn of_logs(_partition: &str, group_arn: &str, _prefix: Option<&str>) -> String {
    let group = group_arn.strip_suffix(":*").unwrap_or(group_arn);
    json!({
        "Version": "2012-10-17",
        "Statement": [{
            "Effect": "Allow",
            "Action": ["logs:CreateLogStream", "logs:PutLogEvents"],
            "Resource": [group, format!("{group}:*")],
        }],
    })
    .to_string()
}

/// Without root's rights files of other users cannot be read. A location may be written to by one
/// task and read by another; whether it may, the role's own policy says.
fn of_file_system(_partition: &str, file_system_arn: &str, _prefix: Option<&str>) -> String {
    json!({
        "Version": "2012-10-17",
        "Statement": [{
            "Effect": "Allow",
            "Action": [
                "elasticfilesystem:ClientMount",
                "elasticfilesystem:ClientRootAccess",
                "elasticfilesystem:ClientWrite",
            ],
            "Resource": file_system_arn,
        }],
    })
    .to_string()
}

/// What S3 asks of KMS in our name; which keys, the role's own policy says.
fn of_kms() -> serde_json::Value {
    json!({
        "Effect": "Allow",
        "Action": ["kms:Decrypt", "kms:GenerateDataKey"],
        "Resource": "*",
        "Condition": { "StringLike": { "kms:ViaService": "s3.*" } },
    })
}

fn of_location(partition: &str, bucket: &str, prefix: Option<&str>) -> String {
    let prefix = prefix.unwrap_or_default();
    let bucket = format!("arn:{partition}:s3:::{}", literal(bucket));
    let pattern = format!("{}*", literal(prefix));
    let mut list = json!({
        "Effect": "Allow",
        "Action": ["s3:ListBucket", "s3:ListBucketMultipartUploads"],
        "Resource": bucket,
    });
    if !prefix.is_empty() {
        list["Condition"] = json!({ "StringLike": { "s3:prefix": pattern } });
    }
    json!({
        "Version": "2012-10-17",
        "Statement": [
            list,
            {
                "Effect": "Allow",
                "Action": ["s3:GetBucketLocation"],
                "Resource": bucket,
            },
            {
                "Effect": "Allow",
                "Action": [
                    "s3:AbortMultipartUpload",
                    "s3:DeleteObject",
                    "s3:GetObject",
                    "s3:GetObjectTagging",
                    "s3:ListMultipartUploadParts",
                    "s3:PutObject",
                    "s3:PutObjectAcl",
                    "s3:PutObjectTagging",
                ],
                "Resource": format!("{bucket}/{pattern}"),
            },
            of_kms(),
        ],
    })
    .to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_policy_is_limited_to_the_prefix() {
        let policy: serde_json::Value =
            serde_json::from_str(&session_policy(Purpose::Location, "aws", "b", "in/a*b/"))
                .unwrap();
        let statements = &policy["Statement"];
        assert_eq!(statements[0]["Resource"], "arn:aws:s3:::b");
        assert_eq!(
            statements[0]["Condition"]["StringLike"]["s3:prefix"],
            "in/a${*}b/*"
        );
        assert_eq!(statements[2]["Resource"], "arn:aws:s3:::b/in/a${*}b/*");
    }

    #[test]
    fn a_manifest_is_one_object_to_be_read() {
        let policy = session_policy(Purpose::Manifest, "aws", "b", "in/list?.csv");
        assert!(
            policy.contains(r#""arn:aws:s3:::b/in/list${?}.csv""#),
            "{policy}"
        );
        assert!(
            !policy.contains("s3:Put") && !policy.contains("s3:List"),
            "{policy}"
        );
        let long = session_policy(Purpose::Manifest, "aws", "b", &"x".repeat(3000));
        assert!(long.contains(r#""arn:aws:s3:::b/*""#), "{long}");
        let policy = session_policy(Purpose::Report, "aws", "b", "reports/");
        assert!(policy.contains(r#""arn:aws:s3:::b/reports/*""#), "{policy}");
        assert!(
            !policy.contains("s3:Get") && !policy.contains("s3:Delete"),
            "{policy}"
        );
    }

    #[test]
    fn a_role_of_a_file_system_reaches_nothing_else() {
        let arn = "arn:aws:elasticfilesystem:us-east-1:123456789012:file-system/fs-0123abcd";
        let policy = session_policy(Purpose::FileSystem, "aws", arn, "");
        assert!(
            policy.contains(&format!(r#""Resource":"{arn}""#)),
            "{policy}"
        );
        assert!(
            policy.contains("elasticfilesystem:ClientRootAccess"),
            "{policy}"
        );
        assert!(!policy.contains("s3:"), "{policy}");
    }

    #[test]
    fn a_whole_bucket_has_no_condition_and_long_prefixes_fall_back_to_it() {
        let whole = session_policy(Purpose::Location, "aws-cn", "b", "");
        assert!(!whole.contains("s3:prefix"));
        assert!(whole.contains(r#""kms:ViaService":"s3.*""#), "{whole}");
        assert!(whole.contains("arn:aws-cn:s3:::b/*"));
        assert_eq!(
            session_policy(Purpose::Location, "aws-cn", "b", &"x/".repeat(1500)),
            whole
        );
    }
}
