//! XML Schema's regular expressions in Rust's.

use std::iter::Peekable;
use std::str::Chars;

use regex::Regex;

/// The expression that matches whole texts as XML Schema's does.
///
/// # Errors
/// With what cannot be expressed, as a phrase.
pub(super) fn compile(pattern: &str) -> Result<Regex, String> {
    let mut translation = Translation {
        rest: pattern.chars().peekable(),
        text: String::from(r"\A(?:"),
    };
    translation.outside()?;
    translation.text.push_str(r")\z");
    Regex::new(&translation.text).map_err(|_| "is no regular expression".to_owned())
}

struct Translation<'a> {
    rest: Peekable<Chars<'a>>,
    text: String,
}

impl Translation<'_> {
    fn outside(&mut self) -> Result<(), String> {
        while let Some(next) = self.rest.next() {
            match next {
                '\\' => self.escape()?,
                '[' => self.class()?,
                '(' => self.text.push_str("(?:"),
                // The whole text is meant in any case; these two stand for themselves.
                '^' => self.text.push_str(r"\^"),
                '$' => self.text.push_str(r"\$"),
                '.' => self.text.push_str(r"[^\n\r]"),
                other => self.text.push(other),
            }
        }
        Ok(())
    }

    /// What stands in brackets, from behind the opening one.
    fn class(&mut self) -> Result<(), String> {
        self.text.push('[');
        if self.rest.next_if_eq(&'^').is_some() {
            self.text.push('^');
        }
        while let Some(next) = self.rest.next() {
            match next {
                '\\' => self.escape()?,
                ']' => {
                    self.text.push(']');
                    return Ok(());
                }
                // `[a-z-[aeiou]]` takes away.
                '-' if self.rest.next_if_eq(&'[').is_some() => {
                    self.text.push_str("--");
                    self.class()?;
                }
                // These would mean something in Rust's classes.
                '[' | '&' | '~' | '^' => {
                    self.text.push('\\');
                    self.text.push(next);
                }
                other => self.text.push(other),
            }
        }
        Err("a bracket is not closed".to_owned())
    }

    fn escape(&mut self) -> Result<(), String> {
        let next = self.rest.next().ok_or("a backslash ends the pattern")?;
        let class = match next {
            's' => r"[ \t\n\r]",
            'S' => r"[^ \t\n\r]",
            'i' => r"[_:\p{L}]",
            'I' => r"[^_:\p{L}]",
            'c' => r"[\-._:\p{L}\p{N}\p{M}\u{B7}]",
            'C' => r"[^\-._:\p{L}\p{N}\p{M}\u{B7}]",
            'd' => r"\p{Nd}",
            'D' => r"\P{Nd}",
            'w' => r"[^\p{P}\p{Z}\p{C}]",
            'W' => r"[\p{P}\p{Z}\p{C}]",
            'n' => r"\n",
            'r' => r"\r",
            't' => r"\t",
            'p' | 'P' => return self.category(next),
            other if other.is_ascii_punctuation() => {
                self.text.push('\\');
                self.text.push(other);
                return Ok(());
            }
            other => return Err(format!("`\\{other}` is not known")),
        };
        self.text.push_str(class);
        Ok(())
    }

    /// `\p{Lu}`; blocks of characters go by other names here, and only the first two are known.
    fn category(&mut self, kind: char) -> Result<(), String> {
        if self.rest.next() != Some('{') {
            return Err("a category is missing".to_owned());
        }
        let name: String = self.rest.by_ref().take_while(|it| *it != '}').collect();
        let negated = if kind == 'P' { "^" } else { "" };
        let text = match name.as_str() {
            "IsBasicLatin" => format!(r"[{negated}\x00-\x7F]"),
            "IsLatin-1Supplement" => format!(r"[{negated}\u{{80}}-\u{{FF}}]"),
            block if block.starts_with("Is") => {
                return Err(format!("the block `{block}` is not supported"));
            }
            category => format!(r"\{kind}{{{category}}}"),
        };
        self.text.push_str(&text);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::compile;

    #[track_caller]
    fn check(pattern: &str, matches: &[&str], others: &[&str]) {
        let regex = compile(pattern).unwrap();
        for text in matches {
            assert!(regex.is_match(text), "{pattern} on {text:?}: {regex}");
        }
        for text in others {
            assert!(!regex.is_match(text), "{pattern} on {text:?}: {regex}");
        }
    }

    #[test]
    fn patterns_match_whole_texts() {
        check("a|b", &["a", "b"], &["ab", ""]);
        check(
            r"\d{3}-[A-Z]{2}",
            &["123-AB", "١٢٣-AB"],
            &["123-ABC", "12-AB"],
        );
        check(r"[a-z-[aeiou]]+", &["bcd"], &["bad", "-"]);
        check(r"[^a-c]", &["d", "^"], &["a"]);
        check("^$", &["^$"], &[""]);
        check(r"\i\c*", &["_a1", "é-1"], &["1a"]);
        check(r"[\w.]+", &["a.b1"], &["a b", "a_b"]);
        check(r".", &["x"], &["\n"]);
        check(r"\p{Lu}+", &["ÄB"], &["b"]);
        check(r"\p{IsBasicLatin}*", &["az~"], &["é"]);
        check(r"[&&~]", &["&", "~"], &["a"]);
        check(r"(a\.b)?c", &["a.bc", "c"], &["axbc"]);
        check(r"[\[\]^]", &["[", "]", "^"], &["a"]);
    }

    #[test]
    fn what_has_no_counterpart_is_refused() {
        for pattern in [r"\p{IsGreek}", r"\q", "[a", "(a", "\\"] {
            assert!(compile(pattern).is_err(), "{pattern}");
        }
    }
}
