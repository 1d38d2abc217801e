//! Which metrics a table wants: `write.metadata.metrics.*` (Java's `MetricsConfig`).

use std::collections::HashMap;

use iceberg::spec::Schema;

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
pub struct MetricsConfig {}

impl MetricsConfig {
    /// Reads the table's properties. Default: `truncate(16)`, and `none` past the
    /// `write.metadata.metrics.max-inferred-column-defaults`th column.
    ///
    /// # Errors
    /// When a mode's text is wrong, or names a column that the schema lacks.
    pub fn new(_properties: &HashMap<String, String>, _schema: &Schema) -> crate::Result<Self> {
        unimplemented!()
    }

    /// The mode of a field.
    pub fn mode(&self, _field_id: i32) -> MetricsMode {
        unimplemented!()
    }
}
