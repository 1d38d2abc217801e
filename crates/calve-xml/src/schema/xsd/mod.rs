//! XML Schema: columns for the elements it describes, and validation of rows.
//!
//! Columns are those of Spark's `XSDToSchema`, where Spark makes any: children in their order, then
//! attributes; `xs:choice` makes its elements nullable; what may stand more than once is a list; `xs:any`
//! is a column [`DEFAULT_WILDCARD_COLUMN`] of raw XML. Beyond Spark:
//!
//! - groups, attribute groups, references, substitution groups, restriction and extension of both kinds
//!   of content, includes and imports;
//! - a choice or sequence that repeats makes lists of its elements, and an element that stands in two
//!   places is one column;
//! - an element that may be `xsi:nil` is nullable; one of mixed content has a column for its text;
//! - an element with neither children nor attributes is a string, for Parquet has no empty structs;
//! - a type that contains itself is a string of raw XML where it comes again.
//!
//! Not supported, and refused: `xs:redefine` and `xs:override`. Of keys, references between them and
//! assertions, rows say nothing; they are not looked at.

mod columns;
mod compile;
mod document;
mod facets;
mod load;
mod model;
mod moments;
mod pattern;
mod validate;
mod values;

use std::sync::Arc;

use arrow::datatypes::Schema;

use crate::{Result, XmlOptions};
use model::Model;

pub use validate::RowValidator;

/// The name of the column of `xs:any`, as in Spark.
pub const DEFAULT_WILDCARD_COLUMN: &str = "xs_any";

/// A document that a schema includes or imports.
#[derive(Debug, Clone, Copy)]
pub struct SchemaRequest<'a> {
    /// The `schemaLocation`, as written; imports may have none.
    pub location: Option<&'a str>,
    /// The namespace that is imported; none for includes.
    pub namespace: Option<&'a str>,
    /// What the document is called that asks, for relative locations.
    pub base: &'a str,
}

/// Gives the name and text of a document, or none where there is none. The crate opens no file itself.
pub type Loader<'a> = dyn FnMut(
        &SchemaRequest<'_>,
    ) -> Result<Option<(String, String)>, Box<dyn std::error::Error + Send + Sync>>
    + 'a;

/// A schema, read from its documents.
#[derive(Debug, Clone)]
pub struct Xsd {
    model: Arc<Model>,
}

/// How columns are named and typed.
#[derive(Debug, Clone)]
pub struct ColumnOptions {
    /// Before the names of attributes.
    pub attribute_prefix: String,
    /// Whether attributes are left out.
    pub exclude_attributes: bool,
    /// The name of an element's own text beside attributes or children.
    pub value_tag: String,
    /// The name of the column of `xs:any`.
    pub wildcard_column: String,
    /// Whether a decimal gets as many digits before the point as its `totalDigits` allows, and not only
    /// those that its `fractionDigits` leave: a value need not use them all.
    pub extend_decimal_precision: bool,
}

impl From<&XmlOptions> for ColumnOptions {
    fn from(options: &XmlOptions) -> Self {
        Self {
            attribute_prefix: options.attribute_prefix.clone(),
            exclude_attributes: options.exclude_attributes,
            value_tag: options.value_tag.clone(),
            wildcard_column: DEFAULT_WILDCARD_COLUMN.to_owned(),
            extend_decimal_precision: false,
        }
    }
}

impl Default for ColumnOptions {
    fn default() -> Self {
        Self::from(&XmlOptions::new(""))
    }
}

impl Xsd {
    /// Reads a schema document, called `file`, and through the loader all that it includes and imports.
    ///
    /// # Errors
    /// When a document is malformed, or says what is not supported; the error names file and line.
    pub fn read(file: &str, text: &str, loader: &mut Loader<'_>) -> Result<Self> {
        let definitions = load::load(file, text, loader)?;
        let model = compile::compile(definitions)?;
        Ok(Self {
            model: Arc::new(model),
        })
    }

    /// A column for each element of the top level, as Spark makes them.
    ///
    /// # Errors
    /// When there would be too many columns.
    pub fn schema(&self, options: &ColumnOptions) -> Result<Schema> {
        columns::roots(&self.model, options)
    }

    /// The columns of the rows that a row tag names: an element (`book`), or a path to one
    /// (`catalog/book`).
    ///
    /// # Errors
    /// When the schema has no such element, or several of different types, or too many columns.
    pub fn row_schema(&self, row_tag: &str, options: &ColumnOptions) -> Result<Schema> {
        let element = compile::find(&self.model, row_tag)?;
        columns::row(&self.model, element, options)
    }

    /// Validates the rows that a row tag names.
    ///
    /// # Errors
    /// When the schema has no such element, or says what rows cannot be validated against.
    pub fn row_validator(&self, row_tag: &str) -> Result<RowValidator> {
        RowValidator::new(Arc::clone(&self.model), row_tag)
    }
}

#[cfg(test)]
mod tests;
