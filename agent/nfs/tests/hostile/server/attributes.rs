//! Attributes on the wire, told and set: `fattr3` and `sattr3` (RFC 1813 §2.6), `fattr4` (RFC 8881 §5).

use super::disk::Node;
use super::wire::{Arguments, Xdr};

/// The largest READ and WRITE, in bytes.
pub(super) const IO_MAX: u32 = 64 << 10;

/// What of an entry is set.
#[derive(Debug, Default)]
pub(super) struct Changed {
    mode: Option<u32>,
    owners: [Option<u32>; 2],
    atime: Option<(i64, u32)>,
    mtime: Option<(i64, u32)>,
    acl: Option<Vec<u8>>,
    content: Option<Vec<u8>>,
}

impl Changed {
    pub(super) fn and_content(self, content: Vec<u8>) -> Self {
        Self {
            content: Some(content),
            ..self
        }
    }

    pub(super) fn apply(&self, node: &mut Node) {
        node.mode = self.mode.unwrap_or(node.mode);
        for (owner, new) in node.owners.iter_mut().zip(self.owners) {
            *owner = new.unwrap_or(*owner);
        }
        node.atime = self.atime.unwrap_or(node.atime);
        node.mtime = self.mtime.unwrap_or(node.mtime);
        if let Some(acl) = &self.acl {
            node.acl.clone_from(acl);
        }
        if let Some(content) = &self.content {
            node.seen.clone_from(content);
            node.kept.clone_from(content);
        }
    }

    pub(super) fn version_3(arguments: &mut Arguments) -> Self {
        let mut option = || (arguments.word() == 1).then(|| arguments.word());
        let (mode, uid, gid) = (option(), option(), option());
        assert_eq!(arguments.word(), 0, "a size is set");
        let mut time = || {
            let is_given = arguments.word() == 2;
            is_given.then(|| (i64::from(arguments.word()), arguments.word()))
        };
        Self {
            mode,
            owners: [uid, gid],
            atime: time(),
            mtime: time(),
            ..Self::default()
        }
    }

    pub(super) fn version_4(arguments: &mut Arguments) -> Self {
        let wanted = bitmap(arguments);
        let mut values = Arguments(arguments.opaque());
        let mut changed = Self::default();
        for attribute in attributes(&wanted) {
            let number = |values: &mut Arguments| {
                let text = String::from_utf8(values.opaque()).unwrap();
                Some(text.parse().unwrap())
            };
            let time = |values: &mut Arguments| {
                assert_eq!(values.word(), 1);
                Some((values.long().cast_signed(), values.word()))
            };
            match attribute {
                // Alone, as it is.
                12 => changed.acl = Some(std::mem::take(&mut values.0)),
                33 => changed.mode = Some(values.word()),
                36 => changed.owners[0] = number(&mut values),
                37 => changed.owners[1] = number(&mut values),
                48 => changed.atime = time(&mut values),
                54 => changed.mtime = time(&mut values),
                other => panic!("attribute {other} was not expected"),
            }
        }
        changed
    }
}

/// `fattr3`.
pub(super) fn fattr3(node: &Node) -> Xdr {
    let [uid, gid] = node.owners;
    let size = node.seen.len() as u64;
    let fixed = Xdr::default().words(&[node.kind, node.mode, node.links, uid, gid]);
    let sized = fixed.long(size).long(size).words(&node.device);
    let mut times = sized.long(1).long(node.number);
    for (seconds, nanoseconds) in [node.atime, node.mtime, (node.ctime, 0)] {
        times = times.words(&[u32::try_from(seconds).unwrap(), nanoseconds]);
    }
    times
}

/// The words of a bitmap.
pub(super) fn bitmap(arguments: &mut Arguments) -> Vec<u32> {
    (0..arguments.word()).map(|_| arguments.word()).collect()
}

fn attributes(wanted: &[u32]) -> impl Iterator<Item = u32> {
    let is_wanted = |attribute: &u32| {
        let word = wanted[(attribute / 32) as usize];
        word & 1 << (attribute % 32) != 0
    };
    let count = u32::try_from(wanted.len()).unwrap() * 32;
    (0..count).filter(is_wanted)
}

/// `fattr4`: all that are asked for, in the order of their bits.
pub(super) fn fattr4((handle, node): (&[u8], &Node), wanted: &[u32]) -> Xdr {
    let mut values = Xdr::default();
    for attribute in attributes(wanted) {
        let owner = |of: usize| node.owners[of].to_string();
        let time = |values: Xdr, (seconds, nanoseconds): (i64, u32)| {
            values.long(seconds.cast_unsigned()).words(&[nanoseconds])
        };
        values = match attribute {
            // Access control lists are among those that there are.
            0 => values.words(&[1, 1 << 12]),
            1 => values.words(&[node.kind]),
            4 => values.long(node.seen.len() as u64),
            8 => values.long(1).long(0),
            11 => values.words(&[0]),
            12 => values.then(&Xdr(node.acl.clone())),
            13 => values.words(&[3]),
            19 => values.opaque(handle),
            20 => values.long(node.number),
            27 => values.long(1 << 40),
            30 | 31 => values.long(u64::from(IO_MAX)),
            33 => values.words(&[node.mode]),
            35 => values.words(&[node.links]),
            36 => values.opaque(owner(0).as_bytes()),
            37 => values.opaque(owner(1).as_bytes()),
            41 => values.words(&node.device),
            47 => time(values, node.atime),
            52 => time(values, (node.ctime, 0)),
            53 => time(values, node.mtime),
            82 => values.words(&[1]),
            other => panic!("attribute {other} was not expected"),
        };
    }
    let count = u32::try_from(wanted.len()).unwrap();
    let words = Xdr::default().words(&[count]).words(wanted);
    words.opaque(&values.0)
}
