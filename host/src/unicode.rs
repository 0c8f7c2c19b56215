//! Characters that text from outside may not bring along unescaped.
//!
//! Such text (a name in a certificate, a module's manifest, a line that a policy logs)
//! is shown to people: in receipts, logs, replies and terminals. How a character is
//! escaped is the business of whoever shows it; which ones are is said here, once.

/// Whether a character does something to the text around it instead of being seen: a
/// control character, one that breaks lines, turns the direction of writing (Unicode's
/// bidirectional controls), joins, or takes no room at all.
pub fn is_misleading(character: char) -> bool {
    character.is_control()
        || matches!(character,
            // Arabic letter mark.
            '\u{061c}'
            // Zero-width space, joiners, left-to-right and right-to-left mark.
            | '\u{200b}'..='\u{200f}'
            // Line and paragraph separator, embeddings and overrides.
            | '\u{2028}'..='\u{202e}'
            // Word joiner, invisible operators, isolates, deprecated formats.
            | '\u{2060}'..='\u{206f}'
            // Zero-width no-break space, also known as the byte order mark.
            | '\u{feff}')
}

/// The text with its misleading characters escaped, for a terminal.
pub fn shown(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for character in text.chars() {
        if is_misleading(character) {
            shown.extend(character.escape_default());
        } else {
            shown.push(character);
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_misleads_and_what_does_not() {
        for character in [
            '\0', '\n', '\u{7f}', '\u{85}', '\u{61c}', '\u{200b}', '\u{200d}', '\u{200f}',
            '\u{2028}', '\u{202a}', '\u{202e}', '\u{2060}', '\u{2069}', '\u{206f}', '\u{feff}',
        ] {
            assert!(is_misleading(character), "{character:?}");
        }
        for character in [
            'a', ' ', '\\', '\u{a0}', 'ü', '\u{5d0}', '\u{627}', '€', '語',
        ] {
            assert!(!is_misleading(character), "{character:?}");
        }
    }

    #[test]
    fn a_terminal_is_not_misled() {
        assert_eq!(shown("a\u{1b}[31m\u{202e}b\n"), "a\\u{1b}[31m\\u{202e}b\\n");
        assert_eq!(shown("Grüße"), "Grüße");
    }
}
