//! What a sound server says: a directory `/vol` with three entries.

use crate::wire::{Call, Xdr};

const MOUNT: u32 = 100_005;
pub(crate) const NAMES: [&str; 3] = ["file", "link", "sub"];
pub(crate) const CONTENT: &[u8] = b"0123456789";
pub(crate) const TARGET: &[u8] = b"../target";

const FILE: u32 = 1;
const DIRECTORY: u32 = 2;
const LINK: u32 = 5;

/// Handles are names, but for the root's.
fn kind(handle: &[u8]) -> u32 {
    match handle {
        b"file" => FILE,
        b"link" => LINK,
        _ => DIRECTORY,
    }
}

/// `fattr3`.
fn fattr3(handle: &[u8]) -> Xdr {
    let fixed = Xdr::default().words(&[kind(handle), 0o755, 1, 0, 0]);
    let sized = fixed.long(CONTENT.len() as u64).long(4096);
    let id = u64::from(handle[0]);
    sized.words(&[0, 0]).long(1).long(id).words(&[1; 6])
}

/// Version 3 of NFS, and of MOUNT on the same port.
pub(crate) fn version_3(call: &mut Call) -> Xdr {
    let ok = Xdr::default().words(&[0]);
    if call.program == MOUNT {
        return ok.opaque(b"root").words(&[1, 1]);
    }
    let handle = call.arguments.opaque();
    let told = || Xdr::default().words(&[1]).then(&fattr3(&handle));
    match call.procedure {
        1 => ok.then(&fattr3(&handle)),
        3 => {
            let name = call.arguments.opaque();
            let found = ok.opaque(&name).words(&[1]).then(&fattr3(&name));
            found.then(&told())
        }
        5 => ok.then(&told()).opaque(TARGET),
        6 => {
            let count = u32::try_from(CONTENT.len()).unwrap();
            ok.then(&told()).words(&[count, 1]).opaque(CONTENT)
        }
        16 => {
            let mut page = ok.then(&told()).long(7);
            for (name, cookie) in NAMES.into_iter().zip(1..) {
                page = page.words(&[1]).long(cookie).opaque(name.as_bytes());
                page = page.long(cookie);
            }
            page.words(&[0, 1])
        }
        17 => {
            let mut page = ok.then(&told()).long(7);
            for (name, cookie) in NAMES.into_iter().zip(1..) {
                page = page.words(&[1]).long(cookie).opaque(name.as_bytes());
                page = page.long(cookie).words(&[1]).then(&fattr3(name.as_bytes()));
                page = page.words(&[1]).opaque(name.as_bytes());
            }
            page.words(&[0, 1])
        }
        19 => {
            let sizes = [0, 64 << 10, 64 << 10, 1, 0, 0, 0, 8192];
            ok.words(&sizes).long(0).words(&[0, 1, 0])
        }
        procedure => panic!("procedure {procedure} was not expected"),
    }
}

/// Attributes of version 4: all that are asked for, in the order of their bits.
fn fattr4(handle: &[u8], wanted: &[u32; 2]) -> Xdr {
    let mut values = Xdr::default();
    for attribute in 0..64u32 {
        if wanted[(attribute / 32) as usize] & (1 << (attribute % 32)) == 0 {
            continue;
        }
        values = match attribute {
            1 => values.words(&[kind(handle)]),
            4 => values.long(CONTENT.len() as u64),
            8 => values.long(1).long(0),
            11 => values.words(&[0]),
            19 => values.opaque(handle),
            20 => values.long(u64::from(handle[0])),
            27 => values.long(1 << 40),
            30 | 31 => values.long(64 << 10),
            33 => values.words(&[0o755]),
            35 => values.words(&[1]),
            36 | 37 => values.opaque(b"0"),
            47 | 52 | 53 => values.long(1).words(&[1]),
            other => panic!("attribute {other} was not expected"),
        };
    }
    Xdr::default().words(&[2]).words(wanted).opaque(&values.0)
}

fn bitmap(call: &mut Call) -> [u32; 2] {
    assert_eq!(call.arguments.word(), 2);
    [call.arguments.word(), call.arguments.word()]
}

fn listing(wanted: &[u32; 2]) -> Xdr {
    let mut page = Xdr::default().long(7);
    for (name, cookie) in NAMES.into_iter().zip(1..) {
        page = page.words(&[1]).long(cookie).opaque(name.as_bytes());
        page = page.then(&fattr4(name.as_bytes(), wanted));
    }
    page.words(&[0, 1])
}

/// Version 4 with any minor version.
pub(crate) fn version_4(call: &mut Call) -> Xdr {
    call.arguments.opaque();
    let (_minor, count) = (call.arguments.word(), call.arguments.word());
    let (mut handle, mut results) = (b"root".to_vec(), Xdr::default());
    for _ in 0..count {
        let operation = call.arguments.word();
        results = results.words(&[operation, 0]);
        results = results.then(&operate(operation, call, &mut handle));
    }
    let head = Xdr::default().words(&[0, 0, count]);
    head.then(&results)
}

fn operate(operation: u32, call: &mut Call, handle: &mut Vec<u8>) -> Xdr {
    let (said, arguments) = (Xdr::default(), &mut call.arguments);
    match operation {
        9 => fattr4(handle, &bitmap(call)),
        10 => said.opaque(handle),
        15 | 22 => {
            *handle = arguments.opaque();
            said
        }
        24 => said,
        25 => {
            arguments.take(28);
            said.words(&[1]).opaque(CONTENT)
        }
        26 => {
            arguments.take(24);
            listing(&bitmap(call))
        }
        27 => said.opaque(TARGET),
        42 => said.long(7).words(&[1, 0, 0]),
        43 => {
            let granted = [0, 1 << 16, 1 << 20, 4096, 16, 8, 0];
            let session = said.words(&[1, 0, 0, 0, 1, 0]);
            session.words(&granted).words(&granted)
        }
        44 | 57 => said,
        53 => {
            let session = arguments.take(16);
            let (number, slot) = (arguments.word(), arguments.word());
            arguments.long();
            let mut answered = said;
            answered.0.extend(session);
            answered.words(&[number, slot, 7, 7, 0])
        }
        58 => {
            arguments.word();
            said
        }
        other => panic!("operation {other} was not expected"),
    }
}
