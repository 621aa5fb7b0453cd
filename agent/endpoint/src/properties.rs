//! What an object carries besides its content and POSIX metadata.

use serde::{Deserialize, Serialize};

/// The metadata and tags of an object that is copied to an object: the copy gets the same.
///
/// Texts are as the headers of S3's API have them ("Working with object metadata"); S3 takes 2 KB of
/// user metadata and 10 tags.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObjectProperties {
    /// User metadata: names in lower case without `x-amz-meta-`, and values.
    pub user_metadata: Vec<(String, String)>,
    /// `Content-Type`.
    pub content_type: Option<String>,
    /// `Content-Encoding`.
    pub content_encoding: Option<String>,
    /// `Content-Disposition`.
    pub content_disposition: Option<String>,
    /// `Content-Language`.
    pub content_language: Option<String>,
    /// `Cache-Control`.
    pub cache_control: Option<String>,
    /// `Expires`.
    pub expires: Option<String>,
    /// `x-amz-website-redirect-location`.
    pub website_redirect: Option<String>,
    /// Names and values of the tags.
    pub tags: Vec<(String, String)>,
}
