//! Paths to columns: `order.items[].price`, with backticks around names that hold dots.

use std::fmt;
use std::str::FromStr;

use crate::{Error, Result};

/// One step of a path.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Step {
    /// Into the field of this name.
    Field(String),
    /// Into the elements of a list: `[]`.
    Element,
}

/// A path from the row to one of its columns.
///
/// Written as Glue writes them: names joined by dots, `[]` behind the name of a list for its elements,
/// and backticks (doubled inside) around names with dots, brackets or backticks.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct FieldPath {
    steps: Vec<Step>,
}

impl FieldPath {
    /// The path of the row itself.
    pub fn root() -> Self {
        Self::default()
    }

    /// The steps, outermost first.
    pub fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// The path of a field below this one.
    #[must_use]
    pub fn field(&self, name: impl Into<String>) -> Self {
        self.with(Step::Field(name.into()))
    }

    /// The path of the elements of the list at this path.
    #[must_use]
    pub fn element(&self) -> Self {
        self.with(Step::Element)
    }

    /// The path without the steps into lists.
    #[must_use]
    pub fn without_elements(&self) -> Self {
        let is_field = |step: &&Step| matches!(step, Step::Field(_));
        Self {
            steps: self.steps.iter().filter(is_field).cloned().collect(),
        }
    }

    /// The names of the path, without the steps into lists.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.steps.iter().filter_map(|step| match step {
            Step::Field(name) => Some(name.as_str()),
            Step::Element => None,
        })
    }

    fn with(&self, step: Step) -> Self {
        let mut steps = self.steps.clone();
        steps.push(step);
        Self { steps }
    }
}

impl<S: Into<String>> FromIterator<S> for FieldPath {
    fn from_iter<I: IntoIterator<Item = S>>(names: I) -> Self {
        Self {
            steps: names
                .into_iter()
                .map(|name| Step::Field(name.into()))
                .collect(),
        }
    }
}

impl fmt::Display for FieldPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, step) in self.steps.iter().enumerate() {
            match step {
                Step::Element => f.write_str("[]")?,
                Step::Field(name) => {
                    if index > 0 {
                        f.write_str(".")?;
                    }
                    let plain = !name.is_empty() && !name.contains(['.', '[', ']', '`']);
                    if plain {
                        f.write_str(name)?;
                    } else {
                        write!(f, "`{}`", name.replace('`', "``"))?;
                    }
                }
            }
        }
        Ok(())
    }
}

impl FromStr for FieldPath {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let fail = |problem: &str| Error::Path {
            path: text.to_owned(),
            problem: problem.to_owned(),
        };
        let mut steps = Vec::new();
        let mut rest = text;
        loop {
            let (name, after) = take_name(rest).ok_or_else(|| fail("a backtick is not closed"))?;
            if name.is_empty() && !rest.starts_with('`') {
                return Err(fail("a name is missing"));
            }
            steps.push(Step::Field(name));
            rest = after;
            while let Some(after) = rest.strip_prefix("[]") {
                steps.push(Step::Element);
                rest = after;
            }
            if rest.is_empty() {
                return Ok(Self { steps });
            }
            rest = rest
                .strip_prefix('.')
                .ok_or_else(|| fail("after a name comes `.`, `[]` or the end"))?;
        }
    }
}

/// The name at the start of `text` and what follows it; none when its backtick is not closed.
fn take_name(text: &str) -> Option<(String, &str)> {
    let Some(mut rest) = text.strip_prefix('`') else {
        let end = text.find(['.', '[', ']', '`']).unwrap_or(text.len());
        return Some((text[..end].to_owned(), &text[end..]));
    };
    let mut name = String::new();
    loop {
        let end = rest.find('`')?;
        name.push_str(&rest[..end]);
        rest = &rest[end + 1..];
        match rest.strip_prefix('`') {
            Some(after) => {
                name.push('`');
                rest = after;
            }
            None => return Some((name, rest)),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{FieldPath, Step};

    #[track_caller]
    fn check(text: &str, expected: &[&str]) {
        let path: FieldPath = text.parse().unwrap();
        let steps: Vec<&str> = path
            .steps()
            .iter()
            .map(|step| match step {
                Step::Field(name) => name.as_str(),
                Step::Element => "[]",
            })
            .collect();
        assert_eq!(steps, expected);
    }

    #[test]
    fn paths_are_read() {
        check("a", &["a"]);
        check("a.b", &["a", "b"]);
        check("list[].f", &["list", "[]", "f"]);
        check("m[][]", &["m", "[]", "[]"]);
        check("`a.b`.c", &["a.b", "c"]);
        check("`a``b`", &["a`b"]);
        check("Straße.名", &["Straße", "名"]);
        check("_xml:lang", &["_xml:lang"]);
    }

    #[test]
    fn wrong_paths_are_refused() {
        for text in [
            "", ".", "a.", ".a", "a..b", "`a", "a[", "a[0]", "a]b", "`a`b", "[]",
        ] {
            assert!(text.parse::<FieldPath>().is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(names in prop::collection::vec((".{0,6}", 0..3usize), 1..5)) {
            let mut path = FieldPath::root();
            for (name, lists) in names {
                path = path.field(name);
                for _ in 0..lists {
                    path = path.element();
                }
            }
            prop_assert_eq!(path.to_string().parse::<FieldPath>().unwrap(), path);
        }
    }
}
