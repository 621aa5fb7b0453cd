//! Entries as bytes: each relative to the one before it in its block.
//!
//! Keys share prefixes, inode numbers and times lie close together, owners repeat: most fields take
//! one or two bytes. Numbers are in LEB128, signed ones folded (0, -1, 1, -2, …).

use datasync_endpoint::{Crc64, Fingerprint, Key, PosixMetadata, Timestamp};

use super::entry::{Entry, Window};

/// A key and what is remembered of it; `None`: nothing any more.
pub(super) type Record = (Key, Option<Entry>);

/// Alone, it is what no entry has: nothing is remembered.
const PROVEN: u8 = 1;
const MTIME_OF_SOURCE: u8 = 1 << 1;
const CTIME_IS_MTIME: u8 = 1 << 2;
const SAME_OWNER: u8 = 1 << 3;
const SAME_CLASS: u8 = 1 << 4;
const HAS_CRC64: u8 = 1 << 5;
const EXACT: u8 = 1 << 6;
const SIZE_OF_SOURCE: u8 = 1 << 7;

/// Owner, group and permissions.
type Owner = [Option<u32>; 3];

fn owner(metadata: &PosixMetadata) -> Owner {
    [metadata.owner, metadata.group, metadata.permissions]
}

/// What the next entry is relative to. A block begins with the default.
#[derive(Debug, Default)]
pub(super) struct Previous {
    key: Vec<u8>,
    mtime: Timestamp,
    ctime: Timestamp,
    written: Timestamp,
    file_id: u64,
    owner: Owner,
    class: Option<String>,
}

impl Previous {
    /// Appends a record.
    pub(super) fn encode(&mut self, key: &Key, entry: Option<&Entry>, out: &mut Vec<u8>) {
        let key = key.as_str().as_bytes();
        let pairs = self.key.iter().zip(key);
        let shared = pairs.take_while(|(a, b)| a == b).count();
        put(out, shared as u128);
        put_bytes(out, &key[shared..]);
        self.key.truncate(shared);
        self.key.extend_from_slice(&key[shared..]);
        let Some(entry) = entry else {
            out.push(PROVEN);
            return;
        };
        let flags = self.flags(entry);
        out.push(flags);
        let has = |flag| flags & flag != 0;
        put(out, u128::from(entry.source.size));
        put_time(out, entry.source.mtime, self.mtime);
        if !has(CTIME_IS_MTIME) {
            put_time(out, entry.source.ctime, self.ctime);
        }
        put_signed(
            out,
            i128::from(entry.source.file_id) - i128::from(self.file_id),
        );
        if !has(SIZE_OF_SOURCE) {
            put(out, u128::from(entry.size));
        }
        out.extend(entry.etag.to_le_bytes());
        put_time(out, entry.written.earliest, self.written);
        if !has(EXACT) {
            put_time(out, entry.written.latest, entry.written.earliest);
        }
        if !has(SAME_CLASS) {
            put_option(out, entry.storage_class.as_ref(), |out, class| {
                put_bytes(out, class.as_bytes());
            });
        }
        if !has(SAME_OWNER) {
            for number in owner(&entry.metadata) {
                put_option(out, number, |out, number| put(out, u128::from(number)));
            }
        }
        if !has(MTIME_OF_SOURCE) {
            put_option(out, entry.metadata.mtime, |out, mtime| {
                put_time(out, mtime, entry.source.mtime);
            });
        }
        if let Some(crc64) = entry.crc64 {
            out.extend(crc64.0.to_le_bytes());
        }
        self.remember(entry);
    }

    fn flags(&self, entry: &Entry) -> u8 {
        let source = &entry.source;
        let conditions = [
            (MTIME_OF_SOURCE, entry.metadata.mtime == Some(source.mtime)),
            (CTIME_IS_MTIME, source.ctime == source.mtime),
            (SAME_OWNER, owner(&entry.metadata) == self.owner),
            (SAME_CLASS, entry.storage_class == self.class),
            (HAS_CRC64, entry.crc64.is_some()),
            (PROVEN, entry.is_proven && entry.crc64.is_some()),
            (EXACT, entry.written.is_exact()),
            (SIZE_OF_SOURCE, entry.size == source.size),
        ];
        let set = conditions.into_iter().filter(|(_, holds)| *holds);
        set.fold(0, |flags, (flag, _)| flags | flag)
    }

    fn remember(&mut self, entry: &Entry) {
        self.mtime = entry.source.mtime;
        self.ctime = entry.source.ctime;
        self.written = entry.written.earliest;
        self.file_id = entry.source.file_id;
        self.owner = owner(&entry.metadata);
        self.class.clone_from(&entry.storage_class);
    }

    /// Takes the next record off `input`; `None` if it is not one.
    pub(super) fn decode(&mut self, input: &mut &[u8]) -> Option<Record> {
        let shared = usize::try_from(number(input)?).ok()?;
        let rest = bytes(input)?;
        self.key.get(..shared)?;
        self.key.truncate(shared);
        self.key.extend_from_slice(rest);
        let key = Key::from_listing(String::from_utf8(self.key.clone()).ok()?);
        let [flags] = array(input)?;
        if flags == PROVEN {
            return Some((key, None));
        }
        let entry = self.decode_entry(flags, input)?;
        self.remember(&entry);
        Some((key, Some(entry)))
    }

    fn decode_entry(&self, flags: u8, input: &mut &[u8]) -> Option<Entry> {
        let has = |flag| flags & flag != 0;
        if has(PROVEN) && !has(HAS_CRC64) {
            return None;
        }
        let source_size = u64::try_from(number(input)?).ok()?;
        let mtime = time(input, self.mtime)?;
        let ctime = if has(CTIME_IS_MTIME) {
            mtime
        } else {
            time(input, self.ctime)?
        };
        let file_id = u64::try_from(i128::from(self.file_id).checked_add(signed(input)?)?).ok()?;
        let size = if has(SIZE_OF_SOURCE) {
            source_size
        } else {
            u64::try_from(number(input)?).ok()?
        };
        let etag = u64::from_le_bytes(array(input)?);
        let earliest = time(input, self.written)?;
        let latest = if has(EXACT) {
            earliest
        } else {
            time(input, earliest)?
        };
        let storage_class = if has(SAME_CLASS) {
            self.class.clone()
        } else {
            option(input, |input| {
                String::from_utf8(bytes(input)?.to_vec()).ok()
            })?
        };
        let [owner, group, permissions] = if has(SAME_OWNER) {
            self.owner
        } else {
            let mut one = || option(input, |input| u32::try_from(number(input)?).ok());
            [one()?, one()?, one()?]
        };
        let kept_mtime = if has(MTIME_OF_SOURCE) {
            Some(mtime)
        } else {
            option(input, |input| time(input, mtime))?
        };
        let crc64 = if has(HAS_CRC64) {
            Some(Crc64(u64::from_le_bytes(array(input)?)))
        } else {
            None
        };
        Some(Entry {
            source: Fingerprint {
                size: source_size,
                mtime,
                ctime,
                file_id,
            },
            size,
            etag,
            written: Window { earliest, latest },
            storage_class,
            metadata: PosixMetadata {
                owner,
                group,
                permissions,
                mtime: kept_mtime,
                atime: None,
                device: None,
            },
            crc64,
            is_proven: has(PROVEN),
        })
    }
}

fn put(out: &mut Vec<u8>, mut number: u128) {
    loop {
        let low = number.to_le_bytes()[0] & 0x7f;
        number >>= 7;
        if number == 0 {
            out.push(low);
            return;
        }
        out.push(low | 0x80);
    }
}

fn number(input: &mut &[u8]) -> Option<u128> {
    let mut number = 0;
    for shift in (0..u128::BITS).step_by(7) {
        let [byte] = array(input)?;
        let low = u128::from(byte & 0x7f);
        if low.leading_zeros() < shift {
            return None;
        }
        number |= low << shift;
        if byte < 0x80 {
            return Some(number);
        }
    }
    None
}

/// Differences of 64-bit numbers: they leave room for one bit more.
fn put_signed(out: &mut Vec<u8>, number: i128) {
    put(out, folded(number));
}

fn folded(number: i128) -> u128 {
    (number.cast_unsigned() << 1) ^ (number >> 127).cast_unsigned()
}

fn unfolded(number: u128) -> i128 {
    (number >> 1).cast_signed() ^ -(number & 1).cast_signed()
}

fn signed(input: &mut &[u8]) -> Option<i128> {
    number(input).map(unfolded)
}

fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put(out, bytes.len() as u128);
    out.extend_from_slice(bytes);
}

fn bytes<'a>(input: &mut &'a [u8]) -> Option<&'a [u8]> {
    let length = usize::try_from(number(input)?).ok()?;
    let (taken, rest) = input.split_at_checked(length)?;
    *input = rest;
    Some(taken)
}

/// Seconds as a difference, with a bit that tells whether nanoseconds follow.
fn put_time(out: &mut Vec<u8>, time: Timestamp, previous: Timestamp) {
    let seconds = folded(i128::from(time.seconds) - i128::from(previous.seconds));
    put(out, (seconds << 1) | u128::from(time.nanoseconds != 0));
    if time.nanoseconds != 0 {
        out.extend(time.nanoseconds.to_le_bytes());
    }
}

fn time(input: &mut &[u8], previous: Timestamp) -> Option<Timestamp> {
    let number = number(input)?;
    let difference = unfolded(number >> 1);
    let seconds = i64::try_from(i128::from(previous.seconds).checked_add(difference)?).ok()?;
    let nanoseconds = if number & 1 == 1 {
        u32::from_le_bytes(array(input)?)
    } else {
        0
    };
    (nanoseconds < 1_000_000_000).then_some(Timestamp {
        seconds,
        nanoseconds,
    })
}

fn put_option<T>(out: &mut Vec<u8>, value: Option<T>, put: impl FnOnce(&mut Vec<u8>, T)) {
    out.push(u8::from(value.is_some()));
    if let Some(value) = value {
        put(out, value);
    }
}

/// The outer option is `None` for what is not a value.
#[expect(clippy::option_option, reason = "absent is a value, nonsense is not")]
fn option<'a, T>(
    input: &mut &'a [u8],
    value: impl FnOnce(&mut &'a [u8]) -> Option<T>,
) -> Option<Option<T>> {
    match array(input)? {
        [0] => Some(None),
        [1] => value(input).map(Some),
        _ => None,
    }
}

fn array<const N: usize>(input: &mut &[u8]) -> Option<[u8; N]> {
    let (taken, rest) = input.split_first_chunk::<N>()?;
    *input = rest;
    Some(*taken)
}
