//! The table as Athena counts and sums it.

use std::fmt::Write as _;

use arrow::array::ArrayRef;
use arrow::datatypes::{DataType, SchemaRef};
use arrow::util::display::array_value_to_string;
use calve_base::{Properties, TableIdent};
use calve_engines::{Athena, AthenaOptions, AthenaResult};
use datafusion::scalar::ScalarValue;

use super::ReadBy;
use super::sql::{Asked, number, quoted};
use crate::aggregate::Look;
use crate::partition::Value;
use crate::profile::Profiles;
use crate::side::{Group, Groups, Side};
use crate::{Error, Result};

const NAME: &str = "athena";

/// Has Athena count and sum the table, in one query.
#[derive(Debug, Clone)]
pub struct AthenaReader {
    athena: Athena,
    /// What the table's database is called there, where it is not the namespace.
    database: Option<String>,
}

/// One query, before it is run.
pub(crate) struct AthenaQuery<'a> {
    pub(crate) reader: &'a AthenaReader,
    pub(crate) table: &'a TableIdent,
    /// The snapshot that is read, where it is not the current one.
    pub(crate) snapshot_id: Option<i64>,
    pub(crate) partition_filter: &'a [(String, String)],
    /// The table as calve sees it: how its columns are called, and of which types they are.
    pub(crate) side: &'a Side,
    /// The columns of UUIDs, which have no type of their own in Arrow.
    pub(crate) uuids: &'a [String],
}

impl AthenaReader {
    /// Connects by a catalog's properties (`athena.…`, `client.…`, `glue.…`). Nothing is sent yet. The table is
    /// looked up in the database of the options, or else in the one that is called as its namespace.
    ///
    /// # Errors
    /// When a property is wrong, or nothing tells the region.
    pub async fn connect(
        catalog: &str,
        properties: &Properties,
        options: AthenaOptions,
    ) -> Result<Self> {
        let database = options.database.clone();
        let athena = Athena::connect(catalog, properties, options).await?;
        Ok(Self { athena, database })
    }
}

impl AthenaQuery<'_> {
    /// Runs it: the groups of rows, and who read them.
    ///
    /// # Errors
    /// When Athena does not do it, or answers what is no value of a column.
    pub(crate) async fn run(&self, columns: &[(String, Look)]) -> Result<(Groups, ReadBy)> {
        let columns: Vec<Asked> = columns.iter().map(|(name, _)| self.asked(name)).collect();
        let sql = self.sql(&columns)?;
        let answer = self.reader.athena.query(&sql).await?;
        let read_by = ReadBy {
            name: NAME.to_owned(),
            version: None,
            query_id: Some(answer.query_id.clone()),
            scanned_bytes: answer.scanned_bytes,
        };
        Ok((self.groups(&columns, &answer)?, read_by))
    }

    fn schema(&self) -> SchemaRef {
        self.side.provider.schema()
    }

    fn data_type(&self, name: &str) -> DataType {
        let schema = self.schema();
        let field = schema.field_with_name(name);
        field.map_or(DataType::Null, |field| field.data_type().clone())
    }

    fn asked(&self, name: &str) -> Asked {
        let is_uuid = self.uuids.iter().any(|uuid| uuid == name);
        Asked::new(name, &self.data_type(name), is_uuid)
    }

    fn sql(&self, columns: &[Asked]) -> Result<String> {
        let keys: Vec<String> = self
            .side
            .keys
            .iter()
            .map(|key| self.asked(key).key())
            .collect();
        let mut wanted = keys.clone();
        wanted.push("count(*)".to_owned());
        wanted.extend(columns.iter().flat_map(Asked::statistics));
        let wanted: Vec<String> = wanted
            .iter()
            .enumerate()
            .map(|(index, it)| format!("{it} AS c{index}"))
            .collect();
        let namespace = self.table.namespace_text();
        let namespace = quoted(self.reader.database.as_deref().unwrap_or(&namespace));
        let mut sql = format!(
            "SELECT {} FROM {namespace}.{}",
            wanted.join(", "),
            quoted(self.table.name())
        );
        if let Some(id) = self.snapshot_id {
            let _ = write!(sql, " FOR VERSION AS OF {id}");
        }
        let filters = self.partition_filter.iter().map(|it| self.filter(it));
        let filters = filters.collect::<Result<Vec<String>>>()?;
        if !filters.is_empty() {
            let _ = write!(sql, " WHERE {}", filters.join(" AND "));
        }
        if !keys.is_empty() {
            let _ = write!(sql, " GROUP BY {}", keys.join(", "));
        }
        Ok(sql)
    }

    fn filter(&self, (key, value): &(String, String)) -> Result<String> {
        let (name, data_type) = self.side.column(key)?;
        if Side::means_null(value, &data_type) {
            return Ok(format!("{} IS NULL", quoted(&name)));
        }
        Ok(self.asked(&name).equals(value))
    }

    fn groups(&self, columns: &[Asked], answer: &AthenaResult) -> Result<Groups> {
        let keys = self.side.keys.len();
        let mut groups = Groups::new();
        for row in &answer.rows {
            let wrong = |value: String| Error::ReaderValue {
                reader: NAME,
                query_id: answer.query_id.clone(),
                value,
            };
            let expected = keys + 1 + columns.iter().map(Asked::width).sum::<usize>();
            if row.len() != expected {
                return Err(wrong(format!("a row of {} values", row.len())));
            }
            let (values, rest) = row.split_at(keys);
            let values = self.side.keys.iter().zip(values).map(|(key, value)| {
                let text = value.as_ref()?;
                Some(canonical(text, &self.data_type(key)).unwrap_or_else(|| text.clone()))
            });
            let values = values.map(Value).collect();
            let rows: u64 = number(rest[0].as_deref()).map_err(wrong)?;
            if rows == 0 {
                continue;
            }
            let mut profiles = Profiles::new(columns.len());
            let mut left = &rest[1..];
            for (profile, column) in profiles.columns.iter_mut().zip(columns) {
                let (own, others) = left.split_at(column.width());
                *profile = column.profile(rows, own).map_err(wrong)?;
                left = others;
            }
            groups.insert(values, Group::new(rows, &profiles));
        }
        Ok(groups)
    }
}

/// A value of a key, as calve writes it.
fn canonical(text: &str, data_type: &DataType) -> Option<String> {
    if matches!(
        data_type,
        DataType::Binary | DataType::LargeBinary | DataType::FixedSizeBinary(_)
    ) {
        return None;
    }
    let value = ScalarValue::try_from_string(text.to_owned(), data_type).ok()?;
    let array: ArrayRef = value.to_array().ok()?;
    array_value_to_string(&array, 0).ok()
}
