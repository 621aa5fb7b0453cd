//! Fields to fill in, one below the other, and a button behind the last.

use super::key::Key;
use super::page::{Page, Row, printable};

/// The longest value, in characters.
const VALUE_MAX: usize = 512;
/// Columns of the labels.
const LABEL_WIDTH: usize = 17;

/// What a field takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Text,
    /// Not shown.
    Secret,
    /// One of these; the space bar goes to the next.
    Choice(&'static [&'static str]),
}

/// One field. `Debug` does not show the value: it may be a secret.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Field {
    pub(super) label: &'static str,
    pub(super) value: String,
    pub(super) kind: Kind,
}

impl std::fmt::Debug for Field {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Field")
            .field("label", &self.label)
            .field("kind", &self.kind)
            .finish_non_exhaustive()
    }
}

impl Field {
    pub(super) fn new(label: &'static str, kind: Kind, value: impl Into<String>) -> Self {
        Self {
            label,
            value: value.into(),
            kind,
        }
    }

    pub(super) fn text(label: &'static str, value: impl Into<String>) -> Self {
        Self::new(label, Kind::Text, value)
    }

    pub(super) fn secret(label: &'static str) -> Self {
        Self::new(label, Kind::Secret, "")
    }

    fn shown(&self) -> String {
        match self.kind {
            Kind::Text => printable(&self.value),
            Kind::Secret => "*".repeat(self.value.chars().count()),
            Kind::Choice(_) => format!("< {} >", self.value),
        }
    }

    fn press(&mut self, key: Key) {
        match (self.kind, key) {
            (Kind::Choice(words), Key::Char(' ')) => {
                let at = words.iter().position(|word| *word == self.value);
                let next = at.map_or(0, |at| (at + 1) % words.len());
                if let Some(word) = words.get(next) {
                    self.value = (*word).to_owned();
                }
            }
            (Kind::Choice(_), _) => {}
            (_, Key::Char(c)) if !c.is_control() && self.value.chars().count() < VALUE_MAX => {
                self.value.push(c);
            }
            (_, Key::Erase) => {
                self.value.pop();
            }
            _ => {}
        }
    }
}

/// What came of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pressed {
    Nothing,
    /// The button.
    Submit,
    Leave,
}

/// The form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Form {
    pub(super) title: &'static str,
    pub(super) intro: Vec<String>,
    pub(super) fields: Vec<Field>,
    /// The button's word.
    pub(super) action: &'static str,
    /// Where the operator is; the number of fields is the button.
    pub(super) at: usize,
    /// What is wrong with the last try.
    pub(super) problem: Option<String>,
}

impl Form {
    pub(super) fn new(
        title: &'static str,
        intro: &[&str],
        fields: Vec<Field>,
        action: &'static str,
    ) -> Self {
        Self {
            title,
            intro: intro.iter().map(|text| (*text).to_owned()).collect(),
            fields,
            action,
            at: 0,
            problem: None,
        }
    }

    /// The value of a field without blanks around it; empty if there is no such field.
    pub(super) fn value(&self, label: &str) -> &str {
        let field = self.fields.iter().find(|field| field.label == label);
        field.map_or("", |field| match field.kind {
            Kind::Secret => field.value.as_str(),
            Kind::Text | Kind::Choice(_) => field.value.trim(),
        })
    }

    /// Takes everything out of the secret fields.
    pub(super) fn clear_secrets(&mut self) {
        for field in &mut self.fields {
            if field.kind == Kind::Secret {
                field.value.clear();
            }
        }
        self.at = 0;
    }

    pub(super) fn press(&mut self, key: Key) -> Pressed {
        let button = self.fields.len();
        match key {
            Key::Back => return Pressed::Leave,
            Key::Enter if self.at >= button => return Pressed::Submit,
            // A form of one field needs no button.
            Key::Enter if button == 1 => return Pressed::Submit,
            Key::Enter | Key::Down => self.at = (self.at + 1).min(button),
            Key::Up => self.at = self.at.saturating_sub(1),
            Key::PageUp => self.at = 0,
            Key::PageDown => self.at = button,
            Key::Char(_) | Key::Erase => {
                if let Some(field) = self.fields.get_mut(self.at) {
                    field.press(key);
                }
            }
            Key::Redraw => {}
        }
        Pressed::Nothing
    }

    /// The form on a page with this room, scrolled to where the operator is.
    pub(super) fn page(&self, (width, height): (usize, usize), can_leave: bool) -> Page {
        let mut rows: Vec<Row> = self.intro_rows(width);
        if !rows.is_empty() {
            rows.push(Row::default());
        }
        let mut cursor = None;
        let space = width.saturating_sub(LABEL_WIDTH).max(1);
        for (number, field) in self.fields.iter().enumerate() {
            let shown: Vec<char> = field.shown().chars().collect();
            // The end of a long value is what is being typed.
            let from = (shown.len() + 1).saturating_sub(space);
            let visible: String = shown[from..].iter().collect();
            if number == self.at {
                let column = LABEL_WIDTH + visible.chars().count();
                cursor = Some((column.min(width.saturating_sub(1)), rows.len()));
            }
            rows.push(Row::plain(format!(
                "{:<LABEL_WIDTH$}{visible}",
                field.label
            )));
        }
        rows.push(Row::default());
        let button = rows.len();
        rows.push(Row {
            text: format!("[ {} ]", self.action),
            is_chosen: self.at >= self.fields.len(),
        });
        let here = cursor.map_or(button, |(_, row)| row);
        if let Some(problem) = &self.problem {
            rows.push(Row::default());
            let line = super::page::Line::plain(problem.as_str());
            rows.extend(
                super::page::wrapped(&line, width)
                    .into_iter()
                    .map(Row::plain),
            );
        }
        // A problem is below everything: it is to be seen.
        let last = if self.problem.is_some() {
            rows.len()
        } else {
            here + 1
        };
        let top = last.saturating_sub(height).min(here);
        Page {
            title: self.title.to_owned(),
            rows,
            top,
            cursor,
            hint: self.hint(can_leave),
        }
    }

    fn intro_rows(&self, width: usize) -> Vec<Row> {
        self.intro
            .iter()
            .flat_map(|text| super::page::wrapped(&super::page::Line::plain(text.as_str()), width))
            .map(Row::plain)
            .collect()
    }

    fn hint(&self, can_leave: bool) -> String {
        let mut hints = vec!["Enter next"];
        if self
            .fields
            .iter()
            .any(|field| matches!(field.kind, Kind::Choice(_)))
        {
            hints.push("Space < >");
        }
        if self.fields.len() > 1 {
            hints.push("Tab, arrows");
        }
        if can_leave {
            hints.push("Esc back");
        }
        hints.join("   ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn form() -> Form {
        let fields = vec![
            Field::text("Server", ""),
            Field::secret("Password"),
            Field::new("Mode", Kind::Choice(&["DHCP", "static"]), "DHCP"),
        ];
        Form::new("Title", &["Intro."], fields, "Go")
    }

    fn typed(form: &mut Form, text: &str) {
        for c in text.chars() {
            assert_eq!(form.press(Key::Char(c)), Pressed::Nothing);
        }
    }

    #[test]
    fn fields_are_filled_in_one_after_the_other() {
        let mut form = form();
        typed(&mut form, " nasq");
        form.press(Key::Enter);
        typed(&mut form, "secret");
        form.press(Key::Erase);
        form.press(Key::Down);
        typed(&mut form, "x ");
        assert_eq!(form.press(Key::Enter), Pressed::Nothing);
        assert_eq!(form.press(Key::Enter), Pressed::Submit);
        assert_eq!(form.value("Server"), "nasq");
        assert_eq!(form.value("Password"), "secre");
        assert_eq!(form.value("Mode"), "static");
        assert_eq!(form.value("None"), "");
        assert_eq!(form.press(Key::Back), Pressed::Leave);
        form.clear_secrets();
        assert_eq!(form.value("Password"), "");
    }

    #[test]
    fn a_secret_is_neither_shown_nor_debugged() {
        let mut form = form();
        form.press(Key::Down);
        typed(&mut form, "canary");
        let page = form.page((60, 16), true);
        assert!(page.rows.iter().any(|row| row.text.contains("******")));
        assert!(!format!("{page:?}{form:?}").contains("canary"));
    }

    #[test]
    fn values_are_bounded_and_their_end_is_seen() {
        let mut form = form();
        typed(&mut form, &"a".repeat(VALUE_MAX));
        typed(&mut form, "b");
        assert_eq!(form.value("Server").len(), VALUE_MAX);
        form.press(Key::Erase);
        typed(&mut form, "z");
        let page = form.page((40, 16), true);
        let row = &page.rows[2].text;
        assert!(row.ends_with('z') && row.chars().count() <= 40, "{row}");
        assert_eq!(page.cursor, Some((39, 2)));
    }

    #[test]
    fn where_the_operator_is_stays_on_the_screen() {
        let mut form = form();
        form.press(Key::PageDown);
        let page = form.page((40, 3), true);
        let button = page.rows.iter().position(|row| row.is_chosen).unwrap();
        assert!((page.top..page.top + 3).contains(&button));
        assert_eq!(page.cursor, None);
    }
}
