use std::sync::atomic::{AtomicU64, Ordering};

macro_rules! operations {
    ($($name:ident: $mutates:literal),+ $(,)?) => {
        /// The operations of S3's API that are used here.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(crate) enum Operation { $($name),+ }

        impl Operation {
            const ALL: &[Self] = &[$(Self::$name),+];

            /// The API's own word.
            pub(crate) fn name(self) -> &'static str {
                match self { $(Self::$name => stringify!($name)),+ }
            }

            /// Whether the operation changes anything at the store.
            pub(crate) fn mutates(self) -> bool {
                match self { $(Self::$name => $mutates),+ }
            }
        }
    };
}

operations! {
    AbortMultipartUpload: true,
    CompleteMultipartUpload: true,
    CopyObject: true,
    CreateMultipartUpload: true,
    DeleteObject: true,
    DeleteObjects: true,
    GetObject: false,
    GetObjectTagging: false,
    HeadBucket: false,
    HeadObject: false,
    ListMultipartUploads: false,
    ListObjectsV2: false,
    ListParts: false,
    PutObject: true,
    UploadPart: true,
    UploadPartCopy: true,
}

/// Requests sent so far, by operation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallCounts(Vec<(&'static str, u64)>);

impl CallCounts {
    /// Requests of the operation with this name in S3's API, such as `PutObject`.
    #[must_use]
    pub fn of(&self, operation: &str) -> u64 {
        self.iter()
            .find(|(name, _)| *name == operation)
            .map_or(0, |(_, count)| count)
    }

    /// All requests.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.iter().map(|(_, count)| count).sum()
    }

    /// Names and counts, in the order of names.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, u64)> {
        self.0.iter().copied()
    }
}

#[derive(Debug, Default)]
pub(crate) struct Calls([AtomicU64; Operation::ALL.len()]);

impl Calls {
    pub(crate) fn count(&self, operation: Operation) {
        if let Some(counter) = self.0.get(operation as usize) {
            counter.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(crate) fn snapshot(&self) -> CallCounts {
        let counts = Operation::ALL
            .iter()
            .zip(&self.0)
            .map(|(operation, counter)| (operation.name(), counter.load(Ordering::Relaxed)));
        CallCounts(counts.collect())
    }
}
