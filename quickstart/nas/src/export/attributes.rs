//! `struct stat` as `fattr3` (RFC 1813 §2.5).

use nfs3_types::nfs3::{fattr3, ftype3, nfstime3, specdata3};
use rustix::fs::{FileType, Stat, major, minor};

pub(super) fn attributes(stat: &Stat) -> fattr3 {
    fattr3 {
        type_: match FileType::from_raw_mode(stat.st_mode) {
            FileType::Directory => ftype3::NF3DIR,
            FileType::Symlink => ftype3::NF3LNK,
            FileType::BlockDevice => ftype3::NF3BLK,
            FileType::CharacterDevice => ftype3::NF3CHR,
            FileType::Fifo => ftype3::NF3FIFO,
            FileType::Socket => ftype3::NF3SOCK,
            FileType::RegularFile | FileType::Unknown => ftype3::NF3REG,
        },
        mode: stat.st_mode & 0o7777,
        nlink: u32::try_from(stat.st_nlink).unwrap_or(u32::MAX),
        uid: stat.st_uid,
        gid: stat.st_gid,
        size: u64::try_from(stat.st_size).unwrap_or_default(),
        used: u64::try_from(stat.st_blocks).unwrap_or_default() * 512,
        rdev: specdata3 {
            specdata1: major(stat.st_rdev),
            specdata2: minor(stat.st_rdev),
        },
        fsid: stat.st_dev,
        fileid: stat.st_ino,
        atime: time(stat.st_atime, stat.st_atime_nsec),
        mtime: time(stat.st_mtime, stat.st_mtime_nsec),
        ctime: time(stat.st_ctime, stat.st_ctime_nsec),
    }
}

/// The protocol has 32 bits of seconds; like the Linux server, those are the lower ones.
fn time(seconds: impl Into<i128>, nanoseconds: impl Into<i128>) -> nfstime3 {
    let seconds = seconds.into().rem_euclid(1 << 32);
    nfstime3 {
        seconds: u32::try_from(seconds).unwrap_or_default(),
        nseconds: u32::try_from(nanoseconds.into()).unwrap_or_default(),
    }
}
