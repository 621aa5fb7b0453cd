//! An object as a store finds it by itself.

/// An object of a store, in one version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredObject {
    /// The store's base URL; `None` means AWS.
    pub endpoint: Option<String>,
    /// Its bucket.
    pub bucket: String,
    /// In the bucket.
    pub key: String,
    /// As the store writes it, quotes included.
    pub etag: String,
    /// In bytes.
    pub size: u64,
}
