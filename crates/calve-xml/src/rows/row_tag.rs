use crate::lexer::Lexer;
use crate::lexer::names::is_name;
use crate::names::namespace_of;
use crate::options::{Namespaces, XmlOptions};
use crate::{Error, Result};

/// Which elements are rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RowTag {
    /// The row's own name, and before it those of the elements around it, from the root on, where a
    /// path was given.
    name: Step,
    around: Option<Vec<Step>>,
    /// Whether names match without their prefixes, too.
    ignores_prefixes: bool,
}

/// The name of an element in a row tag.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Step {
    /// Its namespace, where it is `{namespace}name`.
    namespace: Option<String>,
    name: String,
}

/// The names in a row tag: `{urn:a/b}r/row` has two. A path may begin with `/`.
pub(crate) fn steps(row_tag: &str) -> impl Iterator<Item = &str> {
    let mut is_namespace = false;
    row_tag.trim_start_matches('/').split(move |character| {
        is_namespace = match character {
            '{' => true,
            '}' => false,
            _ => is_namespace,
        };
        character == '/' && !is_namespace
    })
}

impl Step {
    fn new(text: &str) -> Self {
        let expanded = text.strip_prefix('{').and_then(|rest| rest.split_once('}'));
        let (namespace, name) = match expanded {
            Some((namespace, name)) => (Some(namespace.to_owned()), name),
            None => (None, text),
        };
        Self {
            namespace,
            name: name.to_owned(),
        }
    }
}

impl RowTag {
    /// Understands `book`, `response/row/row` and `{http://www.w3.org/2005/Atom}entry`.
    ///
    /// # Errors
    /// When it has something that is no name.
    pub(crate) fn new(options: &XmlOptions) -> Result<Self> {
        let mut around: Vec<Step> = steps(&options.row_tag).map(Step::new).collect();
        if let Some(wrong) = around.iter().find(|step| !is_name(&step.name)) {
            return Err(Error::RowTag {
                row_tag: options.row_tag.clone(),
                problem: format!("`{}` is no name of an element", wrong.name),
            });
        }
        let name = around.pop().unwrap_or_else(|| Step::new(""));
        Ok(Self {
            name,
            around: (!around.is_empty()).then_some(around),
            ignores_prefixes: options.namespaces != Namespaces::Keep,
        })
    }

    /// The row's name as it is expected in the text.
    pub(crate) fn name(&self) -> &str {
        &self.name.name
    }

    /// Whether the element whose start was just taken, and whose name is `name`, is a row. Rows in rows
    /// are none, but that is the caller's business.
    #[inline]
    pub(crate) fn matches(&self, name: &str, lexer: &Lexer<'_>) -> bool {
        let depth = lexer.depth();
        self.is(&self.name, name, lexer, depth) && self.is_around(lexer, depth - 1)
    }

    /// Whether an element of this name would be a row where the lexer is. What it declares itself is not known.
    pub(crate) fn would_match(&self, name: &str, lexer: &Lexer<'_>) -> bool {
        let depth = lexer.depth();
        self.is(&self.name, name, lexer, depth) && self.is_around(lexer, depth)
    }

    /// Whether the outermost `depth` open elements are those around rows.
    fn is_around(&self, lexer: &Lexer<'_>, depth: usize) -> bool {
        let Some(around) = &self.around else {
            return true;
        };
        let names = lexer.open_elements().map(|(name, _)| name);
        depth == around.len()
            && (around.iter().zip(names).zip(1..))
                .all(|((expected, name), depth)| self.is(expected, name, lexer, depth))
    }

    /// Whether the name of an element, written inside of the outermost `depth` open elements or as the last of
    /// them, is the expected one.
    #[inline]
    fn is(&self, expected: &Step, name: &str, lexer: &Lexer<'_>, depth: usize) -> bool {
        let (prefix, local) = match name.split_once(':') {
            Some((prefix, local)) => (Some(prefix), local),
            None => (None, name),
        };
        match &expected.namespace {
            None => expected.name == name || (self.ignores_prefixes && expected.name == local),
            Some(namespace) => {
                let is_of_it = || {
                    let open = lexer.open_elements().take(depth).map(|(_, raw)| raw);
                    let open: Vec<&str> = open.collect();
                    let found = namespace_of(prefix, open.into_iter().rev(), lexer.entities());
                    // A prefix that nobody declares is of no namespace.
                    found.as_deref().unwrap_or_default() == namespace
                };
                expected.name == local && is_of_it()
            }
        }
    }
}
