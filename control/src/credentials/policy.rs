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

/// A policy for `bucket`, limited to `prefix` where that fits STS's bound on length.
pub(super) fn session_policy(partition: &str, bucket: &str, prefix: &str) -> String {
    let policy = policy(partition, bucket, prefix);
    if policy.chars().count() > POLICY_LENGTH_MAX {
        self::policy(partition, bucket, "")
    } else {
        policy
    }
}

fn policy(partition: &str, bucket: &str, prefix: &str) -> String {
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
            // What S3 asks of KMS in our name; which keys, the role's own policy says.
            {
                "Effect": "Allow",
                "Action": ["kms:Decrypt", "kms:GenerateDataKey"],
                "Resource": "*",
                "Condition": { "StringLike": { "kms:ViaService": "s3.*" } },
            },
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
            serde_json::from_str(&session_policy("aws", "b", "in/a*b/")).unwrap();
        let statements = &policy["Statement"];
        assert_eq!(statements[0]["Resource"], "arn:aws:s3:::b");
        assert_eq!(
            statements[0]["Condition"]["StringLike"]["s3:prefix"],
            "in/a${*}b/*"
        );
        assert_eq!(statements[2]["Resource"], "arn:aws:s3:::b/in/a${*}b/*");
    }

    #[test]
    fn a_whole_bucket_has_no_condition_and_long_prefixes_fall_back_to_it() {
        let whole = session_policy("aws-cn", "b", "");
        assert!(!whole.contains("s3:prefix"));
        assert!(whole.contains(r#""kms:ViaService":"s3.*""#), "{whole}");
        assert!(whole.contains("arn:aws-cn:s3:::b/*"));
        assert_eq!(session_policy("aws-cn", "b", &"x/".repeat(1500)), whole);
    }
}
