//! How a table is partitioned, as people write it: `year, day(ts), bucket(16, id), truncate(4, name)`.

use iceberg::spec::{PartitionSpec, Schema, Transform};

/// A partition field that is not what it should be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is no partition field: {problem}")]
pub struct PartitionByError {
    /// The field as it was written.
    text: String,
    /// What is wrong with it.
    problem: String,
}

impl PartitionByError {
    /// What is wrong with the field.
    pub(crate) fn problem(&self) -> &str {
        &self.problem
    }
}

/// The partition fields of a new table: columns and what is made of them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PartitionBy {
    fields: Vec<(String, Transform)>,
}

impl PartitionBy {
    /// Reads a list of fields, divided by commas: a column (its dotted path), or a transform of one:
    /// `identity`, `year(s)`, `month(s)`, `day(s)`, `hour(s)`, `bucket(N, column)`, `truncate(N, column)`;
    /// the number may also come second, as in Spark's older syntax. A column with other characters than
    /// letters, digits, `_`, `.` and `-` stands in backticks.
    ///
    /// # Errors
    /// When a field is none of these.
    pub fn parse(text: &str) -> Result<Self, PartitionByError> {
        let mut fields = Vec::new();
        for part in split(text) {
            let part = part.trim();
            if part.is_empty() {
                return Err(wrong(part, "it is empty"));
            }
            fields.push(field(part)?);
        }
        Ok(Self { fields })
    }

    /// Whether there are no fields.
    pub fn is_empty(&self) -> bool {
        self.fields.is_empty()
    }

    /// The columns, where each field is the value of one.
    pub fn columns(&self) -> Option<Vec<String>> {
        let column = |(name, transform): &(String, Transform)| {
            (*transform == Transform::Identity).then(|| name.clone())
        };
        self.fields.iter().map(column).collect()
    }

    /// The same fields, with the columns spelled as the schema spells them, where it has none of the exact
    /// name and one in another case.
    #[must_use]
    pub fn spelled_as(&self, schema: &Schema) -> Self {
        let fields = self.fields.iter();
        let fields = fields.map(|(column, transform)| (spelling(schema, column), *transform));
        Self {
            fields: fields.collect(),
        }
    }

    /// The spec for a schema; fields are named as Spark names them (`ts_day`, `id_bucket`, `name_trunc`).
    ///
    /// # Errors
    /// When the schema lacks a column, or a transform does not take its type.
    pub fn spec(&self, schema: &Schema) -> iceberg::Result<PartitionSpec> {
        let mut builder = PartitionSpec::builder(schema.clone());
        for (column, transform) in &self.fields {
            let name = match transform {
                Transform::Identity => column.clone(),
                Transform::Bucket(_) => format!("{column}_bucket"),
                Transform::Truncate(_) => format!("{column}_trunc"),
                other => format!("{column}_{other}"),
            };
            builder = builder.add_partition_field(column, name, *transform)?;
        }
        builder.build()
    }
}

/// How a schema spells a column: exactly so, or else in one other case.
pub fn spelling(schema: &Schema, column: &str) -> String {
    if schema.field_by_name(column).is_some() {
        return column.to_owned();
    }
    let names = schema.field_id_to_name_map();
    let lower = column.to_lowercase();
    let mut alike = names.values().filter(|name| name.to_lowercase() == lower);
    match (alike.next(), alike.next()) {
        (Some(only), None) => only.clone(),
        _ => column.to_owned(),
    }
}

/// Splits at the commas outside of parentheses and backticks.
pub(crate) fn split(text: &str) -> Vec<&str> {
    let (mut depth, mut quoted, mut start) = (0_i32, false, 0);
    let mut parts = Vec::new();
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b'`' => quoted = !quoted,
            b'(' if !quoted => depth += 1,
            b')' if !quoted => depth -= 1,
            b',' if !quoted && depth == 0 => {
                parts.push(&text[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&text[start..]);
    parts
}

/// Reads one field: a column or a transform of one.
pub(crate) fn field(text: &str) -> Result<(String, Transform), PartitionByError> {
    let call = text
        .strip_suffix(')')
        .and_then(|text| text.split_once('('))
        .filter(|(name, _)| !name.contains('`'));
    let Some((name, arguments)) = call else {
        return Ok((column(text, text)?, Transform::Identity));
    };
    let arguments: Vec<&str> = split(arguments).into_iter().map(str::trim).collect();
    let name = name.trim().to_ascii_lowercase();
    let transform = match (name.as_str(), arguments.as_slice()) {
        ("identity", [of]) => (of, Transform::Identity),
        ("year" | "years", [of]) => (of, Transform::Year),
        ("month" | "months", [of]) => (of, Transform::Month),
        ("day" | "days" | "date", [of]) => (of, Transform::Day),
        ("hour" | "hours" | "date_hour", [of]) => (of, Transform::Hour),
        ("bucket", [left, right]) => {
            let (number, of) = number_and_column(text, left, right)?;
            return Ok((column(text, of)?, Transform::Bucket(number)));
        }
        ("truncate", [left, right]) => {
            let (number, of) = number_and_column(text, left, right)?;
            return Ok((column(text, of)?, Transform::Truncate(number)));
        }
        ("bucket" | "truncate", _) => {
            return Err(wrong(text, "it takes a number and a column"));
        }
        (
            "identity" | "year" | "years" | "month" | "months" | "day" | "days" | "date" | "hour"
            | "hours" | "date_hour",
            _,
        ) => return Err(wrong(text, "it takes one column")),
        _ => return Err(wrong(text, "there is no such transform")),
    };
    Ok((column(text, transform.0)?, transform.1))
}

fn number_and_column<'a>(
    text: &str,
    left: &'a str,
    right: &'a str,
) -> Result<(u32, &'a str), PartitionByError> {
    let number = |text: &str| text.parse::<u32>().ok().filter(|number| *number > 0);
    match (number(left), number(right)) {
        (Some(number), _) => Ok((number, right)),
        (None, Some(number)) => Ok((number, left)),
        (None, None) => Err(wrong(text, "it takes a number above 0 and a column")),
    }
}

fn column(text: &str, name: &str) -> Result<String, PartitionByError> {
    if let Some(quoted) = name
        .strip_prefix('`')
        .and_then(|name| name.strip_suffix('`'))
    {
        return Ok(quoted.replace("``", "`"));
    }
    let plain = |character: char| character.is_alphanumeric() || "_.-".contains(character);
    if !name.is_empty() && name.chars().all(plain) {
        Ok(name.to_owned())
    } else {
        Err(wrong(text, "the column's name needs backticks"))
    }
}

fn wrong(text: &str, problem: &str) -> PartitionByError {
    PartitionByError {
        text: text.to_owned(),
        problem: problem.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Result<&[(&str, Transform)], &str>) {
        let got = PartitionBy::parse(text).map_err(|error| error.to_string());
        let expected = expected
            .map(|fields| PartitionBy {
                fields: fields
                    .iter()
                    .map(|(name, transform)| ((*name).to_owned(), *transform))
                    .collect(),
            })
            .map_err(ToOwned::to_owned);
        assert_eq!(got, expected, "{text}");
    }

    #[test]
    fn fields_as_people_write_them() {
        use Transform::{Bucket, Day, Identity, Truncate};
        check("year", Ok(&[("year", Identity)]));
        check(
            "year, day(ts), bucket(16, id), truncate(name, 4)",
            Ok(&[
                ("year", Identity),
                ("ts", Day),
                ("id", Bucket(16)),
                ("name", Truncate(4)),
            ]),
        );
        check(
            "`odd, name`, DAYS( a.b )",
            Ok(&[("odd, name", Identity), ("a.b", Day)]),
        );
        check("", Err("`` is no partition field: it is empty"));
        check("a,,b", Err("`` is no partition field: it is empty"));
        check(
            "week(ts)",
            Err("`week(ts)` is no partition field: there is no such transform"),
        );
        check(
            "bucket(id)",
            Err("`bucket(id)` is no partition field: it takes a number and a column"),
        );
        check(
            "odd name",
            Err("`odd name` is no partition field: the column's name needs backticks"),
        );
    }
}
