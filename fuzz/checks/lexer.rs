//! Any text is read to its end or refused, and never panics.

use std::hint::black_box;

use calve_xml::lexer::{Event, Lexer};

/// Reads a text to its end or to its first fault.
pub fn check(text: &str) {
    let mut lexer = Lexer::new(text);
    loop {
        match lexer.next_event() {
            Ok(Event::Start(tag)) => {
                assert!(tag.attributes().eq(lexer.attributes().iter().copied()));
                for attribute in lexer.attributes() {
                    black_box(attribute.unescape(lexer.entities()));
                }
            }
            Ok(Event::Text(text)) => {
                black_box(lexer.unescape(text));
            }
            Ok(Event::Eof) | Err(_) => break,
            Ok(_) => {}
        }
    }
}
