//! What the fuzz target `manifest` of `tests/fuzz` calls.

use super::csv::{Decoder, Fault, Row};
use super::line::Line;

/// Bytes of a manifest: whatever the pieces they come in, they are the same rows up to the same
/// fault, and rows that are written anew are read as they were.
pub fn manifest(data: &[u8]) {
    let Some((cut, file)) = data.split_first() else {
        return;
    };
    let (rows, ended) = decoded([file]);
    let cut = usize::from(*cut).min(file.len());
    let (front, back) = file.split_at(cut);
    assert_eq!(decoded([front, back]), (rows.clone(), ended.clone()));
    assert_eq!(decoded(file.chunks(1)), (rows.clone(), ended.clone()));
    assert!(rows.is_sorted_by(|one, next| one.line < next.line));
    if let Err(fault) = ended {
        assert!(fault.line > 0 && rows.last().is_none_or(|row| row.line <= fault.line));
    }
    let anew: String = rows.iter().map(written).collect();
    let (again, ended) = decoded([anew.as_bytes()]);
    assert_eq!(ended, Ok(()));
    assert!(again.iter().map(content).eq(rows.iter().map(content)));
    for row in rows {
        if let Ok(line) = Line::of(row) {
            assert!(!line.key.is_empty() && !line.key.starts_with('/'));
            assert!(!line.key.contains("//"));
        }
    }
}

fn decoded<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> (Vec<Row>, Result<(), Fault>) {
    let (mut decoder, mut rows) = (Decoder::default(), Vec::new());
    for piece in pieces {
        if let Err(fault) = decoder.push(piece, &mut rows) {
            return (rows, Err(fault));
        }
    }
    let ended = decoder.finish(&mut rows);
    (rows, ended)
}

fn written(row: &Row) -> String {
    let quoted = |text: &str| format!("\"{}\"", text.replace('"', "\"\""));
    let version = row.version.as_deref().map(quoted).unwrap_or_default();
    format!("{},{version}\n", quoted(&row.path))
}

fn content(row: &Row) -> (&str, Option<&str>) {
    (&row.path, row.version.as_deref())
}

#[cfg(test)]
mod tests {
    #[test]
    fn seeds_are_no_findings() {
        let seeds = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../../tests/fuzz/seeds/manifest"
        );
        let seeds: Vec<_> = std::fs::read_dir(seeds).unwrap().collect();
        assert!(!seeds.is_empty());
        for seed in seeds {
            super::manifest(&std::fs::read(seed.unwrap().path()).unwrap());
        }
    }
}
