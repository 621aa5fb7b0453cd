//! Version 4 with any minor version (RFC 7530, RFC 8881, RFC 7862, RFC 8276), COMPOUND by COMPOUND.

use super::attributes::{Changed, IO_MAX, bitmap, fattr4};
use super::disk::{DIRECTORY, Disk, FILE, LINK, TOP};
use super::verbs::{Status, Verb, status};
use super::version_3::read;
use super::wire::{Arguments, Call, Xdr};

/// The present and the saved handle.
struct At {
    handle: Vec<u8>,
    saved: Vec<u8>,
}

pub(crate) fn version_4(call: &mut Call, disk: &mut Disk) -> Xdr {
    call.arguments.opaque();
    let (minor, count) = (call.arguments.word(), call.arguments.word());
    if minor > 0 && count > disk.manners.operations_max {
        return Xdr::default().words(&[status::TOO_MANY_OPS, 0, 0]);
    }
    let mut at = At {
        handle: TOP.to_vec(),
        saved: Vec::new(),
    };
    let (mut results, mut done, mut last) = (Xdr::default(), 0, 0);
    while done < count && last == 0 {
        let operation = call.arguments.word();
        let verb = verb(operation);
        call.verbs.push(verb);
        call.operations.push(operation);
        let ended = disk.may(verb);
        let ended = ended.and_then(|()| operate(operation, &mut call.arguments, &mut at, disk));
        let is_misnamed = disk.manners.misnames == Some(operation);
        let name = operation + u32::from(is_misnamed);
        last = *ended.as_ref().err().unwrap_or(&0);
        results = results.words(&[name, last]);
        results = results.then(&ended.unwrap_or_default());
        done += 1;
    }
    let head = Xdr::default().words(&[last, 0, done]);
    head.then(&results)
}

fn verb(operation: u32) -> Verb {
    match operation {
        5 => Verb::Commit,
        6 => Verb::MakeOther,
        9 | 15 | 72 | 74 => Verb::Look,
        11 => Verb::Link,
        18 => Verb::MakeFile,
        25 | 27 | 69 => Verb::Read,
        26 => Verb::List,
        28 => Verb::Remove,
        29 => Verb::Rename,
        34 => Verb::SetAttributes,
        38 => Verb::Write,
        73 | 75 => Verb::SetXattr,
        _ => Verb::Around,
    }
}

fn operate(
    operation: u32,
    call: &mut Arguments,
    at: &mut At,
    disk: &mut Disk,
) -> Result<Xdr, Status> {
    let said = Xdr::default();
    Ok(match operation {
        9 => fattr4((&at.handle, disk.node(&at.handle)?), &bitmap(call)),
        10 => said.opaque(&at.handle),
        15 => {
            at.handle = disk.look_up(&at.handle, &call.opaque())?;
            said
        }
        22 => {
            at.handle = call.opaque();
            disk.node(&at.handle)?;
            said
        }
        24 => {
            at.handle = TOP.to_vec();
            said
        }
        25 => {
            call.take(16);
            let (offset, count) = (call.long(), call.word());
            let (data, eof) = read(&disk.node(&at.handle)?.seen, offset, count);
            said.words(&[eof]).opaque(data)
        }
        26 => {
            call.take(24);
            listing(disk, &at.handle, &bitmap(call))?
        }
        27 => said.opaque(&disk.node(&at.handle)?.seen),
        32 => {
            at.saved.clone_from(&at.handle);
            said
        }
        69 => {
            call.take(16);
            let (offset, content) = (call.long(), call.word());
            seek(disk.node(&at.handle)?.seen.len() as u64, offset, content)?
        }
        72 => {
            let value = disk.node(&at.handle)?.xattrs.get(&call.opaque());
            said.opaque(value.ok_or(status::NOXATTR)?)
        }
        74 => {
            call.take(12);
            let xattrs = &disk.node(&at.handle)?.xattrs;
            let count = u32::try_from(xattrs.len()).unwrap();
            let names = said.long(9).words(&[count]);
            let names = xattrs.keys().fold(names, |names, name| names.opaque(name));
            names.words(&[1])
        }
        35..=36 | 42..=44 | 53 | 57 | 58 => around(operation, call, disk.manners.operations_max),
        _ => changed(operation, call, at, disk)?,
    })
}

fn listing(disk: &Disk, directory: &[u8], wanted: &[u32]) -> Result<Xdr, Status> {
    let mut page = Xdr::default().long(7);
    for ((name, handle), cookie) in disk.node(directory)?.children.iter().zip(1..) {
        page = page.words(&[1]).long(cookie).opaque(name);
        page = page.then(&fattr4((handle, disk.node(handle)?), wanted));
    }
    Ok(page.words(&[0, 1]))
}

/// A file of data alone: where the data is, or the hole at its end (RFC 7862 §15.11).
fn seek(size: u64, offset: u64, content: u32) -> Result<Xdr, Status> {
    if offset >= size {
        return Err(6);
    }
    let found = if content == 0 { offset } else { size };
    Ok(Xdr::default().words(&[0]).long(found))
}

/// Clients and sessions.
fn around(operation: u32, call: &mut Arguments, operations_max: u32) -> Xdr {
    let said = Xdr::default();
    match operation {
        35 => {
            call.take(8);
            call.opaque();
            call.word();
            call.opaque();
            call.opaque();
            call.word();
            said.long(7).long(8)
        }
        36 => {
            call.take(16);
            said
        }
        42 => said.long(7).words(&[1, 0, 0]),
        43 => {
            let granted = [0, 2 * IO_MAX, 1 << 20, 4096, operations_max, 8, 0];
            let session = said.words(&[1, 0, 0, 0, 1, 0]);
            session.words(&granted).words(&granted)
        }
        53 => {
            let session = call.take(16);
            let (number, slot) = (call.word(), call.word());
            call.long();
            let mut answered = said;
            answered.0.extend(session);
            answered.words(&[number, slot, 7, 7, 0])
        }
        58 => {
            call.word();
            said
        }
        _ => said,
    }
}

/// Changes of an entry.
fn changed(
    operation: u32,
    call: &mut Arguments,
    at: &mut At,
    disk: &mut Disk,
) -> Result<Xdr, Status> {
    let said = Xdr::default();
    // `change_info4`.
    let change = Xdr::default().words(&[1]).long(1).long(2);
    Ok(match operation {
        4 => {
            call.take(20);
            said.words(&[2, 0, 0, 0])
        }
        5 => {
            call.take(12);
            disk.commit(&at.handle)?;
            said.long(disk.verifier)
        }
        34 => {
            call.take(16);
            let new = Changed::version_4(call);
            new.apply(disk.node_mut(&at.handle)?);
            said.words(&[0])
        }
        38 => {
            call.take(16);
            let (offset, stable) = (call.long(), call.word());
            let data = call.opaque();
            let told = disk.write(&at.handle, (offset, &data), stable)?;
            said.words(&told).long(disk.verifier)
        }
        73 => {
            call.word();
            let (name, value) = (call.opaque(), call.opaque());
            disk.node_mut(&at.handle)?.xattrs.insert(name, value);
            change
        }
        75 => {
            let removed = disk.node_mut(&at.handle)?.xattrs.remove(&call.opaque());
            removed.ok_or(status::NOXATTR)?;
            change
        }
        _ => named(operation, call, at, disk)?,
    })
}

/// Changes of a directory.
fn named(
    operation: u32,
    call: &mut Arguments,
    at: &mut At,
    disk: &mut Disk,
) -> Result<Xdr, Status> {
    let said = Xdr::default();
    // `change_info4`.
    let change = Xdr::default().words(&[1]).long(1).long(2);
    Ok(match operation {
        6 => {
            let (kind, device, content) = match call.word() {
                LINK => (LINK, [0; 2], call.opaque()),
                DIRECTORY => (DIRECTORY, [0; 2], Vec::new()),
                kind => (kind, [call.word(), call.word()], Vec::new()),
            };
            let name = call.opaque();
            let new = Changed::version_4(call).and_content(content);
            at.handle = disk.make(&at.handle, &name, (kind, device), &new)?;
            change.words(&[0])
        }
        11 => {
            disk.link(&at.saved, &at.handle, &call.opaque())?;
            change
        }
        18 => {
            let number = open(call, at, disk)?;
            // The first number of an owner: it is to be confirmed.
            let flags = if number == 0 { 2 } else { 0 };
            let opened = said.words(&[1, 0, 0, 0]).then(&change);
            opened.words(&[flags, 0, 0])
        }
        20 => {
            call.take(20);
            said.words(&[2, 0, 0, 0])
        }
        28 => {
            disk.remove(&at.handle, &call.opaque())?;
            change
        }
        29 => {
            let (from, to) = (call.opaque(), call.opaque());
            disk.rename((&at.saved, &from), (&at.handle, &to))?;
            change.then(&Xdr::default().words(&[1]).long(1).long(2))
        }
        other => panic!("operation {other} was not expected"),
    })
}

/// OPEN that makes a file; gives the number of its owner's call.
fn open(call: &mut Arguments, at: &mut At, disk: &mut Disk) -> Result<u32, Status> {
    let number = call.word();
    call.take(8 + 8);
    call.opaque();
    assert_eq!((call.word(), call.word()), (1, 1), "CREATE and GUARDED");
    let new = Changed::version_4(call);
    assert_eq!(call.word(), 0, "by its name");
    let name = call.opaque();
    at.handle = disk.make(&at.handle, &name, (FILE, [0; 2]), &new)?;
    Ok(number)
}
