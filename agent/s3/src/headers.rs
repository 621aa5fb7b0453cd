//! Headers that the settings add to requests, the same through the SDK and without it.

use std::sync::Arc;

use aws_sdk_s3::config::interceptors::BeforeTransmitInterceptorContextMut;
use aws_sdk_s3::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_s3::error::BoxError;

use crate::config::{Encryption, S3Config};

const ENCRYPTION: &str = "x-amz-server-side-encryption";
/// What goes with another encryption than the one that is asked for.
const ENCRYPTION_DETAILS: [&str; 3] = [
    "x-amz-server-side-encryption-aws-kms-key-id",
    "x-amz-server-side-encryption-bucket-key-enabled",
    "x-amz-server-side-encryption-context",
];

/// Names in lower case, and values.
#[derive(Debug, Clone, Default)]
pub(crate) struct Headers(Arc<Vec<(&'static str, String)>>);

impl Headers {
    /// Of every request.
    pub(crate) fn of_all(config: &S3Config) -> Self {
        let payer = config
            .requester_pays
            .then(|| ("x-amz-request-payer", "requester".to_owned()));
        Self(Arc::new(payer.into_iter().collect()))
    }

    /// Of requests that make an object: PutObject, CreateMultipartUpload, CopyObject.
    pub(crate) fn of_writes(config: &S3Config) -> Self {
        let mut headers = Vec::new();
        match &config.encryption {
            None => {}
            Some(Encryption::S3) => headers.push((ENCRYPTION, "AES256".to_owned())),
            Some(Encryption::Kms(kms)) => {
                let word = if kms.dual_layer {
                    "aws:kms:dsse"
                } else {
                    "aws:kms"
                };
                headers.push((ENCRYPTION, word.to_owned()));
                let key_id = kms.key_id.clone();
                headers.extend(key_id.map(|id| (ENCRYPTION_DETAILS[0], id)));
                let bucket_key = kms.bucket_key.map(|enabled| enabled.to_string());
                headers.extend(bucket_key.map(|enabled| (ENCRYPTION_DETAILS[1], enabled)));
            }
        }
        if config.bucket_owner_full_control {
            headers.push(("x-amz-acl", "bucket-owner-full-control".to_owned()));
        }
        Self(Arc::new(headers))
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&'static str, &str)> {
        self.0.iter().map(|(name, value)| (*name, value.as_str()))
    }
}

impl Intercept for Headers {
    fn name(&self) -> &'static str {
        "Headers"
    }

    fn modify_before_signing(
        &self,
        context: &mut BeforeTransmitInterceptorContextMut<'_>,
        _components: &RuntimeComponents,
        _config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let headers = context.request_mut().headers_mut();
        for (name, value) in self.iter() {
            if name == ENCRYPTION {
                for detail in ENCRYPTION_DETAILS {
                    headers.remove(detail);
                }
            }
            headers.try_insert(name, value.to_owned())?;
        }
        Ok(())
    }
}
