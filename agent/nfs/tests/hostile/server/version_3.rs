//! Version 3 of NFS (RFC 1813 §3.3), and of MOUNT on the same port.

use super::attributes::{Changed, IO_MAX, fattr3};
use super::disk::{DIRECTORY, Disk, LINK, ROOT};
use super::verbs::{Status, Verb, status};
use super::wire::{Arguments, Call, Xdr};

const MOUNT: u32 = 100_005;

pub(crate) fn version_3(call: &mut Call, disk: &mut Disk) -> Xdr {
    if call.program == MOUNT {
        call.verbs.push(Verb::Around);
        return Xdr::default().words(&[0]).opaque(ROOT).words(&[1, 1]);
    }
    let verb = verb(call.procedure);
    call.verbs.push(verb);
    let done = disk.may(verb);
    let done = done.and_then(|()| carried_out(call.procedure, &mut call.arguments, disk));
    match done {
        Ok(results) => Xdr::default().words(&[0]).then(&results),
        // Nothing is told of the entries that it was about.
        Err(status) => Xdr::default().words(&[status, 0, 0, 0, 0]),
    }
}

fn verb(procedure: u32) -> Verb {
    match procedure {
        1 | 3 => Verb::Look,
        2 => Verb::SetAttributes,
        5 | 6 => Verb::Read,
        7 => Verb::Write,
        8 => Verb::MakeFile,
        9..=11 => Verb::MakeOther,
        12 | 13 => Verb::Remove,
        14 => Verb::Rename,
        15 => Verb::Link,
        16 | 17 => Verb::List,
        19 => Verb::Around,
        21 => Verb::Commit,
        other => panic!("procedure {other} was not expected"),
    }
}

fn carried_out(procedure: u32, call: &mut Arguments, disk: &mut Disk) -> Result<Xdr, Status> {
    let handle = call.opaque();
    let node = disk.node(&handle)?;
    let told = Xdr::default().words(&[1]).then(&fattr3(node));
    Ok(match procedure {
        1 => fattr3(node),
        3 => {
            let found = disk.look_up(&handle, &call.opaque())?;
            let known = Xdr::default().opaque(&found).words(&[1]);
            known.then(&fattr3(disk.node(&found)?)).then(&told)
        }
        5 => told.opaque(&node.seen),
        6 => {
            let (data, eof) = read(&node.seen, call.long(), call.word());
            let count = u32::try_from(data.len()).unwrap();
            told.words(&[count, eof]).opaque(data)
        }
        16 => listing(disk, &handle, told, false)?,
        17 => listing(disk, &handle, told, true)?,
        19 => {
            let sizes = [0, IO_MAX, IO_MAX, 1, IO_MAX, IO_MAX, 1, 8192];
            Xdr::default().words(&sizes).long(0).words(&[0, 1, 0])
        }
        _ => changed(procedure, &handle, call, disk)?,
    })
}

/// What READ takes of a content.
pub(super) fn read(content: &[u8], offset: u64, count: u32) -> (&[u8], u32) {
    let from = usize::try_from(offset)
        .unwrap_or(usize::MAX)
        .min(content.len());
    let to = from.saturating_add(count as usize).min(content.len());
    (&content[from..to], u32::from(to == content.len()))
}

fn listing(disk: &Disk, directory: &[u8], told: Xdr, is_plus: bool) -> Result<Xdr, Status> {
    let mut page = told.long(7);
    for ((name, handle), cookie) in disk.node(directory)?.children.iter().zip(1..) {
        let node = disk.node(handle)?;
        page = page.words(&[1]).long(node.number).opaque(name).long(cookie);
        if is_plus {
            page = page.words(&[1]).then(&fattr3(node));
            page = page.words(&[1]).opaque(handle);
        }
    }
    Ok(page.words(&[0, 1]))
}

/// Handle and attributes of what was made, and nothing of the directory.
fn made(disk: &Disk, handle: &[u8]) -> Result<Xdr, Status> {
    let made = Xdr::default().words(&[1]).opaque(handle).words(&[1]);
    Ok(made.then(&fattr3(disk.node(handle)?)).words(&[0, 0]))
}

fn changed(
    procedure: u32,
    handle: &[u8],
    call: &mut Arguments,
    disk: &mut Disk,
) -> Result<Xdr, Status> {
    // `wcc_data`, as far as servers must tell it.
    let passed = Xdr::default().words(&[0, 0]);
    match procedure {
        2 => {
            let changed = Changed::version_3(call);
            let guard = (call.word() == 1).then(|| i64::from(call.word()));
            if guard.is_some_and(|ctime| disk.node(handle).is_ok_and(|node| node.ctime != ctime)) {
                return Err(status::NOT_SYNC);
            }
            changed.apply(disk.node_mut(handle)?);
            Ok(passed)
        }
        7 => {
            let (offset, _count, stable) = (call.long(), call.word(), call.word());
            let data = call.opaque();
            let told = disk.write(handle, (offset, &data), stable)?;
            Ok(passed.words(&told).long(disk.verifier))
        }
        8..=11 => {
            let name = call.opaque();
            let (kind, device, new) = to_be_made(procedure, call);
            let handle = disk.make(handle, &name, (kind, device), &new)?;
            made(disk, &handle)
        }
        12 | 13 => {
            disk.remove(handle, &call.opaque())?;
            Ok(passed)
        }
        14 => {
            let (from, to_directory, to) = (call.opaque(), call.opaque(), call.opaque());
            disk.rename((handle, &from), (&to_directory, &to))?;
            Ok(passed.words(&[0, 0]))
        }
        15 => {
            let (directory, name) = (call.opaque(), call.opaque());
            disk.link(handle, &directory, &name)?;
            Ok(passed.words(&[0]))
        }
        _ => {
            disk.commit(handle)?;
            Ok(passed.long(disk.verifier))
        }
    }
}

/// Type, numbers of a device, and the rest.
fn to_be_made(procedure: u32, call: &mut Arguments) -> (u32, [u32; 2], Changed) {
    match procedure {
        8 => {
            assert_eq!(call.word(), 1, "only GUARDED is used");
            (1, [0; 2], Changed::version_3(call))
        }
        9 => (DIRECTORY, [0; 2], Changed::version_3(call)),
        10 => {
            let new = Changed::version_3(call);
            (LINK, [0; 2], new.and_content(call.opaque()))
        }
        _ => {
            let kind = call.word();
            let new = Changed::version_3(call);
            (kind, [call.word(), call.word()], new)
        }
    }
}
