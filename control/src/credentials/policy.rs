//! The session policy of AssumeRole: what a location needs, on that location alone.

use serde_json::{Value, json};

/// The longest session policy that STS takes, in characters (STS API, AssumeRole, `Policy`).
const POLICY_LENGTH_MAX: usize = 2048;

// The actions that the agent's requests need ("Required permissions for Amazon S3 API operations").
const READ_BUCKET: &[&str] = &["s3:ListBucket"];
const READ_OBJECTS: &[&str] = &["s3:GetObject", "s3:GetObjectTagging"];
const WRITE_BUCKET: &[&str] = &["s3:ListBucket", "s3:ListBucketMultipartUploads"];
const WRITE_OBJECTS: &[&str] = &[
    "s3:AbortMultipartUpload",
    "s3:DeleteObject",
    "s3:GetObject",
    "s3:GetObjectTagging",
    "s3:ListMultipartUploadParts",
    "s3:PutObject",
    "s3:PutObjectAcl",
    "s3:PutObjectTagging",
];

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

/// What keys of a location allow, the lesser first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Rights {
    /// What a source needs.
    Read,
    /// What a destination needs, which is read as well.
    Write,
    /// The same where the source is a bucket too: CopyObject reads the source by the destination's keys.
    Copy,
}

/// What the keys are for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Purpose {
    /// A location: what is below a prefix.
    Location(Rights),
    /// Reading one object, the manifest.
    Manifest,
    /// Writing below a prefix, where task reports go.
    Report,
    /// Writing to a log group; the bucket is its ARN.
    Logs,
    /// A file system; the bucket is its ARN.
    FileSystem(Rights),
}

/// A policy for `purpose` in `bucket`, limited to `prefix` where that fits STS's bound on length.
pub(super) fn session_policy(
    purpose: Purpose,
    partition: &str,
    bucket: &str,
    prefix: &str,
) -> String {
    let policy = |prefix: Option<&str>| {
        let statements = match purpose {
            Purpose::Location(rights) => of_location(rights, partition, bucket, prefix),
            Purpose::Manifest => of_manifest(partition, bucket, prefix),
            Purpose::Report => of_report(partition, bucket, prefix),
            Purpose::Logs => of_logs(bucket),
            Purpose::FileSystem(rights) => of_file_system(rights, bucket),
        };
        json!({ "Version": "2012-10-17", "Statement": statements }).to_string()
    };
    let limited = policy(Some(prefix));
    if limited.chars().count() > POLICY_LENGTH_MAX {
        policy(None)
    } else {
        limited
    }
}

fn bucket_arn(partition: &str, bucket: &str) -> String {
    format!("arn:{partition}:s3:::{}", literal(bucket))
}

/// Without a key: any object.
fn of_manifest(partition: &str, bucket: &str, key: Option<&str>) -> Value {
    let bucket = bucket_arn(partition, bucket);
    let object = key.map_or_else(|| "*".to_owned(), literal);
    json!([
        {
            "Effect": "Allow",
            "Action": ["s3:GetObject", "s3:GetObjectVersion"],
            "Resource": format!("{bucket}/{object}"),
        },
        of_kms(Rights::Read),
    ])
}

/// Without a prefix: any object.
fn of_report(partition: &str, bucket: &str, prefix: Option<&str>) -> Value {
    let bucket = bucket_arn(partition, bucket);
    let prefix = literal(prefix.unwrap_or_default());
    json!([
        {
            "Effect": "Allow",
            "Action": ["s3:PutObject", "s3:PutObjectAcl"],
            "Resource": format!("{bucket}/{prefix}*"),
        },
        of_kms(Rights::Write),
    ])
}

fn of_logs(group_arn: &str) -> Value {
    let group = group_arn.strip_suffix(":*").unwrap_or(group_arn);
    json!([{
        "Effect": "Allow",
        "Action": ["logs:CreateLogStream", "logs:PutLogEvents"],
        "Resource": [group, format!("{group}:*")],
    }])
}

/// Without root's rights files of other users can be neither read nor given to them.
fn of_file_system(rights: Rights, file_system_arn: &str) -> Value {
    let mut actions = vec![
        "elasticfilesystem:ClientMount",
        "elasticfilesystem:ClientRootAccess",
    ];
    if rights >= Rights::Write {
        actions.push("elasticfilesystem:ClientWrite");
    }
    json!([{ "Effect": "Allow", "Action": actions, "Resource": file_system_arn }])
}

/// What S3 asks of KMS in our name; which keys, the role's own policy says. Parts of an upload are
/// encrypted by a key that is decrypted for each.
fn of_kms(rights: Rights) -> Value {
    let mut actions = vec!["kms:Decrypt"];
    if rights >= Rights::Write {
        actions.push("kms:GenerateDataKey");
    }
    json!({
        "Effect": "Allow",
        "Action": actions,
        "Resource": "*",
        "Condition": { "StringLike": { "kms:ViaService": "s3.*" } },
    })
}

/// Without a prefix: the whole bucket.
fn of_location(rights: Rights, partition: &str, bucket: &str, prefix: Option<&str>) -> Value {
    let prefix = prefix.unwrap_or_default();
    let bucket = bucket_arn(partition, bucket);
    let pattern = format!("{}*", literal(prefix));
    let (of_bucket, of_objects): (&[&str], &[&str]) = match rights {
        Rights::Read => (READ_BUCKET, READ_OBJECTS),
        Rights::Write | Rights::Copy => (WRITE_BUCKET, WRITE_OBJECTS),
    };
    let mut list = json!({ "Effect": "Allow", "Action": of_bucket, "Resource": bucket });
    if !prefix.is_empty() {
        list["Condition"] = json!({ "StringLike": { "s3:prefix": pattern } });
    }
    let mut statements = vec![
        list,
        json!({
            "Effect": "Allow",
            "Action": ["s3:GetBucketLocation"],
            "Resource": bucket,
        }),
        json!({
            "Effect": "Allow",
            "Action": of_objects,
            "Resource": format!("{bucket}/{pattern}"),
        }),
        of_kms(rights),
    ];
    if rights == Rights::Copy {
        // Executions with several sources share the keys: which objects, the role's own policy says.
        statements.push(json!({
            "Effect": "Allow",
            "Action": READ_OBJECTS,
            "Resource": format!("arn:{partition}:s3:::*"),
        }));
    }
    Value::Array(statements)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_policy_is_limited_to_the_prefix() {
        let policy: serde_json::Value = serde_json::from_str(&session_policy(
            Purpose::Location(Rights::Write),
            "aws",
            "b",
            "in/a*b/",
        ))
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

    fn actions(purpose: Purpose, of: &str) -> Vec<String> {
        let policy = session_policy(purpose, "aws", of, "in/");
        let policy: Value = serde_json::from_str(&policy).unwrap();
        let statements = policy["Statement"].as_array().unwrap().clone();
        let actions = statements.iter().flat_map(|statement| {
            let actions = statement["Action"].as_array().unwrap().iter();
            actions.map(|action| action.as_str().unwrap().to_owned())
        });
        actions.collect()
    }

    #[test]
    fn a_source_is_read_and_nothing_else() {
        let read = actions(Purpose::Location(Rights::Read), "b");
        assert_eq!(
            read,
            [
                "s3:ListBucket",
                "s3:GetBucketLocation",
                "s3:GetObject",
                "s3:GetObjectTagging",
                "kms:Decrypt"
            ]
        );
        let written = actions(Purpose::Location(Rights::Write), "b");
        assert!(read.iter().all(|action| written.contains(action)));
        for action in ["s3:PutObject", "s3:DeleteObject", "kms:GenerateDataKey"] {
            assert!(written.iter().any(|other| other == action), "{action}");
        }
        assert!(!actions(Purpose::Manifest, "b").contains(&"kms:GenerateDataKey".to_owned()));
    }

    #[test]
    fn a_destination_reads_other_buckets_only_for_copies() {
        let of = |rights| session_policy(Purpose::Location(rights), "aws", "b", "in/");
        for rights in [Rights::Read, Rights::Write] {
            assert!(!of(rights).contains("arn:aws:s3:::*"), "{rights:?}");
        }
        let policy: Value = serde_json::from_str(&of(Rights::Copy)).unwrap();
        let last = policy["Statement"].as_array().unwrap().last().unwrap();
        assert_eq!(last["Resource"], "arn:aws:s3:::*");
        assert_eq!(last["Action"], json!(READ_OBJECTS));
        let written = actions(Purpose::Location(Rights::Write), "b");
        assert_eq!(
            actions(Purpose::Location(Rights::Copy), "b")[..written.len()],
            written
        );
    }

    #[test]
    fn a_role_of_a_file_system_reaches_nothing_else() {
        let arn = "arn:aws:elasticfilesystem:us-east-1:123456789012:file-system/fs-0123abcd";
        let policy = session_policy(Purpose::FileSystem(Rights::Read), "aws", arn, "");
        assert!(
            policy.contains(&format!(r#""Resource":"{arn}""#)),
            "{policy}"
        );
        let read = [
            "elasticfilesystem:ClientMount",
            "elasticfilesystem:ClientRootAccess",
        ];
        assert_eq!(actions(Purpose::FileSystem(Rights::Read), arn), read);
        let written = actions(Purpose::FileSystem(Rights::Write), arn);
        assert_eq!(written[..2], read);
        assert_eq!(written[2..], ["elasticfilesystem:ClientWrite"]);
    }

    #[test]
    fn a_whole_bucket_has_no_condition_and_long_prefixes_fall_back_to_it() {
        let purpose = Purpose::Location(Rights::Write);
        let whole = session_policy(purpose, "aws-cn", "b", "");
        assert!(!whole.contains("s3:prefix"));
        assert!(whole.contains(r#""kms:ViaService":"s3.*""#), "{whole}");
        assert!(whole.contains("arn:aws-cn:s3:::b/*"));
        assert_eq!(
            session_policy(purpose, "aws-cn", "b", &"x/".repeat(1500)),
            whole
        );
    }
}
