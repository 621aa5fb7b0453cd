//! A page on the terminal. No colours: a serial line may have none.

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Position};
use ratatui::style::{Modifier, Style};
use ratatui::symbols::border;
use ratatui::text::{Line as TextLine, Span};
use ratatui::widgets::{Block, Padding, Paragraph};

use super::app::{Agent, App};
use super::page::printable;

/// Lines for terminals that have no others.
const ASCII: border::Set<'_> = border::Set {
    top_left: "+",
    top_right: "+",
    bottom_left: "+",
    bottom_right: "+",
    vertical_left: "|",
    vertical_right: "|",
    horizontal_top: "-",
    horizontal_bottom: "-",
};

/// Terminals that are known to show more than ASCII, by the beginnings of their names; of others
/// (`vt100`, `vt220`, `ansi`, `dumb`: what a serial line has) nothing is known.
const RICH: &[&str] = &[
    "linux",
    "xterm",
    "screen",
    "tmux",
    "rxvt",
    "alacritty",
    "foot",
    "kitty",
    "konsole",
    "vte",
    "gnome",
    "putty",
    "st-",
    "wezterm",
];

/// Whether a terminal is to be spared everything but ASCII; `term` is the variable `TERM`.
pub(super) fn is_ascii(term: Option<&str>) -> bool {
    let name = term.unwrap_or_default();
    !RICH.iter().any(|known| name.starts_with(known))
}

/// Draws the whole console.
pub(super) fn draw(app: &App, frame: &mut Frame<'_>) {
    let page = app.page();
    let is_ascii = app.place.is_ascii;
    let areas = Layout::vertical([
        Constraint::Length(1),
        Constraint::Min(0),
        Constraint::Length(1),
    ]);
    let [head, middle, foot] = areas.areas(frame.area());
    let reverse = Style::new().add_modifier(Modifier::REVERSED);
    let width = usize::from(head.width);
    let text = shown(&head_line(app, width), is_ascii);
    frame.render_widget(Paragraph::new(text).style(reverse), head);

    let title = shown(&format!(" {} ", page.title), is_ascii);
    let lines = if is_ascii { ASCII } else { border::PLAIN };
    let block = Block::bordered()
        .border_set(lines)
        .padding(Padding::horizontal(1))
        .title(Span::styled(
            title,
            Style::new().add_modifier(Modifier::BOLD),
        ));
    let inner = block.inner(middle);
    frame.render_widget(block, middle);
    let rows: Vec<TextLine<'_>> = page
        .rows
        .iter()
        .skip(page.top)
        .take(usize::from(inner.height))
        .map(|row| {
            let style = if row.is_chosen { reverse } else { Style::new() };
            TextLine::styled(shown(&row.text, is_ascii), style)
        })
        .collect();
    frame.render_widget(Paragraph::new(rows), inner);
    frame.render_widget(
        Paragraph::new(shown(&format!(" {}", page.hint), is_ascii)),
        foot,
    );

    let cursor = page.cursor.and_then(|(column, row)| {
        let row = row.checked_sub(page.top)?;
        let x = inner.x.checked_add(u16::try_from(column).ok()?)?;
        let y = inner.y.checked_add(u16::try_from(row).ok()?)?;
        (x < inner.right() && y < inner.bottom()).then_some(Position { x, y })
    });
    if let Some(position) = cursor {
        frame.set_cursor_position(position);
    }
}

/// The machine on the left, the agent's state on the right.
fn head_line(app: &App, width: usize) -> String {
    let left = format!(" DataSync agent  {}", app.place.name);
    let right = match &app.agent {
        Agent::Unknown => "",
        Agent::Down(_) => "not running ",
        Agent::Up(snapshot) if snapshot.is_online() => "ONLINE ",
        Agent::Up(_) => "not connected ",
    };
    let space = width.saturating_sub(right.chars().count());
    let left: String = left.chars().take(space).collect();
    format!("{left:<space$}{right}")
}

fn shown(text: &str, is_ascii: bool) -> String {
    let text = printable(text);
    if !is_ascii {
        return text;
    }
    text.chars()
        .map(|c| if c.is_ascii() { c } else { '?' })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn serial_lines_get_ascii() {
        for (term, ascii) in [
            (Some("vt100"), true),
            (Some("vt220"), true),
            (Some("dumb"), true),
            (None, true),
            (Some("linux"), false),
            (Some("xterm-256color"), false),
        ] {
            assert_eq!(is_ascii(term), ascii, "{term:?}");
        }
    }
}
