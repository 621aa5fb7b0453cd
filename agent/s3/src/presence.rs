//! Whether an object is there, where HEAD does not tell.

use datasync_endpoint::{EndpointError, ErrorKind};

use crate::destination::Store;
use crate::listing::{Listing, Start, decoded};

/// What lacks where an object that is there cannot be asked for.
pub(crate) const READ_REFUSED: &str = "reading the object is not allowed (s3:GetObject, and kms:Decrypt where it is encrypted by KMS)";
const NOT_TOLD: &str = "whether the object exists is not told: asking for it is not allowed \
    (s3:GetObject), nor is the listing that would tell (s3:ListBucket)";

impl Store {
    /// What a HEAD means that was `refused`. S3 does not say that an object is missing to who may list
    /// only below a prefix ("HeadObject", permissions: 403 without `s3:ListBucket`); a listing does.
    /// It is missing if this succeeds.
    ///
    /// # Errors
    /// The refusal, and what lacks, if the object is there or nobody tells.
    pub(crate) async fn missing_or_refused(
        &self,
        object_key: &str,
        refused: EndpointError,
    ) -> Result<(), EndpointError> {
        let lacks = match self.is_listed(object_key).await {
            Ok(false) => return Ok(()),
            Ok(true) => READ_REFUSED,
            Err(error) if error.kind == ErrorKind::PermissionDenied => NOT_TOLD,
            Err(error) => return Err(error),
        };
        let detail = format!("{lacks}: {}", refused.detail);
        Err(EndpointError { detail, ..refused })
    }

    /// Whether a listing has the object: its key comes first of all that begin so.
    async fn is_listed(&self, object_key: &str) -> Result<bool, EndpointError> {
        let wanted = Listing {
            prefix: object_key,
            by_directory: false,
            start: Start::Beginning,
            max_keys: 1,
        };
        let page = self.raw_page(wanted).await?;
        let is_it = |text: &str| match page.url_encoded {
            true => decoded(text).is_some_and(|key| key == object_key),
            false => text == object_key,
        };
        let mut keys = page
            .objects
            .iter()
            .filter_map(|object| object.key.as_deref());
        Ok(keys.any(is_it))
    }
}
