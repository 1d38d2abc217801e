//! What the values say, where types alone do not tell whether the data fits.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef, Fields, Schema};

use super::types::{Fit, decimal, name, whole};
use super::{Drift, Evolution, Evolve, OnDrift, Promotions};
use crate::Result;
use crate::decode::Misfit;
use crate::schema::types::map_entries;

impl Evolve {
    /// Takes in what reading all rows by the schema of an evolution showed: the values that did not fit, and
    /// what no column took ([`Report`](crate::convert::Report)). A decimal gets the digits that its values have,
    /// where it may.
    ///
    /// # Errors
    /// When there are such values and the schema may not evolve, or cannot.
    pub fn plan_values(
        &self,
        evolution: Evolution,
        misfits: &BTreeMap<String, Misfit>,
        unknown: &BTreeMap<String, u64>,
    ) -> Result<Evolution> {
        let mut walk = Walk {
            options: self,
            misfits,
            drift: Vec::new(),
        };
        let fields = walk.fields(evolution.schema.fields(), "");
        let mut drift = evolution.drift;
        drift.extend(walk.drift);
        if self.on_drift == OnDrift::Fail {
            let added = |(column, count): (&String, &u64)| Drift::Added {
                column: column.clone(),
                data_type: format!("{count} times, in rows that the schema was not compared with"),
            };
            drift.extend(unknown.iter().map(added));
        }
        let metadata = evolution.schema.metadata().clone();
        Ok(Evolution {
            schema: Schema::new_with_metadata(fields, metadata),
            drift: self.allowed(drift)?,
            unproven: Vec::new(),
            ..evolution
        })
    }
}

struct Walk<'a> {
    options: &'a Evolve,
    misfits: &'a BTreeMap<String, Misfit>,
    drift: Vec<Drift>,
}

impl Walk<'_> {
    /// Columns are called as the reader calls them: elements of lists as their list.
    fn fields(&mut self, fields: &Fields, path: &str) -> Fields {
        let field = |field: &FieldRef| -> FieldRef {
            let path = match path {
                "" => field.name().clone(),
                _ => format!("{path}.{}", field.name()),
            };
            Arc::new(self.field(field, &path))
        };
        fields.iter().map(field).collect()
    }

    fn field(&mut self, field: &Field, path: &str) -> Field {
        let data_type = match field.data_type() {
            _ if super::alternatives(field).is_some() => self.value(field.data_type(), path),
            DataType::Struct(fields) => DataType::Struct(self.fields(fields, path)),
            DataType::List(element) => DataType::List(Arc::new(self.field(element, path))),
            DataType::Map(entries, sorted) => match map_entries(entries) {
                Some((key, value)) => {
                    let value = self.field(value, &format!("{path}.value"));
                    let pair: Fields = vec![Arc::clone(key), Arc::new(value)].into();
                    let entries = entries.as_ref().clone();
                    let entries = entries.with_data_type(DataType::Struct(pair));
                    DataType::Map(Arc::new(entries), *sorted)
                }
                None => field.data_type().clone(),
            },
            other => self.value(other, path),
        };
        field.clone().with_data_type(data_type)
    }

    /// The type that holds the values of a column as well.
    fn value(&mut self, contract: &DataType, path: &str) -> DataType {
        let Some(misfit) = self.misfits.get(path) else {
            return contract.clone();
        };
        let column = path.to_owned();
        let from = name(contract);
        let Some(wider) = self.wider(contract, misfit) else {
            self.drift.push(Drift::Values {
                column,
                contract: from,
                count: misfit.count,
                first: Some(format!("`{}` in {}", misfit.first_text, misfit.first_place)),
            });
            return contract.clone();
        };
        let to = name(&wider);
        self.drift.push(Drift::Widened { column, from, to });
        wider
    }

    fn wider(&self, contract: &DataType, misfit: &Misfit) -> Option<DataType> {
        if self.options.on_drift != OnDrift::Widen {
            return None;
        }
        let DataType::Decimal128(precision, scale) = contract else {
            return None;
        };
        let digits = misfit.digits?;
        let fraction = i8::try_from(digits.fraction).ok()?;
        if fraction > *scale && self.options.promotions != Promotions::Spark {
            return None;
        }
        let whole = whole(*precision, *scale).max(digits.whole);
        match decimal(whole, fraction.max(*scale)) {
            Fit::Widen(wider) => Some(wider),
            _ => None,
        }
    }
}
