//! A screen as text: what a screen's function makes, and what is drawn.

use std::fmt;

/// How well something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Grade {
    Ok,
    Warning,
    Fail,
}

impl fmt::Display for Grade {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Ok => "OK",
            Self::Warning => "WARNING",
            Self::Fail => "FAIL",
        })
    }
}

/// A statement, with its grade where it has one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Line {
    pub(super) grade: Option<Grade>,
    pub(super) text: String,
}

impl Line {
    pub(super) fn plain(text: impl Into<String>) -> Self {
        Self {
            grade: None,
            text: text.into(),
        }
    }

    pub(super) fn graded(grade: Grade, text: impl Into<String>) -> Self {
        Self {
            grade: Some(grade),
            text: text.into(),
        }
    }

    pub(super) fn ok(text: impl Into<String>) -> Self {
        Self::graded(Grade::Ok, text)
    }

    pub(super) fn fail(text: impl Into<String>) -> Self {
        Self::graded(Grade::Fail, text)
    }
}

/// For files: the grade, then the text.
impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.grade {
            Some(grade) => write!(f, "{grade:<8} {}", self.text),
            None => f.write_str(&self.text),
        }
    }
}

/// One row of the screen.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) text: String,
    /// Shown in reverse: where the operator is.
    pub(super) is_chosen: bool,
}

impl Row {
    pub(super) fn plain(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            is_chosen: false,
        }
    }
}

/// A whole screen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Page {
    pub(super) title: String,
    pub(super) rows: Vec<Row>,
    /// The first row that is shown.
    pub(super) top: usize,
    /// Column and row of the cursor, counted from the first row of all.
    pub(super) cursor: Option<(usize, usize)>,
    pub(super) hint: String,
}

/// Columns and rows that are left to a page's rows on a terminal of this size.
pub(super) fn room((width, height): (u16, u16)) -> (usize, usize) {
    let columns = usize::from(width).saturating_sub(4).max(1);
    let rows = usize::from(height).saturating_sub(4).max(1);
    (columns, rows)
}

/// Rows of at most `width` columns, broken between words where that is possible. Rows after the
/// first are set in below the text behind a grade.
pub(super) fn wrapped(line: &Line, width: usize) -> Vec<String> {
    let (head, indent) = match line.grade {
        Some(grade) => (format!("{grade:<8} "), 9.min(width / 2)),
        None => (String::new(), 0),
    };
    let mut rows = Vec::new();
    let mut row = head;
    let mut taken = row.chars().count();
    let mut is_fresh = true;
    for word in printable(&line.text).split(' ') {
        let mut word: Vec<char> = word.chars().collect();
        let gap = usize::from(!is_fresh);
        if taken + gap + word.len() > width && !is_fresh {
            rows.push(std::mem::replace(&mut row, " ".repeat(indent)));
            taken = indent;
        } else if !is_fresh {
            row.push(' ');
            taken += 1;
        }
        while taken + word.len() > width && width > taken {
            let rest = word.split_off(width - taken);
            row.extend(word);
            rows.push(std::mem::replace(&mut row, " ".repeat(indent)));
            taken = indent;
            word = rest;
        }
        taken += word.len();
        row.extend(word);
        is_fresh = false;
    }
    rows.push(row);
    rows
}

/// Without what could move the cursor or change the terminal: the text may be somebody else's.
pub(super) fn printable(text: &str) -> String {
    text.chars()
        .map(|c| match c {
            '\t' => ' ',
            c if c.is_control() => '?',
            c => c,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_broken_between_words_and_long_words_anywhere() {
        let rows = |text: &str, width| wrapped(&Line::plain(text), width);
        assert_eq!(rows("one two three", 7), ["one two", "three"]);
        assert_eq!(rows("abcdefghij", 4), ["abcd", "efgh", "ij"]);
        assert_eq!(rows("a bcdefgh", 4), ["a", "bcde", "fgh"]);
        assert_eq!(rows("", 4), [""]);
        assert_eq!(rows("a  b", 8), ["a  b"]);
        assert_eq!(
            wrapped(&Line::fail("no answer from there"), 20),
            ["FAIL     no answer", "         from there"]
        );
    }

    #[test]
    fn text_of_others_cannot_command_the_terminal() {
        assert_eq!(printable("a\x1b[2Jb\tc\n"), "a?[2Jb c?");
    }
}
