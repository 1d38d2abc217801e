//! Objects by pattern: a file, all files below a folder, or those that a glob matches.

use calve_base::Location;
use futures::TryStreamExt;

use crate::error::{Error, Result};
use crate::{ObjectInfo, Storage};

/// What a pattern is made of, beyond plain text.
const WILDCARDS: [char; 3] = ['*', '?', '['];

/// Objects that a pattern names, in the order of their locations.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Matched {
    /// The objects.
    pub objects: Vec<ObjectInfo>,
    /// Objects that were passed over: empty ones, and those with a name, or in a folder below the
    /// listed one, that begins with `_` or `.`.
    pub skipped: Vec<ObjectInfo>,
}

impl Storage {
    /// Finds what a pattern names: one object, all objects below a folder, or those whose locations match
    /// a glob (`*` and `?` within a name, `**` across folders, `[abc]`, `[!abc]`). Only what lies below the
    /// part before the first wildcard is listed.
    ///
    /// An object or folder of exactly that name wins over the meaning of its wildcards.
    ///
    /// # Errors
    /// [`Error::NotFound`] when nothing is there or matches; when the store fails.
    pub async fn find(&self, pattern: &Location) -> Result<Matched> {
        let exact = self.head(pattern).await;
        if let Ok(Some(object)) = exact
            && !pattern.as_str().ends_with('/')
        {
            let objects = vec![object];
            return Ok(Matched {
                objects,
                ..Matched::default()
            });
        }
        let folder = Location::parse(format!("{}/", pattern.as_str().trim_end_matches('/')));
        if let Ok(folder) = &folder {
            let found = self.below(folder, |_| true).await?;
            if !found.objects.is_empty() || !found.skipped.is_empty() {
                return Ok(found);
            }
        }
        let text = pattern.as_str();
        let not_found = || Error::NotFound {
            location: pattern.clone(),
        };
        let wildcard = text.find(WILDCARDS).ok_or_else(not_found)?;
        let root = text[..wildcard].rfind('/').map_or(0, |slash| slash + 1);
        let root = Location::parse(&text[..root]).map_err(|_| not_found())?;
        let glob = Glob::parse(text);
        let found = self
            .below(&root, |object| glob.matches(object.as_str()))
            .await?;
        if found.objects.is_empty() {
            return Err(not_found());
        }
        Ok(found)
    }

    /// The objects below a folder that `accepts` takes.
    async fn below(
        &self,
        folder: &Location,
        accepts: impl Fn(&Location) -> bool,
    ) -> Result<Matched> {
        let mut matched = Matched::default();
        let mut listed = self.list(folder);
        loop {
            let object = match listed.try_next().await {
                Ok(Some(object)) => object,
                Ok(None) | Err(Error::NotFound { .. }) => break,
                Err(error) => return Err(error),
            };
            if !accepts(&object.location) {
                continue;
            }
            let below = object.location.as_str().strip_prefix(folder.as_str());
            let hidden = below
                .unwrap_or_else(|| object.location.file_name())
                .split('/')
                .any(|name| name.starts_with(['_', '.']));
            if hidden || object.size == 0 {
                matched.skipped.push(object);
            } else {
                matched.objects.push(object);
            }
        }
        let by_location = |left: &ObjectInfo, right: &ObjectInfo| {
            left.location.as_str().cmp(right.location.as_str())
        };
        matched.objects.sort_by(by_location);
        matched.skipped.sort_by(by_location);
        Ok(matched)
    }
}

/// A pattern of locations.
#[derive(Debug)]
struct Glob {
    tokens: Vec<Token>,
}

#[derive(Debug)]
enum Token {
    One(char),
    /// `?`: any character but `/`.
    AnyOne,
    /// `*`: any characters but `/`.
    Any,
    /// `**`: any characters.
    AnyFolders,
    /// `[a-z]`, `[!a-z]`.
    Class(Vec<(char, char)>, bool),
}

impl Glob {
    fn parse(text: &str) -> Self {
        let characters: Vec<char> = text.chars().collect();
        let mut tokens = Vec::new();
        let mut at = 0;
        while at < characters.len() {
            let rest = &characters[at..];
            let (token, length) = match rest {
                // `**/` also stands for no folder at all.
                ['*', '*', '/', ..] => (Token::AnyFolders, 3),
                ['*', '*', ..] => (Token::AnyFolders, 2),
                ['*', ..] => (Token::Any, 1),
                ['?', ..] => (Token::AnyOne, 1),
                ['[', ..] => class(rest).unwrap_or((Token::One('['), 1)),
                _ => (Token::One(rest[0]), 1),
            };
            tokens.push(token);
            at += length;
        }
        Self { tokens }
    }

    /// Whether the whole text matches: by one pass that comes back to the last star, and to the last
    /// double star, so that no pattern takes more than quadratic time.
    fn matches(&self, text: &str) -> bool {
        let text: Vec<char> = text.chars().collect();
        let (mut token, mut at) = (0, 0);
        let mut star: Option<(usize, usize)> = None;
        let mut folders: Option<(usize, usize)> = None;
        while at < text.len() {
            match self.tokens.get(token) {
                Some(Token::Any) => {
                    star = Some((token + 1, at));
                    token += 1;
                    continue;
                }
                Some(Token::AnyFolders) => {
                    folders = Some((token + 1, at));
                    star = None;
                    token += 1;
                    continue;
                }
                Some(single) if single.takes(text[at]) => {
                    token += 1;
                    at += 1;
                    continue;
                }
                _ => {}
            }
            if let Some((after, from)) = star
                && text[from] != '/'
            {
                star = Some((after, from + 1));
                (token, at) = (after, from + 1);
            } else if let Some((after, from)) = folders {
                folders = Some((after, from + 1));
                star = None;
                (token, at) = (after, from + 1);
            } else {
                return false;
            }
        }
        self.tokens[token..]
            .iter()
            .all(|token| matches!(token, Token::Any | Token::AnyFolders))
    }
}

impl Token {
    fn takes(&self, character: char) -> bool {
        match self {
            Self::One(own) => *own == character,
            Self::AnyOne => character != '/',
            Self::Class(ranges, negated) => {
                let within = ranges
                    .iter()
                    .any(|(low, high)| (*low..=*high).contains(&character));
                character != '/' && within != *negated
            }
            Self::Any | Self::AnyFolders => false,
        }
    }
}

/// Reads `[…]` with its length; nothing where it has no end.
fn class(text: &[char]) -> Option<(Token, usize)> {
    let negated = matches!(text.get(1), Some('!' | '^'));
    let start = if negated { 2 } else { 1 };
    // A bracket that comes first is one of the characters.
    let end = start + 1 + text.get(start + 1..)?.iter().position(|c| *c == ']')?;
    let mut ranges = Vec::new();
    let mut at = start;
    while at < end {
        if at + 2 < end && text[at + 1] == '-' {
            ranges.push((text[at], text[at + 2]));
            at += 3;
        } else {
            ranges.push((text[at], text[at]));
            at += 1;
        }
    }
    Some((Token::Class(ranges, negated), end + 1))
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use calve_base::Properties;

    use super::*;

    #[track_caller]
    fn check(pattern: &str, text: &str, expected: bool) {
        assert_eq!(
            Glob::parse(pattern).matches(text),
            expected,
            "{pattern} on {text}"
        );
    }

    #[test]
    fn globs() {
        check("s3://b/*.xml", "s3://b/a.xml", true);
        check("s3://b/*.xml", "s3://b/c/a.xml", false);
        check("s3://b/**.xml", "s3://b/c/d/a.xml", true);
        check("s3://b/**/a.xml", "s3://b/a.xml", true);
        check("s3://b/**/a.xml", "s3://b/x/y/a.xml", true);
        check("s3://b/*/x*y.xml", "s3://b/c/x12y.xml", true);
        check("s3://b/*/x*y.xml", "s3://b/c/x12.xml", false);
        check("a?c", "abc", true);
        check("a?c", "a/c", false);
        check("f[0-3x].xml", "f2.xml", true);
        check("f[0-3x].xml", "f4.xml", false);
        check("f[!0-3].xml", "f4.xml", true);
        check("f[.xml", "f[.xml", true);
        check("*", "", true);
        check("**", "a/b", true);
        check("*a*b*c*d*e*f*g*h", &"a".repeat(5_000), false);
    }

    #[tokio::test]
    async fn files_folders_and_patterns() {
        let storage = Storage::new(Properties::new());
        for name in [
            "in/a.xml",
            "in/d=1/b.xml",
            "in/_hidden/c.xml",
            "in/.d.xml",
            "in/[1].xml",
        ] {
            let location = Location::parse(format!("memory://t/{name}")).unwrap();
            storage
                .write(&location, Bytes::from_static(b"<a/>"))
                .await
                .unwrap();
        }
        let empty = Location::parse("memory://t/in/e.xml").unwrap();
        storage.write(&empty, Bytes::new()).await.unwrap();
        for (pattern, expected, skipped) in [
            ("memory://t/in/a.xml", Some("in/a.xml"), 0),
            ("memory://t/in", Some("in/[1].xml in/a.xml in/d=1/b.xml"), 3),
            (
                "memory://t/in/",
                Some("in/[1].xml in/a.xml in/d=1/b.xml"),
                3,
            ),
            ("memory://t/in/*.xml", Some("in/[1].xml in/a.xml"), 2),
            ("memory://t/in/d=*/*.xml", Some("in/d=1/b.xml"), 0),
            ("memory://t/in/[1].xml", Some("in/[1].xml"), 0),
            ("memory://t/in/nothing*", None, 0),
            ("memory://t/nowhere", None, 0),
        ] {
            let found = storage.find(&Location::parse(pattern).unwrap()).await;
            let names = |matched: &Matched| -> Vec<String> {
                let objects = matched.objects.iter();
                let names = objects.map(|object| object.location.key().replace("t/in/", "in/"));
                names.collect()
            };
            let got = found.as_ref().ok().map(|matched| names(matched).join(" "));
            assert_eq!(got.as_deref(), expected, "{pattern}");
            let passed = found.map_or(0, |matched| matched.skipped.len());
            assert_eq!(passed, skipped, "{pattern}");
        }
    }
}
