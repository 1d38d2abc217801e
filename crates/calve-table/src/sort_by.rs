//! How rows are sorted, as people write it: `a, b desc nulls last, bucket(16, id)`.

use iceberg::spec::{NullOrder, Schema, SortDirection, SortField, SortOrder, Transform};

use crate::partition_by::{PartitionByError, field, spelling, split};

/// A sort field that is not what it should be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is no sort field: {problem}")]
pub struct SortByError {
    /// The field as it was written.
    text: String,
    /// What is wrong with it.
    problem: String,
}

impl SortByError {
    /// Says what is wrong with a field.
    pub fn new(text: impl Into<String>, problem: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            problem: problem.into(),
        }
    }
}

/// The fields that rows are sorted by: columns, what is made of them, and which way they go.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SortBy {
    fields: Vec<SortByField>,
}

/// One field that rows are sorted by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SortByField {
    /// The column, dotted.
    pub column: String,
    /// What is made of it.
    pub transform: Transform,
    /// Which way it goes.
    pub direction: SortDirection,
    /// Where nulls go.
    pub nulls: NullOrder,
}

impl SortBy {
    /// Reads a list of fields, divided by commas: a column or a transform of one, as in
    /// [`PartitionBy::parse`](crate::PartitionBy::parse), then `asc` (so unless said otherwise) or `desc`,
    /// then `nulls first` (so for `asc`) or `nulls last` (so for `desc`), as in Spark.
    ///
    /// # Errors
    /// When a field is none of these.
    pub fn parse(text: &str) -> Result<Self, SortByError> {
        let fields = split(text).into_iter().map(str::trim);
        let fields = fields.map(sort_field).collect::<Result<Vec<_>, _>>()?;
        Ok(Self { fields })
    }

    /// Whether there are no fields.
    pub fn is_empty(&self) -> bool {
        self.fields.is_empty()
    }

    /// The same fields, with the columns spelled as the schema spells them, where it has none of the exact
    /// name and one in another case.
    #[must_use]
    pub fn spelled_as(&self, schema: &Schema) -> Self {
        let fields = self.fields.iter().map(|field| SortByField {
            column: spelling(schema, &field.column),
            ..field.clone()
        });
        Self {
            fields: fields.collect(),
        }
    }

    /// The fields.
    pub fn fields(&self) -> &[SortByField] {
        &self.fields
    }

    /// The sort order for a schema, with id 1; the unsorted one where there are no fields.
    ///
    /// # Errors
    /// When the schema lacks a column, or a transform does not take its type.
    pub fn order(&self, schema: &Schema) -> iceberg::Result<SortOrder> {
        if self.fields.is_empty() {
            return Ok(SortOrder::unsorted_order());
        }
        let mut fields = Vec::with_capacity(self.fields.len());
        for field in &self.fields {
            let source_id = schema.field_id_by_name(&field.column).ok_or_else(|| {
                iceberg::Error::new(
                    iceberg::ErrorKind::DataInvalid,
                    format!("cannot sort by column `{}`: there is none", field.column),
                )
            })?;
            fields.push(SortField {
                source_id,
                transform: field.transform,
                direction: field.direction,
                null_order: field.nulls,
            });
        }
        SortOrder::builder()
            .with_order_id(1)
            .with_fields(fields)
            .build(schema)
    }
}

fn sort_field(text: &str) -> Result<SortByField, SortByError> {
    let wrong = |problem: &str| SortByError::new(text, problem);
    let (rest, nulls) = match ends_with(text, &["nulls", "first"]) {
        Some(rest) => (rest, Some(NullOrder::First)),
        None => match ends_with(text, &["nulls", "last"]) {
            Some(rest) => (rest, Some(NullOrder::Last)),
            None => (text, None),
        },
    };
    let (rest, direction) = match ends_with(rest, &["desc"]) {
        Some(rest) => (rest, SortDirection::Descending),
        None => (
            ends_with(rest, &["asc"]).unwrap_or(rest),
            SortDirection::Ascending,
        ),
    };
    if rest.is_empty() {
        return Err(wrong("it names no column"));
    }
    let (column, transform) =
        field(rest).map_err(|error: PartitionByError| wrong(error.problem()))?;
    Ok(SortByField {
        column,
        transform,
        direction,
        nulls: nulls.unwrap_or(match direction {
            SortDirection::Ascending => NullOrder::First,
            SortDirection::Descending => NullOrder::Last,
        }),
    })
}

/// What stands before these words at the end of a text, in any case.
fn ends_with<'a>(text: &'a str, words: &[&str]) -> Option<&'a str> {
    let mut rest = text;
    for word in words.iter().rev() {
        let (before, last) = rest.rsplit_once(char::is_whitespace)?;
        if !last.eq_ignore_ascii_case(word) {
            return None;
        }
        rest = before.trim_end();
    }
    Some(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Result<&str, &str>) {
        let found = SortBy::parse(text).map(|sort_by| {
            let fields = sort_by.fields.iter().map(|it| {
                format!(
                    "{}({}) {} {}",
                    it.transform, it.column, it.direction, it.nulls
                )
            });
            fields.collect::<Vec<_>>().join("; ")
        });
        assert_eq!(
            found.as_deref().map_err(ToString::to_string),
            expected.map_err(ToOwned::to_owned),
            "{text}"
        );
    }

    #[test]
    fn fields_as_people_write_them() {
        check("a", Ok("identity(a) ascending first"));
        check(
            "a ASC, `b c` desc Nulls  First",
            Ok("identity(a) ascending first; identity(b c) descending first"),
        );
        check(
            "b desc, c nulls last",
            Ok("identity(b) descending last; identity(c) ascending last"),
        );
        check("bucket(16, id) desc", Ok("bucket[16](id) descending last"));
        check("", Err("`` is no sort field: it names no column"));
        check("a, ", Err("`` is no sort field: it names no column"));
        check(
            "a up",
            Err("`a up` is no sort field: the column's name needs backticks"),
        );
        check(
            "week(a) desc",
            Err("`week(a) desc` is no sort field: there is no such transform"),
        );
    }
}
