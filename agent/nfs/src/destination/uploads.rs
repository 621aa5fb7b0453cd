//! Uploads: a file in the staging directory that parts are written into at their places, and beside it
//! the records of those that are on stable storage.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use datasync_endpoint::{
    Crc64, EndpointError, EntryKind, ErrorKind, Handle, Key, ObjectHeader, OpenUpload, PartReceipt,
    PartStream, Payload, ReadBack, Receipt, Source, StoredPart, UploadId, part_length,
};

use super::parts::{PARTS_MAX, PartRecord, RECORD, read_records, stored};
use super::putting::UNFINISHED_MODE;
use super::writing::restarted;
use super::{NfsDestination, endowing};
use crate::socket::arbitrary;

/// How the names of uploads begin.
const UPLOAD: &str = "upload-";
/// How the name of an upload's records ends.
const RECORDS: &str = ".parts";
/// Uploads whose handles are remembered.
const KNOWN_MAX: usize = 1024;

/// The two files of an upload.
#[derive(Debug, Clone)]
struct Files {
    content: Bytes,
    records: Bytes,
}

/// Handles of uploads that are open.
#[derive(Debug, Default)]
pub(super) struct Uploads(Mutex<HashMap<UploadId, Files>>);

impl Uploads {
    fn edit<T>(&self, edit: impl FnOnce(&mut HashMap<UploadId, Files>) -> T) -> T {
        edit(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn keep(&self, upload: &UploadId, files: &Files) {
        self.edit(|known| {
            if known.len() >= KNOWN_MAX {
                known.clear();
            }
            known.insert(upload.clone(), files.clone());
        });
    }

    pub(super) fn clear(&self) {
        self.edit(HashMap::clear);
    }
}

/// The beginning of the names of a key's uploads.
fn names_of(key: &Key) -> String {
    let text = key.as_str();
    format!(
        "{UPLOAD}{:016x}-{:x}-",
        Crc64::of(text.as_bytes()).0,
        text.len()
    )
}

/// Of the whole upload in bytes, as its name has it: with it goes where each part begins.
fn size_of(upload: &UploadId) -> Option<u64> {
    let size = upload.0.rsplit('-').nth(1)?;
    u64::from_str_radix(size, 16).ok()
}

/// Whether the name was given by [`NfsDestination::new_upload`].
fn is_upload(name: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_hexdigit() || byte == b'-';
    name.strip_prefix(UPLOAD)
        .is_some_and(|rest| rest.bytes().all(is_plain))
}

fn records_name(upload: &UploadId) -> String {
    format!("{}{RECORDS}", upload.0)
}

impl NfsDestination {
    pub(super) async fn new_upload(&self, key: &Key, size: u64) -> Result<UploadId, EndpointError> {
        // Refused before anything is sent.
        if !key.is_directory() {
            self.target(key)?;
        }
        let staging = self.staging_made().await?;
        let upload = UploadId(format!("{}{size:x}-{:016x}", names_of(key), arbitrary()));
        let changes = self.tree.changes();
        let made = async {
            let content = changes.make_file(&staging, upload.0.as_bytes(), UNFINISHED_MODE);
            let (content, _) = content.await?;
            let name = records_name(&upload);
            let records = changes.make_file(&staging, name.as_bytes(), UNFINISHED_MODE);
            let (records, _) = records.await?;
            Ok(Files { content, records })
        };
        match made.await {
            Ok(files) => {
                self.uploads.keep(&upload, &files);
                Ok(upload)
            }
            Err(error) => Err(self.of_item(key, error)),
        }
    }

    /// # Errors
    /// `NotFound` for an upload that does not exist any more.
    async fn files(&self, key: &Key, upload: &UploadId) -> Result<Files, EndpointError> {
        if let Some(known) = self.uploads.edit(|known| known.get(upload).cloned()) {
            return Ok(known);
        }
        let gone = || {
            let detail = "the upload does not exist, or not any more";
            self.fault(ErrorKind::NotFound, "LOOKUP", key, detail)
        };
        if !is_upload(&upload.0) {
            return Err(gone());
        }
        let staging = Handle(self.staging().await?.ok_or_else(gone)?);
        let names = [upload.0.clone(), records_name(upload)];
        let mut found = Vec::with_capacity(2);
        for name in &names {
            let node = self.tree.lookup(&staging, name.as_bytes()).await?;
            let node = node.filter(|node| node.attributes.kind == EntryKind::File);
            found.push(node.ok_or_else(gone)?.handle.0);
        }
        let [content, records] = <[Bytes; 2]>::try_from(found).map_err(|_| gone())?;
        let files = Files { content, records };
        self.uploads.keep(upload, &files);
        Ok(files)
    }

    /// Where a part begins.
    fn offset(&self, key: &Key, upload: &UploadId, number: u32) -> Result<u64, EndpointError> {
        let index = number.checked_sub(1).filter(|_| number <= PARTS_MAX);
        match (index, size_of(upload)) {
            (Some(index), Some(size)) => Ok(u64::from(index) * part_length(size, PARTS_MAX)),
            _ => {
                let detail = format!("part {number} of the upload {:?}", upload.0);
                Err(self.fault(ErrorKind::Invalid, "WRITE", key, detail))
            }
        }
    }

    pub(super) async fn put_part(
        &self,
        key: &Key,
        upload: &UploadId,
        number: u32,
        payload: &Payload,
    ) -> Result<PartReceipt, EndpointError> {
        let files = self.files(key, upload).await?;
        let offset = self.offset(key, upload, number)?;
        let writing = self.write_payload(&files.content, offset, payload);
        writing.await.map_err(|error| self.of_item(key, error))?;
        let record = PartRecord {
            number,
            length: payload.length,
            crc64: payload.crc64,
        };
        self.record(key, &files, record).await
    }

    pub(super) async fn put_stream(
        &self,
        key: &Key,
        upload: &UploadId,
        number: u32,
        part: PartStream,
    ) -> Result<PartReceipt, EndpointError> {
        let files = self.files(key, upload).await?;
        let offset = self.offset(key, upload, number)?;
        let writing = self.write_stream(&files.content, offset, part);
        let (crc64, length) = writing.await.map_err(|error| self.of_item(key, error))?;
        let record = PartRecord {
            number,
            length,
            crc64,
        };
        self.record(key, &files, record).await
    }

    /// Only now the part counts.
    async fn record(
        &self,
        key: &Key,
        files: &Files,
        record: PartRecord,
    ) -> Result<PartReceipt, EndpointError> {
        let (mut offset, mut rest) = (PartRecord::offset(record.number), record.to_bytes());
        while !rest.is_empty() {
            let changes = self.tree.changes();
            let written = changes.write(&files.records, offset, &rest, true).await;
            let written = written.map_err(|error| self.of_item(key, error))?;
            rest.drain(..(written.count as usize).min(rest.len()));
            offset += u64::from(written.count);
            if !written.is_stable && changes.commit(&files.records).await? != written.verifier {
                return Err(self.of_item(key, restarted()));
            }
        }
        Ok(PartReceipt {
            number: record.number,
            etag: record.etag(),
            crc64: record.crc64,
            checksum: None,
            length: record.length,
        })
    }

    async fn records(
        &self,
        key: &Key,
        upload: &UploadId,
    ) -> Result<Vec<PartRecord>, EndpointError> {
        let files = self.files(key, upload).await?;
        let file = Handle(files.records);
        let bytes_max = (u64::from(PARTS_MAX) + 1) * RECORD;
        let mut bytes = Vec::new();
        while (bytes.len() as u64) < bytes_max {
            let left = bytes_max - bytes.len() as u64;
            let asked = u32::try_from(left)
                .unwrap_or(u32::MAX)
                .min(self.tree.read_max());
            let reply = self.tree.read(&file, bytes.len() as u64, asked).await?;
            bytes.extend_from_slice(&reply.data);
            if reply.eof || reply.data.is_empty() {
                break;
            }
        }
        Ok(read_records(&bytes))
    }

    pub(super) async fn stored_parts(
        &self,
        key: &Key,
        upload: &UploadId,
    ) -> Result<Vec<StoredPart>, EndpointError> {
        // By its name, so that one that is gone is not found by a handle that still works.
        self.uploads.edit(|known| known.remove(upload));
        let records = self.records(key, upload).await?;
        Ok(records.iter().map(stored).collect())
    }

    pub(super) async fn complete(
        &self,
        key: &Key,
        upload: &UploadId,
        header: &ObjectHeader,
        (parts, crc64): (&[PartReceipt], Crc64),
    ) -> Result<Receipt, EndpointError> {
        let target = self.target(key)?;
        let records = self.records(key, upload).await?;
        let layout = size_of(upload).map(|size| part_length(size, PARTS_MAX));
        if let Err(detail) = fits(parts, &records, layout) {
            return Err(self.fault(ErrorKind::Invalid, "RENAME", key, detail));
        }
        let length = parts.iter().map(|part| part.length).sum();
        let files = self.files(key, upload).await?;
        let gone = || {
            let detail = "the upload does not exist any more";
            self.fault(ErrorKind::NotFound, "LOOKUP", key, detail)
        };
        let staging = self.staging().await?.ok_or_else(gone)?;
        let content = Handle(files.content.clone());
        let made = self.tree.attributes(&content).await?;
        if made.size != length {
            let detail = format!("parts of {length} bytes, and a file of {}", made.size);
            return Err(self.fault(ErrorKind::Invalid, "GETATTR", key, detail));
        }
        let published = async {
            let sent = ReadBack {
                size: length,
                crc64,
            };
            self.holds(key, &files.content, sent).await?;
            let entry = (&files.content, EntryKind::File, &made);
            let from = (&staging, upload.0.as_str());
            self.publish(from, entry, &target, (key, header)).await
        };
        let published = Box::pin(published).await;
        let (attributes, endowed) = published.map_err(|error| self.of_item(key, error))?;
        self.uploads.edit(|known| known.remove(upload));
        self.unstage(&staging, &records_name(upload)).await;
        self.is_kept_as(key, &attributes, (&header.metadata, length))?;
        endowing::endowed(super::putting::receipt(&attributes), endowed)
    }

    pub(super) async fn abort(&self, key: &Key, upload: &UploadId) -> Result<(), EndpointError> {
        self.uploads.edit(|known| known.remove(upload));
        let Some(staging) = self.staging().await? else {
            return Ok(());
        };
        if !is_upload(&upload.0) {
            return Ok(());
        }
        for name in [upload.0.clone(), records_name(upload)] {
            match self.tree.changes().remove(&staging, name.as_bytes()).await {
                Err(error) if error.kind != ErrorKind::NotFound => {
                    return Err(self.of_item(key, error));
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Begun when the server last wrote to the file: for one without parts, that is its making.
    pub(super) async fn open_of(&self, key: &Key) -> Result<Vec<OpenUpload>, EndpointError> {
        let Some(staging) = self.staging().await? else {
            return Ok(Vec::new());
        };
        let (names, mut open) = (names_of(key), Vec::new());
        for entry in self.staged(&staging).await? {
            let name = std::str::from_utf8(&entry.name).unwrap_or_default();
            if !name.starts_with(&names) || !is_upload(name) {
                continue;
            }
            match entry.node {
                Ok(node) => open.push(OpenUpload {
                    id: UploadId(name.to_owned()),
                    initiated: node.attributes.mtime,
                }),
                Err(error) => {
                    let detail = format!("{name}: {error}");
                    return Err(self.fault(error.kind, "READDIR", key, detail));
                }
            }
        }
        Ok(open)
    }
}

/// Whether the parts are there as they were sent, one after the other, at their places.
fn fits(parts: &[PartReceipt], records: &[PartRecord], layout: Option<u64>) -> Result<(), String> {
    for (number, part) in (1..).zip(parts) {
        let record = records.iter().find(|record| record.number == part.number);
        if part.number != number {
            return Err(format!("part {} where part {number} belongs", part.number));
        }
        let is_last = number as usize == parts.len();
        if !is_last && Some(part.length) != layout {
            return Err(format!(
                "part {number} of {} bytes, and more after it",
                part.length
            ));
        }
        if record.is_none_or(|record| record.etag() != part.etag || record.length != part.length) {
            return Err(format!("part {number} is not there as it was sent"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(number: u32, length: u64) -> (PartReceipt, PartRecord) {
        let record = PartRecord {
            number,
            length,
            crc64: Crc64(u64::from(number)),
        };
        let receipt = PartReceipt {
            number,
            etag: record.etag(),
            crc64: record.crc64,
            checksum: None,
            length,
        };
        (receipt, record)
    }

    #[test]
    fn an_upload_is_complete_only_with_every_part_as_it_was_sent() {
        let (parts, records): (Vec<_>, Vec<_>) =
            [sent(1, 10), sent(2, 10), sent(3, 4)].into_iter().unzip();
        assert_eq!(fits(&parts, &records, Some(10)), Ok(()));
        assert!(
            fits(&parts, &records[1..], Some(10)).is_err(),
            "one is gone"
        );
        assert!(
            fits(&parts[1..], &records, Some(10)).is_err(),
            "one was left out"
        );
        assert!(fits(&parts, &records, Some(11)).is_err(), "at other places");
        assert!(fits(&parts, &records, None).is_err());
        let other = PartReceipt {
            etag: "\"other\"".to_owned(),
            ..parts[2].clone()
        };
        assert!(fits(&[other], &records, Some(10)).is_err());
    }

    #[test]
    fn the_name_of_an_upload_tells_its_key_and_its_size() {
        let key = |text: &str| Key::from_listing(text.to_owned());
        let upload = UploadId(format!(
            "{}{:x}-0123456789abcdef",
            names_of(&key("a")),
            1u64 << 40
        ));
        assert_eq!(size_of(&upload), Some(1 << 40));
        assert!(is_upload(&upload.0));
        assert!(!is_upload(&records_name(&upload)) && !is_upload("upload-../x"));
        assert!(!upload.0.starts_with(&names_of(&key("b"))));
        assert!(!upload.0.starts_with(&names_of(&key("a/"))));
        assert_eq!(size_of(&UploadId("x".to_owned())), None);
    }
}
