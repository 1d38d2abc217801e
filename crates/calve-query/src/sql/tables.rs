//! The tables that a query names.

use std::collections::HashMap;
use std::ops::ControlFlow;

use datafusion::sql::parser::Statement;
use datafusion::sql::sqlparser::ast;
use datafusion::sql::sqlparser::ast::{
    Ident, ObjectName, ObjectNamePart, TableAlias, TableFactor, Visit, VisitMut, Visitor,
    VisitorMut,
};

use super::version::{Taken, Version};

/// A table as a query names it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct TableName {
    /// The parts of the name, each with whether it was quoted.
    pub(crate) parts: Vec<(String, bool)>,
    /// Whether it stands in single quotes, as only locations do.
    pub(crate) literal: bool,
    /// The version asked for.
    pub(crate) version: Option<Version>,
}

impl TableName {
    fn read(name: &ObjectName, taken: &Taken) -> Option<Self> {
        let mut parts = Vec::with_capacity(name.0.len());
        let mut version = None;
        let mut literal = false;
        for part in &name.0 {
            let ident = part.as_ident()?;
            literal |= ident.quote_style == Some('\'');
            match taken.unmark(&ident.value) {
                Some((name, quoted, found)) => {
                    parts.push((name.to_owned(), quoted));
                    version = Some(found);
                }
                None => parts.push((ident.value.clone(), ident.quote_style.is_some())),
            }
        }
        Some(Self {
            parts,
            literal,
            version,
        })
    }

    /// The location that this is, if it is one.
    pub(crate) fn location(&self) -> Option<&str> {
        let [(text, _)] = self.parts.as_slice() else {
            return None;
        };
        let looks_so = ["/", "./", "../", "file:"]
            .iter()
            .any(|start| text.starts_with(start))
            || text.contains("://");
        (self.literal || looks_so).then_some(text)
    }
}

/// All tables that a statement reads.
pub(crate) fn table_names(statement: &Statement, taken: &Taken) -> Vec<TableName> {
    let mut visitor = Names {
        taken,
        found: Vec::new(),
    };
    if let Some(statement) = inner(statement) {
        let _ = statement.visit(&mut visitor);
    }
    visitor.found
}

/// Puts other names in the place of some tables. Each keeps what it was called as its alias.
pub(crate) fn replace_tables(
    statement: &mut Statement,
    taken: &Taken,
    replacements: &HashMap<TableName, Vec<String>>,
) {
    let mut visitor = Replace {
        taken,
        replacements,
    };
    if let Some(statement) = inner_mut(statement) {
        let _ = VisitMut::visit(statement, &mut visitor);
    }
}

/// The statement in sqlparser's terms: the explained one inside `EXPLAIN`.
pub(super) fn inner(statement: &Statement) -> Option<&ast::Statement> {
    match statement {
        Statement::Statement(statement) => Some(statement),
        Statement::Explain(explain) => inner(&explain.statement),
        _ => None,
    }
}

/// As [`inner`], to be changed.
pub(super) fn inner_mut(statement: &mut Statement) -> Option<&mut ast::Statement> {
    match statement {
        Statement::Statement(statement) => Some(statement),
        Statement::Explain(explain) => inner_mut(&mut explain.statement),
        _ => None,
    }
}

struct Names<'a> {
    taken: &'a Taken,
    found: Vec<TableName>,
}

impl Visitor for Names<'_> {
    type Break = ();

    fn pre_visit_table_factor(&mut self, factor: &TableFactor) -> ControlFlow<()> {
        if let TableFactor::Table {
            name, args: None, ..
        } = factor
            && let Some(name) = TableName::read(name, self.taken)
        {
            self.found.push(name);
        }
        ControlFlow::Continue(())
    }
}

struct Replace<'a> {
    taken: &'a Taken,
    replacements: &'a HashMap<TableName, Vec<String>>,
}

impl VisitorMut for Replace<'_> {
    type Break = ();

    fn pre_visit_table_factor(&mut self, factor: &mut TableFactor) -> ControlFlow<()> {
        let TableFactor::Table {
            name,
            alias,
            args: None,
            ..
        } = factor
        else {
            return ControlFlow::Continue(());
        };
        if let Some(read) = TableName::read(name, self.taken)
            && let Some(replacement) = self.replacements.get(&read)
        {
            if let (None, Some((last, _))) = (&alias, read.parts.last()) {
                *alias = Some(TableAlias {
                    explicit: true,
                    name: Ident::with_quote('"', last.clone()),
                    columns: Vec::new(),
                    at: None,
                });
            }
            let parts = replacement
                .iter()
                .map(|part| ObjectNamePart::Identifier(Ident::with_quote('"', part.clone())));
            *name = ObjectName(parts.collect());
        }
        ControlFlow::Continue(())
    }
}
