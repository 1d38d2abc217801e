//! Which metrics a table wants: `write.metadata.metrics.*` (Java's `MetricsConfig`).

#[cfg(test)]
mod tests;

use std::collections::HashMap;

use iceberg::spec::{Schema, SortOrder, StructType, Type};

use crate::{Error, Result};

/// The table property that holds the mode of all columns without their own.
pub const METRICS_DEFAULT_PROPERTY: &str = "write.metadata.metrics.default";
/// What the name of a column's own property begins with.
pub const METRICS_COLUMN_PREFIX: &str = "write.metadata.metrics.column.";
/// The table property that says how many columns get the default mode when none is set.
pub const METRICS_MAX_COLUMNS_PROPERTY: &str =
    "write.metadata.metrics.max-inferred-column-defaults";
/// The mode of columns that no property speaks of.
pub const DEFAULT_METRICS_MODE: MetricsMode = MetricsMode::Truncate(16);
/// How many columns get the default mode when none is set.
pub const DEFAULT_METRICS_MAX_COLUMNS: usize = 100;

/// What is kept for one column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MetricsMode {
    /// Nothing.
    None,
    /// Value, null and NaN counts.
    Counts,
    /// Counts, and bounds cut to that many code points or bytes.
    Truncate(usize),
    /// Counts, and whole bounds.
    Full,
}

/// The mode of every field of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MetricsConfig {
    default: MetricsMode,
    fields: HashMap<i32, MetricsMode>,
}

impl MetricsConfig {
    /// Reads the table's properties. Default: `truncate(16)`, and `none` past the
    /// `write.metadata.metrics.max-inferred-column-defaults`th column.
    ///
    /// # Errors
    /// When a mode's text is wrong, or names a column that the schema lacks.
    pub fn new(properties: &HashMap<String, String>, schema: &Schema) -> Result<Self> {
        Self::with_sort_order(properties, schema, &SortOrder::unsorted_order())
    }

    /// As [`MetricsConfig::new`], for a table with a sort order: the columns it sorts by have bounds,
    /// unless their own property says otherwise.
    ///
    /// # Errors
    /// As [`MetricsConfig::new`].
    pub fn with_sort_order(
        properties: &HashMap<String, String>,
        schema: &Schema,
        sort_order: &SortOrder,
    ) -> Result<Self> {
        let mut config = Self::inferred(properties, schema)?;
        let sorted = match config.default {
            MetricsMode::None | MetricsMode::Counts => DEFAULT_METRICS_MODE,
            mode => mode,
        };
        for field in &sort_order.fields {
            if field.transform.preserves_order() {
                config.fields.insert(field.source_id, sorted);
            }
        }
        for (property, text) in properties {
            if let Some(column) = property.strip_prefix(METRICS_COLUMN_PREFIX) {
                let id = schema
                    .field_id_by_name(column)
                    .ok_or_else(|| Error::Property {
                        property: property.clone(),
                        problem: format!("the table has no column `{column}`"),
                    })?;
                config.fields.insert(id, parse_mode(property, text)?);
            }
        }
        Ok(config)
    }

    /// The same mode for every field.
    pub fn uniform(mode: MetricsMode) -> Self {
        Self {
            default: mode,
            fields: HashMap::new(),
        }
    }

    /// Sets the mode of one field.
    pub fn set_mode(&mut self, field_id: i32, mode: MetricsMode) {
        self.fields.insert(field_id, mode);
    }

    /// The mode of a field.
    pub fn mode(&self, field_id: i32) -> MetricsMode {
        if self.fields.is_empty() {
            return self.default;
        }
        self.fields.get(&field_id).copied().unwrap_or(self.default)
    }

    /// What holds before sort order and columns' own properties are looked at.
    fn inferred(properties: &HashMap<String, String>, schema: &Schema) -> Result<Self> {
        if let Some(text) = properties.get(METRICS_DEFAULT_PROPERTY) {
            return parse_mode(METRICS_DEFAULT_PROPERTY, text).map(Self::uniform);
        }
        let most = max_columns(properties)?;
        if projected_fields(schema.as_struct()) <= most {
            return Ok(Self::uniform(DEFAULT_METRICS_MODE));
        }
        let mut first = FirstFields {
            most,
            ids: Vec::new(),
        };
        first.visit_struct(schema.as_struct());
        Ok(Self {
            default: MetricsMode::None,
            fields: first
                .ids
                .into_iter()
                .map(|id| (id, DEFAULT_METRICS_MODE))
                .collect(),
        })
    }
}

fn max_columns(properties: &HashMap<String, String>) -> Result<usize> {
    let Some(text) = properties.get(METRICS_MAX_COLUMNS_PROPERTY) else {
        return Ok(DEFAULT_METRICS_MAX_COLUMNS);
    };
    text.trim().parse().map_err(|_| Error::Property {
        property: METRICS_MAX_COLUMNS_PROPERTY.to_owned(),
        problem: format!("`{text}` is not a number of columns"),
    })
}

fn parse_mode(property: &str, text: &str) -> Result<MetricsMode> {
    let lower = text.trim().to_ascii_lowercase();
    let mode = match lower.as_str() {
        "none" => Some(MetricsMode::None),
        "counts" => Some(MetricsMode::Counts),
        "full" => Some(MetricsMode::Full),
        other => other
            .strip_prefix("truncate(")
            .and_then(|rest| rest.strip_suffix(')'))
            .and_then(|length| length.parse().ok())
            .filter(|length| *length > 0)
            .map(MetricsMode::Truncate),
    };
    mode.ok_or_else(|| Error::Property {
        property: property.to_owned(),
        problem: format!("`{text}` is none of none, counts, truncate(length), full"),
    })
}

/// How many fields Java counts against the limit: leaves, and structs that are fields of structs.
fn projected_fields(fields: &StructType) -> usize {
    fields
        .fields()
        .iter()
        .map(|field| match field.field_type.as_ref() {
            Type::Primitive(_) => 1,
            Type::Struct(_) => 1 + nested_fields(&field.field_type),
            Type::List(_) | Type::Map(_) => nested_fields(&field.field_type),
        })
        .sum()
}

fn nested_fields(kind: &Type) -> usize {
    match kind {
        Type::Primitive(_) => 0,
        Type::Struct(fields) => projected_fields(fields),
        Type::List(list) => match list.element_field.field_type.as_ref() {
            Type::Primitive(_) => 1,
            nested => nested_fields(nested),
        },
        Type::Map(map) => {
            let key = nested_fields(&map.key_field.field_type);
            match map.value_field.field_type.as_ref() {
                Type::Primitive(_) => key + 2,
                nested => key + nested_fields(nested),
            }
        }
    }
}

/// Picks the first leaves: those directly in a struct before those in its nested fields.
struct FirstFields {
    most: usize,
    ids: Vec<i32>,
}

impl FirstFields {
    fn take(&mut self, id: i32, kind: &Type) {
        if self.ids.len() < self.most && matches!(kind, Type::Primitive(_)) {
            self.ids.push(id);
        }
    }

    fn visit_struct(&mut self, fields: &StructType) {
        for field in fields.fields() {
            self.take(field.id, &field.field_type);
        }
        for field in fields.fields() {
            self.visit(&field.field_type);
        }
    }

    fn visit(&mut self, kind: &Type) {
        if self.ids.len() >= self.most {
            return;
        }
        match kind {
            Type::Primitive(_) => {}
            Type::Struct(fields) => self.visit_struct(fields),
            Type::List(list) => {
                let element = &list.element_field;
                self.take(element.id, &element.field_type);
                self.visit(&element.field_type);
            }
            Type::Map(map) => {
                let (key, value) = (&map.key_field, &map.value_field);
                self.take(key.id, &key.field_type);
                self.take(value.id, &value.field_type);
                self.visit(&key.field_type);
                self.visit(&value.field_type);
            }
        }
    }
}
