//! A file of lines that never takes more than its share of the disk: once it is full it becomes
//! `FILE.1`, and the oldest of its predecessors goes.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// Files that share the bound: the one that is written, and its predecessors.
const FILES: u64 = 4;
/// How much of the end is read at a time to find where the last whole line ends.
const CHUNK_BYTES: u64 = 64 * 1024;

/// Where lines go, and how much disk they may take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RollingSettings {
    /// The file that is written.
    pub path: PathBuf,
    /// What it and its predecessors take at most, in bytes.
    pub bytes_max: u64,
}

impl RollingSettings {
    /// Every file that is written or renamed, the present one first.
    pub(crate) fn files(&self) -> impl Iterator<Item = PathBuf> + '_ {
        (0..FILES).map(|number| self.numbered(number))
    }

    fn numbered(&self, number: u64) -> PathBuf {
        if number == 0 {
            return self.path.clone();
        }
        let mut name = self.path.clone().into_os_string();
        name.push(format!(".{number}"));
        name.into()
    }
}

/// See the module. Each file has mode 0600.
#[derive(Debug)]
pub(crate) struct RollingFile {
    settings: RollingSettings,
    open: Option<Open>,
}

#[derive(Debug)]
struct Open {
    file: File,
    length: u64,
}

impl RollingFile {
    /// Opens nothing yet: a disk that is full now may have room later.
    pub(crate) fn new(settings: RollingSettings) -> Self {
        Self {
            settings,
            open: None,
        }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.settings.path
    }

    /// Appends whole lines, all or none of them. Blocks on the disk.
    ///
    /// # Errors
    /// The system's; the next call opens the file anew and cuts off what is not a whole line.
    pub(crate) fn append(&mut self, lines: &[u8]) -> io::Result<()> {
        let appended = self.try_append(lines);
        if appended.is_err()
            && let Some(Open { file, length }) = self.open.take()
            // Where this fails too, opening the file again does it.
            && let Err(error) = file.set_len(length)
        {
            tracing::debug!(%error, path = %self.path().display(), "cannot cut a line off");
        }
        appended
    }

    /// Waits until the disk has what was appended.
    ///
    /// # Errors
    /// The system's; what was appended may be lost then.
    pub(crate) fn sync(&mut self) -> io::Result<()> {
        match &self.open {
            Some(open) => open.file.sync_data(),
            None => Ok(()),
        }
    }

    fn try_append(&mut self, lines: &[u8]) -> io::Result<()> {
        let part_max = (self.settings.bytes_max / FILES).max(1);
        let added = lines.len() as u64;
        let mut open = match self.open.take() {
            Some(open) => open,
            None => self.open_file()?,
        };
        if open.length > 0 && open.length.saturating_add(added) > part_max {
            open.file.sync_data()?;
            self.roll()?;
            open = self.open_file()?;
        }
        let open = self.open.insert(open);
        open.file.write_all(lines)?;
        open.length += added;
        Ok(())
    }

    fn open_file(&self) -> io::Result<Open> {
        let mut file = OpenOptions::new()
            .create(true)
            .read(true)
            .append(true)
            .mode(0o600)
            .open(self.path())?;
        let length = whole_lines(&mut file)?;
        file.set_len(length)?;
        // A file that the directory has forgotten after a power cut holds nothing.
        let directory = self
            .path()
            .parent()
            .filter(|path| !path.as_os_str().is_empty());
        fs::File::open(directory.unwrap_or(Path::new(".")))?.sync_all()?;
        Ok(Open { file, length })
    }

    fn roll(&self) -> io::Result<()> {
        let oldest = FILES - 1;
        for number in (0..oldest).rev() {
            let (from, to) = (
                self.settings.numbered(number),
                self.settings.numbered(number + 1),
            );
            match fs::rename(from, to) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }
}

/// The length up to the end of the last line: a process that was killed may have left a part of one.
fn whole_lines(file: &mut File) -> io::Result<u64> {
    let mut end = file.metadata()?.len();
    while end > 0 {
        let begin = end.saturating_sub(CHUNK_BYTES);
        file.seek(SeekFrom::Start(begin))?;
        let mut chunk = Vec::new();
        Read::by_ref(file)
            .take(end - begin)
            .read_to_end(&mut chunk)?;
        if let Some(last) = chunk.iter().rposition(|byte| *byte == b'\n') {
            return Ok(begin + last as u64 + 1);
        }
        end = begin;
    }
    Ok(0)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn rolling(directory: &Path, bytes_max: u64) -> RollingFile {
        RollingFile::new(RollingSettings {
            path: directory.join("lines"),
            bytes_max,
        })
    }

    fn line(number: usize) -> Vec<u8> {
        format!("{number:09}\n").into_bytes()
    }

    #[test]
    fn the_disk_that_it_takes_is_bounded_and_the_newest_lines_stay() {
        let directory = tempfile::tempdir().unwrap();
        let mut file = rolling(directory.path(), 4 * 100);
        for number in 0..1000 {
            file.append(&line(number)).unwrap();
        }
        let mut all = Vec::new();
        for name in ["lines.3", "lines.2", "lines.1", "lines"] {
            let path = directory.path().join(name);
            let mode = fs::metadata(&path).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
            let text = fs::read(path).unwrap();
            assert!(text.len() <= 100);
            all.extend(text);
        }
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 4);
        let newest: Vec<u8> = (1000 - all.len() / 10..1000).flat_map(line).collect();
        assert_eq!(all, newest);
        assert!(all.len() > 300);
    }

    #[test]
    fn a_part_of_a_line_is_cut_off_when_the_file_is_opened() {
        for (before, kept) in [
            (b"whole\npart".to_vec(), &b"whole\n"[..]),
            (b"part".to_vec(), b""),
            (b"whole\n".to_vec(), b"whole\n"),
            ([b"whole\n", &[b'x'; 200_000][..]].concat(), b"whole\n"),
        ] {
            let directory = tempfile::tempdir().unwrap();
            let path = directory.path().join("lines");
            fs::write(&path, before).unwrap();
            rolling(directory.path(), 1 << 20)
                .append(b"next\n")
                .unwrap();
            assert_eq!(fs::read(path).unwrap(), [kept, b"next\n"].concat());
        }
    }

    #[test]
    fn it_goes_on_once_it_can_be_written_again() {
        let directory = tempfile::tempdir().unwrap();
        let away = directory.path().join("away");
        let mut file = rolling(&away, 1 << 20);
        assert!(file.append(b"lost\n").is_err());
        fs::create_dir(&away).unwrap();
        file.append(b"kept\n").unwrap();
        assert_eq!(fs::read(away.join("lines")).unwrap(), b"kept\n");
    }
}
