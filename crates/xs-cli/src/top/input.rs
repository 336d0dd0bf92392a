//! Keys, from a thread of their own: a terminal is read by waiting.

use std::time::Duration;

use ratatui::crossterm::event::{self, Event, KeyCode, KeyEvent, KeyModifiers};
use tokio::sync::mpsc;

use super::model::Key;

/// What came from the terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Input {
    Key(Key),
    /// It has another size, so that all of it is drawn again.
    Resized,
}

/// Keys that wait to be taken. Beyond it, the terminal keeps them.
const KEYS_MAX: usize = 16;
/// How long it takes the thread to see that nobody wants keys any more.
const LOOK: Duration = Duration::from_millis(100);

/// Reads keys until the receiver is dropped. It ends by itself when the terminal cannot be read.
pub(crate) fn keys() -> mpsc::Receiver<Input> {
    let (sender, keys) = mpsc::channel(KEYS_MAX);
    std::thread::spawn(move || {
        while !sender.is_closed() {
            let read = match event::poll(LOOK) {
                Ok(true) => event::read(),
                Ok(false) => continue,
                Err(_) => return,
            };
            let input = match read {
                Ok(Event::Key(key)) if key.is_press() || key.is_repeat() => read_key(key).map(Input::Key),
                Ok(Event::Resize(..)) => Some(Input::Resized),
                Ok(_) => None,
                Err(_) => return,
            };
            if let Some(input) = input
                && sender.blocking_send(input).is_err()
            {
                return;
            }
        }
    });
    keys
}

fn read_key(key: KeyEvent) -> Option<Key> {
    let control = key.modifiers.contains(KeyModifiers::CONTROL);
    Some(match key.code {
        KeyCode::Char('c' | 'd') if control => Key::Interrupt,
        KeyCode::Char(_) if control || key.modifiers.contains(KeyModifiers::ALT) => return None,
        KeyCode::Char(c) => Key::Char(c),
        KeyCode::Backspace => Key::Backspace,
        KeyCode::Enter => Key::Enter,
        KeyCode::Esc => Key::Escape,
        KeyCode::Up => Key::Up,
        KeyCode::Down => Key::Down,
        KeyCode::PageUp => Key::PageUp,
        KeyCode::PageDown => Key::PageDown,
        KeyCode::Home => Key::Home,
        KeyCode::End => Key::End,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_what_they_say() {
        for (code, modifiers, expected) in [
            (KeyCode::Char('q'), KeyModifiers::NONE, Some(Key::Char('q'))),
            (KeyCode::Char('Q'), KeyModifiers::SHIFT, Some(Key::Char('Q'))),
            (KeyCode::Char('c'), KeyModifiers::CONTROL, Some(Key::Interrupt)),
            (KeyCode::Char('a'), KeyModifiers::CONTROL, None),
            (KeyCode::Char('q'), KeyModifiers::ALT, None),
            (KeyCode::PageDown, KeyModifiers::NONE, Some(Key::PageDown)),
            (KeyCode::F(1), KeyModifiers::NONE, None),
        ] {
            assert_eq!(read_key(KeyEvent::new(code, modifiers)), expected, "{code:?}");
        }
    }
}
