use crate::lexer::Lexer;
use crate::options::{Namespaces, XmlOptions};

/// Which elements are rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RowTag {
    /// The row's own name, and before it those of the elements around it, from the root on, where a
    /// path was given.
    name: String,
    around: Option<Vec<String>>,
    /// Whether names match without their prefixes, too.
    ignores_prefixes: bool,
}

impl RowTag {
    /// Understands `book` and `response/row/row`.
    pub(crate) fn new(options: &XmlOptions) -> Self {
        let path = options.row_tag.trim_matches('/');
        let (around, name) = match path.rsplit_once('/') {
            None => (None, path),
            Some((around, name)) => {
                let around = around.split('/').map(str::to_owned).collect();
                (Some(around), name)
            }
        };
        Self {
            name: name.to_owned(),
            around,
            ignores_prefixes: options.namespaces != Namespaces::Keep,
        }
    }

    /// The row's name as it is expected in the text.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Whether the element whose start was just taken, and whose name is `name`, is a row. Rows in rows
    /// are none, but that is the caller's business.
    #[inline]
    pub(crate) fn matches(&self, name: &str, lexer: &Lexer<'_>) -> bool {
        self.is(&self.name, name) && self.is_around(lexer, lexer.depth() - 1)
    }

    /// Whether an element of this name would be a row where the lexer is.
    pub(crate) fn would_match(&self, name: &str, lexer: &Lexer<'_>) -> bool {
        self.is(&self.name, name) && self.is_around(lexer, lexer.depth())
    }

    /// Whether the outermost `depth` open elements are those around rows.
    fn is_around(&self, lexer: &Lexer<'_>, depth: usize) -> bool {
        let Some(around) = &self.around else {
            return true;
        };
        depth == around.len()
            && around
                .iter()
                .zip(lexer.open_elements())
                .all(|(expected, (name, _))| self.is(expected, name))
    }

    fn is(&self, expected: &str, name: &str) -> bool {
        expected == name
            || (self.ignores_prefixes
                && name
                    .split_once(':')
                    .is_some_and(|(_, local)| local == expected))
    }
}
