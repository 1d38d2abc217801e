//! Names regardless of their case, as in other engines: `select element` finds the column `ELEMENT`.

use std::collections::{HashMap, HashSet};
use std::ops::ControlFlow;

use arrow::datatypes::{DataType, Fields};
use datafusion::sql::parser::Statement;
use datafusion::sql::sqlparser::ast::{
    Expr, Ident, ObjectName, ObjectNamePart, Query, Select, SelectItem, TableFactor, Visit,
    VisitMut, Visitor, VisitorMut,
};

use super::tables::{inner, inner_mut};

/// Every name that a query may mean, by its lower case.
#[derive(Debug, Default)]
pub(crate) struct Spellings {
    exact: HashSet<String>,
    by_lower_case: HashMap<String, HashSet<String>>,
}

impl Spellings {
    /// Adds the names of columns, and of the fields inside them.
    pub(crate) fn add_fields(&mut self, fields: &Fields) {
        for field in fields {
            self.add(field.name());
            self.add_inside(field.data_type());
        }
    }

    fn add_inside(&mut self, data_type: &DataType) {
        match data_type {
            DataType::Struct(fields) => self.add_fields(fields),
            DataType::List(field) | DataType::LargeList(field) | DataType::Map(field, _) => {
                self.add_inside(field.data_type());
            }
            _ => {}
        }
    }

    fn add(&mut self, name: &str) {
        if self.exact.insert(name.to_owned()) {
            let spellings = self.by_lower_case.entry(name.to_lowercase()).or_default();
            spellings.insert(name.to_owned());
        }
    }

    /// Replaces a name that is not known by the one that is known in another case.
    fn fix(&self, ident: &mut Ident) {
        if ident.quote_style.is_some() || self.exact.contains(&ident.value) {
            return;
        }
        let spellings = self.by_lower_case.get(&ident.value.to_lowercase());
        let mut spellings = spellings.into_iter().flatten();
        // Two known spellings: which is meant, the user must say.
        if let (Some(spelling), None) = (spellings.next(), spellings.next()) {
            *ident = Ident::with_quote('"', spelling.clone());
        }
    }
}

/// Spells the names in a statement as the tables and the statement's own aliases do.
pub(crate) fn respell(statement: &mut Statement, mut spellings: Spellings) {
    if let Some(statement) = inner(statement) {
        let _ = statement.visit(&mut Aliases(&mut spellings));
    }
    if let Some(statement) = inner_mut(statement) {
        let _ = VisitMut::visit(statement, &mut Respell(&spellings));
    }
}

/// Collects the names that a statement gives.
struct Aliases<'a>(&'a mut Spellings);

impl Aliases<'_> {
    fn add(&mut self, alias: &datafusion::sql::sqlparser::ast::TableAlias) {
        self.0.add(&alias.name.value);
        for column in &alias.columns {
            self.0.add(&column.name.value);
        }
    }
}

impl Visitor for Aliases<'_> {
    type Break = ();

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<()> {
        for cte in query.with.iter().flat_map(|with| &with.cte_tables) {
            self.add(&cte.alias);
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_select(&mut self, select: &Select) -> ControlFlow<()> {
        for item in &select.projection {
            if let SelectItem::ExprWithAlias { alias, .. } = item {
                self.0.add(&alias.value);
            }
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_table_factor(&mut self, factor: &TableFactor) -> ControlFlow<()> {
        let alias = match factor {
            TableFactor::Table { alias, name, .. } => {
                // A single name may be a `WITH` query's, in another case: it teaches nothing.
                if name.0.len() > 1 {
                    for ident in name.0.iter().filter_map(ObjectNamePart::as_ident) {
                        self.0.add(&ident.value);
                    }
                }
                alias
            }
            TableFactor::Derived { alias, .. }
            | TableFactor::Function { alias, .. }
            | TableFactor::UNNEST { alias, .. }
            | TableFactor::NestedJoin { alias, .. } => alias,
            _ => return ControlFlow::Continue(()),
        };
        if let Some(alias) = alias {
            self.add(alias);
        }
        ControlFlow::Continue(())
    }
}

struct Respell<'a>(&'a Spellings);

impl VisitorMut for Respell<'_> {
    type Break = ();

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        match expr {
            Expr::Identifier(ident) => self.0.fix(ident),
            Expr::CompoundIdentifier(parts) => {
                for part in parts {
                    self.0.fix(part);
                }
            }
            _ => {}
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_relation(&mut self, relation: &mut ObjectName) -> ControlFlow<()> {
        // Tables of the catalog have been found already; a single name may be a `WITH` query's.
        if let [ObjectNamePart::Identifier(ident)] = relation.0.as_mut_slice() {
            self.0.fix(ident);
        }
        ControlFlow::Continue(())
    }
}
