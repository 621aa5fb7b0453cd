//! Open multipart uploads of one bucket: on disk, and in memory for lookup and listing.

use std::collections::BTreeMap;
use std::fs;
use std::io;

use s3s::{S3Result, s3_error};
use serde::{Deserialize, Serialize};

use crate::checksum::{Algorithm, ChecksumKind, Value};
use crate::disk::Disk;
use crate::object::{Attributes, Segment};

/// Parts of one upload are numbered from 1 to this.
pub(crate) const PART_NUMBER_MAX: i32 = 10_000;

/// What CreateMultipartUpload said.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Plan {
    pub(crate) id: String,
    pub(crate) key: String,
    /// Seconds since the epoch.
    pub(crate) initiated: i64,
    pub(crate) attributes: Attributes,
    pub(crate) tags: Vec<(String, String)>,
    pub(crate) checksum: Option<(Algorithm, ChecksumKind)>,
}

/// One part that has arrived.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Part {
    pub(crate) number: i32,
    pub(crate) segment: Segment,
    pub(crate) modified: i64,
    /// MD5 in hex.
    pub(crate) etag: String,
    pub(crate) checksum: Option<Value>,
}

/// An open upload.
#[derive(Debug, Clone)]
pub(crate) struct Upload {
    pub(crate) plan: Plan,
    pub(crate) parts: BTreeMap<i32, Part>,
}

/// The open uploads, ordered by key and then by age (ids begin with the time).
#[derive(Debug, Default)]
pub(crate) struct Uploads {
    open: BTreeMap<(String, String), Upload>,
}

impl Uploads {
    /// Reads back what is on disk.
    pub(crate) fn load(disk: &Disk) -> io::Result<Self> {
        let mut uploads = Self::default();
        for directory in fs::read_dir(disk.uploads())? {
            let directory = directory?.path();
            let Some(plan) = disk.read_json::<Plan>(&directory.join("upload.json"))? else {
                // A crash between the directory and its plan: nobody knows this id.
                fs::remove_dir_all(&directory)?;
                continue;
            };
            let mut parts = BTreeMap::new();
            for file in fs::read_dir(&directory)? {
                let file = file?;
                if file.file_name() == "upload.json" {
                    continue;
                }
                if let Some(part) = disk.read_json::<Part>(&file.path())? {
                    parts.insert(part.number, part);
                }
            }
            uploads
                .open
                .insert((plan.key.clone(), plan.id.clone()), Upload { plan, parts });
        }
        Ok(uploads)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Upload> {
        self.open.values()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    pub(crate) fn get(&self, key: &str, id: &str) -> S3Result<&Upload> {
        self.open
            .get(&(key.to_owned(), id.to_owned()))
            .ok_or_else(no_such_upload)
    }

    /// Starts an upload.
    pub(crate) fn create(&mut self, disk: &Disk, plan: Plan) -> io::Result<()> {
        let directory = disk.uploads().join(&plan.id);
        fs::create_dir(&directory)?;
        disk.write_json(&directory.join("upload.json"), &plan)?;
        let upload = Upload {
            plan,
            parts: BTreeMap::new(),
        };
        self.open
            .insert((upload.plan.key.clone(), upload.plan.id.clone()), upload);
        Ok(())
    }

    /// Records a part; returns the one that it replaces.
    pub(crate) fn put_part(
        &mut self,
        disk: &Disk,
        key: &str,
        id: &str,
        part: Part,
    ) -> S3Result<io::Result<Option<Part>>> {
        let slot = (key.to_owned(), id.to_owned());
        let upload = self.open.get_mut(&slot).ok_or_else(no_such_upload)?;
        let path = disk
            .uploads()
            .join(id)
            .join(format!("{:05}.json", part.number));
        let written = disk.write_json(&path, &part);
        Ok(written.map(|()| upload.parts.insert(part.number, part)))
    }

    /// Ends an upload; its parts' content is the caller's to keep or to discard.
    pub(crate) fn remove(
        &mut self,
        disk: &Disk,
        key: &str,
        id: &str,
    ) -> S3Result<io::Result<Upload>> {
        let slot = (key.to_owned(), id.to_owned());
        if !self.open.contains_key(&slot) {
            return Err(no_such_upload());
        }
        if let Err(error) = fs::remove_dir_all(disk.uploads().join(id)) {
            return Ok(Err(error));
        }
        self.open.remove(&slot).map(Ok).ok_or_else(no_such_upload)
    }
}

fn no_such_upload() -> s3s::S3Error {
    s3_error!(
        NoSuchUpload,
        "The specified upload does not exist. The upload ID may be invalid, or the upload may have \
         been aborted or completed."
    )
}
