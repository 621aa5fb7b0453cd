//! The lines of a manifest, as they come in pieces of any size: UTF-8, one or two fields separated by
//! a comma, ended by LF, CR or CRLF; a field with a comma, a quote or a line end is quoted, its quotes
//! doubled (RFC 4180).

/// The longest path, in characters (DataSync user guide, "Creating your manifest").
const PATH_CHARACTERS_MAX: usize = 4096;
/// The longest version id, in characters (the same).
const VERSION_CHARACTERS_MAX: usize = 100;
/// A field that is longer than any path is not held, in bytes.
const FIELD_BYTES_MAX: usize = 4 * PATH_CHARACTERS_MAX;
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// One line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Row {
    /// Its number in the file, from 1.
    pub(super) line: u64,
    pub(super) path: String,
    pub(super) version: Option<String>,
}

/// A rule that a line breaks.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {rule}")]
pub(super) struct Fault {
    pub(super) line: u64,
    pub(super) rule: String,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum At {
    #[default]
    FieldStart,
    Plain,
    Quoted,
    /// After a quote in a quoted field: its end, or the first of two.
    Quote,
}

/// The decoder. It holds one line at most.
#[derive(Debug, Default)]
pub(super) struct Decoder {
    at: At,
    /// The last byte was a CR that ended a line, or part of a quoted field.
    after_return: bool,
    /// Ends of lines so far, those in quotes included.
    ended: u64,
    /// The line on which the present row began.
    row_line: u64,
    field: Vec<u8>,
    path: Option<String>,
    /// Bytes of a byte order mark that were met.
    mark: usize,
    /// Whether the place is passed where such a mark may be.
    is_past_mark: bool,
}

impl Decoder {
    /// Appends the rows that end in `bytes`.
    ///
    /// # Errors
    /// The first rule that is broken; nothing more may be decoded then.
    pub(super) fn push(&mut self, bytes: &[u8], rows: &mut Vec<Row>) -> Result<(), Fault> {
        for byte in bytes {
            if self.is_of_mark(*byte) {
                continue;
            }
            self.byte(*byte, rows)?;
        }
        Ok(())
    }

    /// The end of the file. A last line needs no line end.
    ///
    /// # Errors
    /// As [`Decoder::push`]; a quote that is not closed.
    pub(super) fn finish(mut self, rows: &mut Vec<Row>) -> Result<(), Fault> {
        if !self.is_past_mark && self.mark > 0 {
            return Err(self.fault("it is not UTF-8"));
        }
        if self.at == At::Quoted {
            return Err(self.fault("a quote is opened and not closed"));
        }
        self.end_row(rows)
    }

    /// Whether the byte belongs to a byte order mark at the beginning, which says nothing.
    fn is_of_mark(&mut self, byte: u8) -> bool {
        if self.is_past_mark {
            return false;
        }
        if BYTE_ORDER_MARK.get(self.mark) == Some(&byte) {
            self.mark += 1;
            self.is_past_mark = self.mark == BYTE_ORDER_MARK.len();
            return true;
        }
        self.is_past_mark = true;
        if self.mark > 0 {
            // A part of one is no UTF-8: the field that it is put into will say so.
            self.field.extend_from_slice(&BYTE_ORDER_MARK[..self.mark]);
            self.at = At::Plain;
        }
        false
    }

    fn byte(&mut self, byte: u8, rows: &mut Vec<Row>) -> Result<(), Fault> {
        let after_return = std::mem::replace(&mut self.after_return, byte == b'\r');
        let is_second_half = byte == b'\n' && after_return;
        if matches!(byte, b'\n' | b'\r') && !is_second_half {
            self.ended += 1;
        }
        match (self.at, byte) {
            (At::Quoted, b'"') => self.at = At::Quote,
            (At::Quoted, _) => self.keep(byte)?,
            (At::FieldStart, b'\n') if is_second_half => {}
            (_, b'\n' | b'\r') => self.end_row(rows)?,
            (_, b',') => self.end_first_field()?,
            (At::FieldStart, b'"') => {
                self.note_begin();
                self.at = At::Quoted;
            }
            (At::Quote, b'"') => {
                self.at = At::Quoted;
                self.keep(byte)?;
            }
            (At::Quote, _) => {
                return Err(self.fault("something follows the quote that ends a field"));
            }
            (At::Plain, b'"') => {
                return Err(self.fault(
                    "a quote within a field: put the field into quotes and double those in it",
                ));
            }
            (At::FieldStart | At::Plain, _) => {
                self.at = At::Plain;
                self.keep(byte)?;
            }
        }
        Ok(())
    }

    fn note_begin(&mut self) {
        if self.row_line == 0 {
            self.row_line = self.ended + 1;
        }
    }

    fn keep(&mut self, byte: u8) -> Result<(), Fault> {
        self.note_begin();
        if self.field.len() == FIELD_BYTES_MAX {
            return Err(self.fault("a field is longer than any path"));
        }
        self.field.push(byte);
        Ok(())
    }

    fn end_first_field(&mut self) -> Result<(), Fault> {
        self.note_begin();
        if self.path.is_some() {
            return Err(self.fault("it has more than two fields: quote what holds a comma"));
        }
        let path = self.take_field()?;
        self.path = Some(path);
        Ok(())
    }

    fn take_field(&mut self) -> Result<String, Fault> {
        self.at = At::FieldStart;
        let field = std::mem::take(&mut self.field);
        String::from_utf8(field).map_err(|_| self.fault("it is not UTF-8"))
    }

    /// Ends the present row. Empty lines are none.
    fn end_row(&mut self, rows: &mut Vec<Row>) -> Result<(), Fault> {
        let was_quoted = self.at == At::Quote;
        if self.field.is_empty() && self.path.is_none() && !was_quoted {
            self.row_line = 0;
            return Ok(());
        }
        self.note_begin();
        let field = self.take_field()?;
        let (path, version) = match self.path.take() {
            None => (field, None),
            Some(path) => (path, Some(field).filter(|version| !version.is_empty())),
        };
        if path.is_empty() {
            return Err(self.fault("it names no path"));
        }
        if path.chars().count() > PATH_CHARACTERS_MAX {
            return Err(self.fault(&format!(
                "its path has more than {PATH_CHARACTERS_MAX} characters"
            )));
        }
        let is_long = |version: &String| version.chars().count() > VERSION_CHARACTERS_MAX;
        if version.as_ref().is_some_and(is_long) {
            return Err(self.fault(&format!(
                "its version id has more than {VERSION_CHARACTERS_MAX} characters"
            )));
        }
        let line = std::mem::take(&mut self.row_line);
        rows.push(Row {
            line,
            path,
            version,
        });
        Ok(())
    }

    fn fault(&self, rule: &str) -> Fault {
        let line = if self.row_line == 0 {
            self.ended + 1
        } else {
            self.row_line
        };
        Fault {
            line,
            rule: rule.to_owned(),
        }
    }
}

#[cfg(test)]
mod tests;
