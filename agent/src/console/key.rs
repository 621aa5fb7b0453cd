//! The keys that the console knows: those that every terminal has.

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyEventKind, KeyModifiers};

/// One key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Key {
    Char(char),
    Enter,
    /// Esc, and Ctrl-C.
    Back,
    Erase,
    Up,
    Down,
    PageUp,
    PageDown,
    /// Ctrl-L: draw everything anew, after noise on the line.
    Redraw,
}

/// `None` for what means nothing here.
pub(super) fn read(event: KeyEvent) -> Option<Key> {
    if event.kind == KeyEventKind::Release {
        return None;
    }
    if event.modifiers.contains(KeyModifiers::CONTROL) {
        return match event.code {
            KeyCode::Char('c') => Some(Key::Back),
            KeyCode::Char('h') => Some(Key::Erase),
            // What some serial terminals send.
            KeyCode::Char('j') => Some(Key::Enter),
            KeyCode::Char('l') => Some(Key::Redraw),
            KeyCode::Char('n') => Some(Key::Down),
            KeyCode::Char('p') => Some(Key::Up),
            _ => None,
        };
    }
    match event.code {
        KeyCode::Char(c) => Some(Key::Char(c)),
        KeyCode::Enter => Some(Key::Enter),
        KeyCode::Esc => Some(Key::Back),
        KeyCode::Backspace | KeyCode::Delete => Some(Key::Erase),
        KeyCode::Up | KeyCode::BackTab => Some(Key::Up),
        KeyCode::Down | KeyCode::Tab => Some(Key::Down),
        KeyCode::PageUp => Some(Key::PageUp),
        KeyCode::PageDown => Some(Key::PageDown),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_a_plain_terminal_are_enough() {
        let plain = |code| read(KeyEvent::new(code, KeyModifiers::NONE));
        let control = |c| read(KeyEvent::new(KeyCode::Char(c), KeyModifiers::CONTROL));
        assert_eq!(plain(KeyCode::Char('q')), Some(Key::Char('q')));
        assert_eq!(plain(KeyCode::Tab), Some(Key::Down));
        assert_eq!(plain(KeyCode::F(1)), None);
        assert_eq!(control('c'), Some(Key::Back));
        assert_eq!(control('n'), Some(Key::Down));
        assert_eq!(control('p'), Some(Key::Up));
        assert_eq!(control('l'), Some(Key::Redraw));
        assert_eq!(control('s'), None);
        let released = KeyEvent {
            kind: KeyEventKind::Release,
            ..KeyEvent::new(KeyCode::Enter, KeyModifiers::NONE)
        };
        assert_eq!(read(released), None);
    }
}
