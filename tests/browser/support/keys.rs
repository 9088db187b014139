//! Keys as the browser wants them described.

use serde_json::{Value, json};

/// Keys that are no characters: name, and the number that Windows gave it, which browsers still tell pages.
const NAMED: [(&str, u32); 12] = [
    ("Enter", 13),
    ("Backspace", 8),
    ("Tab", 9),
    ("Escape", 27),
    ("PageUp", 33),
    ("PageDown", 34),
    ("End", 35),
    ("Home", 36),
    ("ArrowLeft", 37),
    ("ArrowUp", 38),
    ("ArrowRight", 39),
    ("ArrowDown", 40),
];

/// Keys that are held down with another one, and their bits.
const MODIFIERS: [(&str, u32); 4] = [("Alt+", 1), ("Control+", 2), ("Meta+", 4), ("Shift+", 8)];

/// The parameters of `Input.dispatchKeyEvent` that say which key: a name as `KeyboardEvent.key` has it (`Tab`, `ArrowLeft`, ` `,
/// `x`), with those that are held down in front: `Shift+Tab`.
pub(super) fn key(described: &str) -> Value {
    let (mut name, mut modifiers) = (described, 0);
    while let Some((held, bit)) = MODIFIERS.iter().find(|(held, _)| name.starts_with(held)) {
        name = &name[held.len()..];
        modifiers |= bit;
    }
    let (key, code, number, text) = match NAMED.iter().find(|(known, _)| *known == name) {
        Some(("Enter", number)) => ("Enter", "Enter".to_owned(), *number, "\r"),
        Some((known, number)) => (*known, (*known).to_owned(), *number, ""),
        None => {
            assert_eq!(name.chars().count(), 1, "no key is called {described}");
            let upper = name.chars().next().unwrap().to_ascii_uppercase();
            match upper {
                'A'..='Z' => (name, format!("Key{upper}"), u32::from(upper), name),
                '0'..='9' => (name, format!("Digit{upper}"), u32::from(upper), name),
                ' ' => (name, "Space".to_owned(), 32, name),
                _ => (name, String::new(), 0, name),
            }
        }
    };
    // Only Shift leaves a key something to write.
    let text = if modifiers & !8 == 0 { text } else { "" };
    json!({"key": key, "code": code, "windowsVirtualKeyCode": number, "modifiers": modifiers, "text": text})
}
