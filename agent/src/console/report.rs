//! A text to read: what came of a command.

use super::command::Command;
use super::key::Key;
use super::page::{Line, Page, Row, wrapped};

/// The text, and how far down the operator is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Report {
    pub(super) title: &'static str,
    pub(super) lines: Vec<Line>,
    /// The command has not come to its end.
    pub(super) is_waiting: bool,
    /// What `r` runs.
    pub(super) again: Option<Command>,
    /// What `l` runs, where the level of this log can be changed.
    pub(super) level: Option<Command>,
    /// The first row shown.
    pub(super) top: usize,
    /// The end is what is of interest.
    pub(super) from_end: bool,
}

impl Report {
    /// Shown until the command has come to its end.
    pub(super) fn waiting(title: &'static str, again: Option<Command>) -> Self {
        Self {
            title,
            lines: vec![Line::plain("Please wait...")],
            is_waiting: true,
            again,
            level: None,
            top: 0,
            from_end: false,
        }
    }

    pub(super) fn finish(&mut self, lines: Vec<Line>, room: (usize, usize)) {
        self.lines = lines;
        self.is_waiting = false;
        self.top = if self.from_end { self.top_max(room) } else { 0 };
    }

    fn rows(&self, width: usize) -> Vec<String> {
        self.lines
            .iter()
            .flat_map(|line| wrapped(line, width))
            .collect()
    }

    fn top_max(&self, (width, height): (usize, usize)) -> usize {
        self.rows(width).len().saturating_sub(height)
    }

    /// Scrolls.
    pub(super) fn press(&mut self, key: Key, room: (usize, usize)) {
        let page = room.1.saturating_sub(1).max(1);
        self.top = match key {
            Key::Up => self.top.saturating_sub(1),
            Key::Down => self.top + 1,
            Key::PageUp | Key::Char('b') => self.top.saturating_sub(page),
            Key::PageDown | Key::Char(' ') => self.top + page,
            _ => self.top,
        }
        .min(self.top_max(room));
    }

    pub(super) fn page(&self, room: (usize, usize)) -> Page {
        let rows = self.rows(room.0);
        let mut hints = Vec::new();
        if rows.len() > room.1 {
            hints.push("arrows, Space, b scroll");
        }
        if self.again.is_some() && !self.is_waiting {
            hints.push("r again");
        }
        if self.level.is_some() && !self.is_waiting {
            hints.push("l level");
        }
        hints.push("q, Esc back");
        Page {
            title: self.title.to_owned(),
            top: self.top.min(rows.len().saturating_sub(room.1)),
            rows: rows.into_iter().map(Row::plain).collect(),
            cursor: None,
            hint: hints.join("   "),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_text_is_scrolled_to_its_end_and_no_further() {
        let room = (20, 4);
        let mut report = Report::waiting("Log", None);
        report.from_end = true;
        report.finish((0..10).map(|n| Line::plain(n.to_string())).collect(), room);
        assert_eq!(report.top, 6);
        for (key, top) in [
            (Key::Down, 6),
            (Key::Up, 5),
            (Key::PageUp, 2),
            (Key::Char('b'), 0),
            (Key::Char(' '), 3),
            (Key::PageDown, 6),
        ] {
            report.press(key, room);
            assert_eq!(report.top, top, "{key:?}");
        }
        // The terminal became larger.
        assert_eq!(report.page((20, 8)).top, 2);
    }
}
