//! Texts in a picture: estimates their width, and makes names that clients post safe for XML.
//!
//! There are no fonts to measure, so widths are estimates, which are too large rather than too small.

use std::fmt::Write as _;

/// The approximate width of a text in 12 pixel letters, in pixels.
pub(super) fn width(text: &str) -> f64 {
    text.chars()
        .map(|letter| match letter {
            'i' | 'j' | 'l' | 'I' | '.' | ',' | ':' | ';' | '\'' | '|' | '!' => 3.5,
            ' ' | 'f' | 't' | 'r' | '(' | ')' | '-' | '·' => 4.8,
            'm' | 'w' | 'M' | 'W' | '@' | '%' | '…' => 11.0,
            'A'..='Z' => 8.4,
            '\0'..='\u{10ff}' => 7.2,
            _ => 13.0,
        })
        .sum()
}

/// Removes the characters that XML forbids, and those that change the direction of the text around them. White space becomes a
/// space.
pub(super) fn clean(text: &str) -> String {
    let is_forbidden = |letter: &char| matches!(letter, '\u{fffe}' | '\u{ffff}');
    let turns = |letter: &char| matches!(letter, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let letters = text.chars().filter(|letter| !is_forbidden(letter) && !turns(letter));
    let letters = letters.filter(|letter| letter.is_whitespace() || !letter.is_control());
    letters.map(|letter| if letter.is_whitespace() { ' ' } else { letter }).collect()
}

/// The beginning of a text, with at most `most` letters, including the `…`.
pub(super) fn shorten(text: &str, most: usize) -> String {
    if text.chars().nth(most).is_none() {
        return text.to_owned();
    }
    let beginning: String = text.chars().take(most - 1).collect();
    format!("{}…", beginning.trim_end())
}

/// The beginning of a text, at most `most` pixels wide.
pub(super) fn fit(text: &str, most: f64) -> String {
    let letters = (2..=text.chars().count()).rev().find(|&letters| width(&shorten(text, letters)) <= most);
    shorten(text, letters.unwrap_or(1))
}

/// Appends a text and escapes the characters that have a meaning in XML, within elements and attributes alike.
pub(super) fn escape(out: &mut String, text: &str) {
    for letter in text.chars() {
        match letter {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            _ => out.push(letter),
        }
    }
}

/// How a text is aligned at its position.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Anchor {
    Start,
    Middle,
    End,
}

/// Appends a text element at a position in pixels. `more` has further attributes. The text is escaped.
pub(super) fn write(out: &mut String, (x, y): (f64, f64), anchor: Anchor, more: &str, text: &str) {
    let anchor = match anchor {
        Anchor::Start => "",
        Anchor::Middle => r#" text-anchor="middle""#,
        Anchor::End => r#" text-anchor="end""#,
    };
    let (x, y) = (round(x), round(y));
    write!(out, r#"<text x="{x}" y="{y}"{anchor}{more}>"#).expect("a text takes all that is written to it");
    escape(out, text);
    out.push_str("</text>");
}

/// Rounds to a tenth of a pixel.
fn round(pixels: f64) -> f64 {
    (pixels * 10.0).round() / 10.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lose_what_xml_forbids_and_what_turns_texts_around() {
        assert_eq!(clean("a\u{0}b\tc\nd\u{202e}e\u{ffff}f\u{7f}g"), "ab c defg");
        assert_eq!(clean("שלום 日本"), "שלום 日本");
        let mut escaped = String::new();
        escape(&mut escaped, "<a b=\"c\">&'");
        assert_eq!(escaped, "&lt;a b=&quot;c&quot;&gt;&amp;&#39;");
    }

    #[test]
    fn long_names_are_cut_and_say_so() {
        assert_eq!(shorten("abcd", 4), "abcd");
        assert_eq!(shorten("abcde", 4), "abc…");
        assert_eq!(shorten("ab de", 4), "ab…");
        assert_eq!(fit("abcde", 1000.0), "abcde");
        assert_eq!(fit("abcde", 30.0), "ab…");
        assert_eq!(fit("abcde", 0.0), "…");
        assert_eq!(fit("", 0.0), "");
    }
}
