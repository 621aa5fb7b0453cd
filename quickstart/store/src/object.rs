//! What is kept of an object beside its bytes.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::checksum::ObjectChecksum;

/// Headers and metadata that the client sent and gets back.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Attributes {
    pub(crate) metadata: BTreeMap<String, String>,
    pub(crate) content_type: Option<String>,
    pub(crate) content_encoding: Option<String>,
    pub(crate) content_language: Option<String>,
    pub(crate) content_disposition: Option<String>,
    pub(crate) cache_control: Option<String>,
    /// `Expires`, seconds since the epoch.
    pub(crate) expires: Option<i64>,
    pub(crate) website_redirect_location: Option<String>,
    /// `None` is STANDARD.
    pub(crate) storage_class: Option<String>,
}

/// A run of an object's bytes: one file below `data/`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Segment {
    pub(crate) id: String,
    pub(crate) size: u64,
}

/// The record of one object, stored as JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ObjectRecord {
    pub(crate) key: String,
    pub(crate) size: u64,
    /// Seconds since the epoch; S3 keeps no finer time.
    pub(crate) modified: i64,
    /// Without quotes; with `-N` for N uploaded parts.
    pub(crate) etag: String,
    pub(crate) segments: Vec<Segment>,
    pub(crate) attributes: Attributes,
    pub(crate) checksum: Option<ObjectChecksum>,
    pub(crate) tags: Vec<(String, String)>,
    /// Set for objects that were uploaded in parts.
    pub(crate) multipart: bool,
}
