//! A schema file is a contract: what happens when the data no longer fits it.
//!
//! The contract is compared with the schema that was inferred from the new data. A column *fits* when
//! its text can be read as the contract's type: a long fits a double and a string, a single value fits a
//! list, an element with children fits a string (as raw XML). Whether a long fits an `int`, or a double
//! a `decimal(12,2)`, no inferred type can tell; that is checked value by value when the rows are read,
//! unless the schema may widen: then an `int` becomes a long, for no value to be refused.
//!
//! Laws: a schema fits itself; evolving never narrows a type and never drops or moves a column; evolving
//! again with the same data changes nothing.

mod aligned;
mod pairs;
mod types;
mod values;

use std::fmt;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef, Fields, Schema};
use serde::Serialize;

use super::choice::{XML_NAME, alternatives, choice_field};
use super::settled;
use super::types::map_entries;
use crate::{Error, FieldPath, Result};
pub(crate) use aligned::find_by_name;
pub use aligned::{called_like, differs_by_case};
use pairs::pairs;
use types::{Fit, fit};
pub(crate) use types::{holds, name};

/// The default name of the column that takes what the schema has no place for.
pub const DEFAULT_RESCUED_DATA_COLUMN: &str = "_rescued_data";

/// What is done when the data does not fit the contract.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnDrift {
    /// The run stops before it writes anything.
    #[default]
    Fail,
    /// The schema evolves: columns are added, types widened, never narrowed.
    Widen,
    /// The schema stays; what does not fit goes into the rescued-data column.
    Rescue,
}

/// Which wider types a column may get.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Promotions {
    /// Those that every Iceberg table allows: int to long, float to double, decimals to more digits of
    /// the same scale.
    #[default]
    Iceberg,
    /// Those of Spark's type widening besides: integers to decimal or (up to int) to double, decimals to
    /// more digits on both sides, date to timestamp without zone.
    Spark,
}

/// One way in which data does not fit the contract.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum Drift {
    /// The data has a column that the contract has not.
    Added {
        /// Where.
        column: String,
        /// Its type in the data.
        data_type: String,
    },
    /// The data needs a wider type.
    Widened {
        /// Which column.
        column: String,
        /// The type in the contract.
        from: String,
        /// The type that holds both.
        to: String,
    },
    /// The data has another type that no legal promotion leads to.
    Conflict {
        /// Which column.
        column: String,
        /// The type in the contract.
        contract: String,
        /// The type in the data.
        found: String,
    },
    /// The data lacks a column that the contract requires.
    Missing {
        /// Which column.
        column: String,
    },
    /// Values of the data are not of the contract's type, and no wider type that it may become holds them.
    Values {
        /// Which column.
        column: String,
        /// The type in the contract.
        contract: String,
        /// How many values.
        count: u64,
        /// The first of them, and where it is, where that is known.
        first: Option<String>,
    },
}

impl Drift {
    /// The column.
    pub fn column(&self) -> &str {
        match self {
            Self::Added { column, .. }
            | Self::Widened { column, .. }
            | Self::Conflict { column, .. }
            | Self::Missing { column }
            | Self::Values { column, .. } => column,
        }
    }
}

impl fmt::Display for Drift {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Added { column, data_type } => write!(f, "`{column}` ({data_type}) is new"),
            Self::Widened { column, from, to } => write!(f, "`{column}` needs {to}, not {from}"),
            Self::Conflict {
                column,
                contract,
                found,
            } => write!(f, "`{column}` is {found}, not {contract}"),
            Self::Missing { column } => write!(f, "`{column}` is required and never there"),
            Self::Values {
                column,
                contract,
                count,
                first,
            } => {
                write!(f, "`{column}` has values that are no {contract} ({count})")?;
                match first {
                    Some(first) => write!(f, ", the first {first}"),
                    None => Ok(()),
                }
            }
        }
    }
}

/// How a contract and new data go together.
#[derive(Debug, Clone, PartialEq)]
pub struct Evolution {
    /// The schema to read the data by, and the contract from now on.
    pub schema: Schema,
    /// In what the data does not fit the contract, in the order of the columns.
    pub drift: Vec<Drift>,
    /// The columns of the data whose values go into the rescued-data column.
    pub rescued: Vec<FieldPath>,
    /// In what single values may still not fit, as only reading them tells: [`Evolve::plan_values`].
    pub unproven: Vec<Drift>,
}

/// Compares a contract with the schema of new data.
#[derive(Debug, Clone)]
pub struct Evolve {
    on_drift: OnDrift,
    promotions: Promotions,
    rescued_data_column: String,
    value_tag: String,
    adds_null: bool,
    by_name: bool,
}

impl Evolve {
    /// Starts with the default options.
    pub fn new(on_drift: OnDrift) -> Self {
        Self {
            on_drift,
            promotions: Promotions::default(),
            rescued_data_column: DEFAULT_RESCUED_DATA_COLUMN.to_owned(),
            value_tag: "_VALUE".to_owned(),
            adds_null: false,
            by_name: false,
        }
    }

    /// Sets which wider types a column may get.
    #[must_use]
    pub fn with_promotions(mut self, promotions: Promotions) -> Self {
        self.promotions = promotions;
        self
    }

    /// Sets the name of the rescued-data column.
    #[must_use]
    pub fn with_rescued_data_column(mut self, name: impl Into<String>) -> Self {
        self.rescued_data_column = name.into();
        self
    }

    /// Sets the name of an element's own text, beside which a single value fits a struct.
    #[must_use]
    pub fn with_value_tag(mut self, name: impl Into<String>) -> Self {
        self.value_tag = name.into();
        self
    }

    /// Sets whether columns that never had a value are added, as text. Default: no, they stay out until they have a
    /// type.
    #[must_use]
    pub fn with_adds_null(mut self, adds_null: bool) -> Self {
        self.adds_null = adds_null;
        self
    }

    /// Sets whether columns are compared by their own names, as where they were mapped, and not by those of the
    /// elements that they hold. Default: no.
    #[must_use]
    pub fn with_by_name(mut self, by_name: bool) -> Self {
        self.by_name = by_name;
        self
    }

    /// The name by which a column of the data is one of the contract.
    fn key<'f>(&self, field: &'f Field) -> &'f str {
        if self.by_name {
            field.name()
        } else {
            xml_name(field)
        }
    }

    /// Decides by which schema data with the schema `observed` is read under the contract. Columns of type null
    /// never had a value, and fit any type.
    ///
    /// # Errors
    /// When the data does not fit and the schema may not evolve, or cannot.
    pub fn plan(&self, contract: &Schema, observed: &Schema) -> Result<Evolution> {
        let mut walk = Walk {
            options: self,
            drift: Vec::new(),
            rescued: Vec::new(),
            unproven: Vec::new(),
        };
        // The rescued-data column is calve's own; no element of that name drifts against it.
        let fields = walk.fields(contract.fields(), observed.fields(), &FieldPath::root());
        let Walk {
            drift,
            rescued,
            unproven,
            ..
        } = walk;
        let drift = self.allowed(drift)?;
        let mut fields: Vec<FieldRef> = fields.iter().cloned().collect();
        let has_column = fields
            .iter()
            .any(|it| *it.name() == self.rescued_data_column);
        if self.on_drift == OnDrift::Rescue && !has_column {
            let column = Field::new(&self.rescued_data_column, DataType::Utf8, true);
            fields.push(Arc::new(column));
        }
        Ok(Evolution {
            schema: Schema::new_with_metadata(fields, contract.metadata().clone()),
            drift,
            rescued,
            unproven,
        })
    }

    /// The drift that the run goes on with.
    fn allowed(&self, drift: Vec<Drift>) -> Result<Vec<Drift>> {
        let stops = |drift: &Drift| match self.on_drift {
            OnDrift::Fail => true,
            OnDrift::Widen => matches!(drift, Drift::Conflict { .. } | Drift::Values { .. }),
            // A value that is required cannot be rescued by leaving it out.
            OnDrift::Rescue => matches!(drift, Drift::Missing { .. }),
        };
        if drift.iter().any(stops) {
            let drift = drift.into_iter().filter(stops).collect();
            let may_widen = self.on_drift == OnDrift::Fail;
            return Err(Error::Drift { drift, may_widen });
        }
        Ok(drift)
    }
}

/// The name by which a field is found in the document.
fn xml_name(field: &Field) -> &str {
    field.metadata().get(XML_NAME).unwrap_or(field.name())
}

struct Walk<'a> {
    options: &'a Evolve,
    drift: Vec<Drift>,
    rescued: Vec<FieldPath>,
    unproven: Vec<Drift>,
}

impl Walk<'_> {
    fn report(&mut self, drift: Drift, path: &FieldPath) {
        let has_values = !matches!(drift, Drift::Missing { .. });
        if self.options.on_drift == OnDrift::Rescue && has_values {
            self.rescued.push(path.clone());
        }
        self.drift.push(drift);
    }

    /// The fields that hold both.
    fn fields(&mut self, contract: &Fields, observed: &Fields, path: &FieldPath) -> Fields {
        let options = self.options;
        let pairs = pairs(contract, observed, |field| options.key(field));
        let mut is_known = vec![false; observed.len()];
        let mut fields: Vec<FieldRef> = Vec::with_capacity(contract.len());
        for (field, pair) in contract.iter().zip(pairs) {
            let path = path.field(field.name());
            fields.push(Arc::new(match pair {
                Some(at) => {
                    is_known[at] = true;
                    self.field(field, &observed[at], &path)
                }
                None => self.absent(field, &path),
            }));
        }
        for (found, is_known) in observed.iter().zip(is_known) {
            // Without a column of its own, an element goes into one whose name differs by case only.
            let has_kin = |fields: &Fields| {
                let name = xml_name(found).to_lowercase();
                let kin = |it: &&FieldRef| xml_name(it).to_lowercase() == name;
                fields
                    .iter()
                    .filter(kin)
                    .any(|it| xml_name(it) != xml_name(found))
            };
            let stays_out = found.data_type() == &DataType::Null
                && !options.adds_null
                && !has_kin(contract)
                && !has_kin(observed);
            if is_known || stays_out {
                continue;
            }
            let found = &settled(found);
            let drift = Drift::Added {
                column: path.field(options.key(found)).to_string(),
                data_type: name(found.data_type()),
            };
            self.report(drift, &path.field(found.name()));
            if self.options.on_drift == OnDrift::Widen {
                let added = with_free_name(found, &fields);
                fields.push(Arc::new(added));
            }
        }
        fields.into()
    }

    /// A field of the contract that the data never has.
    fn absent(&mut self, field: &Field, path: &FieldPath) -> Field {
        if field.is_nullable() {
            return field.clone();
        }
        let column = path.to_string();
        self.report(Drift::Missing { column }, path);
        let relaxed = self.options.on_drift == OnDrift::Widen;
        field.clone().with_nullable(relaxed)
    }

    fn field(&mut self, contract: &Field, observed: &Field, path: &FieldPath) -> Field {
        let data_type = self.data_type(contract, observed, path);
        contract.clone().with_data_type(data_type)
    }

    fn data_type(&mut self, contract: &Field, observed: &Field, path: &FieldPath) -> DataType {
        let (ours, theirs) = (contract.data_type(), observed.data_type());
        match (alternatives(contract), alternatives(observed)) {
            (None, Some(found)) if *theirs != DataType::Null => {
                return self.resolved(contract, found, path);
            }
            // One type more for a choice is a field more.
            (Some(_), None) if *theirs != DataType::Null => {
                let found = choice_field(observed.name(), std::slice::from_ref(theirs));
                return self.data_type(contract, &found, path);
            }
            _ => {}
        }
        match (ours, theirs) {
            (_, DataType::Null) => ours.clone(),
            (DataType::Struct(mine), DataType::Struct(new)) => {
                DataType::Struct(self.fields(mine, new, path))
            }
            (DataType::List(mine), DataType::List(new)) => {
                DataType::List(Arc::new(self.field(mine, new, &path.element())))
            }
            // A single value is a list of one.
            (DataType::List(mine), _) => {
                DataType::List(Arc::new(self.field(mine, observed, &path.element())))
            }
            (DataType::Map(entries, sorted), DataType::Struct(new)) => {
                self.map(entries, *sorted, new, path)
            }
            (DataType::Struct(mine), _) => self
                .value_in_struct(mine, observed, path)
                .map_or_else(|| self.conflict(contract, observed, path), DataType::Struct),
            _ => self.scalar(contract, observed, path),
        }
    }

    /// A choice in the data is read as the one type of the contract, which must hold each alternative.
    fn resolved(&mut self, contract: &Field, found: &Fields, path: &FieldPath) -> DataType {
        let mut resolved = contract.clone();
        for alternative in found {
            let data_type = self.data_type(&resolved, alternative, path);
            resolved = resolved.with_data_type(data_type);
        }
        resolved.data_type().clone()
    }

    fn scalar(&mut self, contract: &Field, observed: &Field, path: &FieldPath) -> DataType {
        let ours = contract.data_type();
        let widens = self.options.on_drift == OnDrift::Widen;
        let theirs = observed.data_type();
        match fit(ours, theirs, self.options.promotions) {
            Fit::Fits => ours.clone(),
            Fit::Unless => {
                self.unproven.push(Drift::Conflict {
                    column: path.to_string(),
                    contract: name(ours),
                    found: name(theirs),
                });
                ours.clone()
            }
            Fit::Perhaps(wider) if !widens => {
                self.unproven.push(Drift::Widened {
                    column: path.to_string(),
                    from: name(ours),
                    to: name(&wider),
                });
                ours.clone()
            }
            Fit::Perhaps(wider) | Fit::Widen(wider) => {
                let drift = Drift::Widened {
                    column: path.to_string(),
                    from: name(ours),
                    to: name(&wider),
                };
                self.report(drift, path);
                if widens { wider } else { ours.clone() }
            }
            Fit::Conflict => self.conflict(contract, observed, path),
        }
    }

    fn conflict(&mut self, contract: &Field, observed: &Field, path: &FieldPath) -> DataType {
        let drift = Drift::Conflict {
            column: path.to_string(),
            contract: name(contract.data_type()),
            found: name(observed.data_type()),
        };
        self.report(drift, path);
        contract.data_type().clone()
    }

    /// Text alone fits a struct that has a place for an element's own text.
    fn value_in_struct(
        &mut self,
        contract: &Fields,
        observed: &Field,
        path: &FieldPath,
    ) -> Option<Fields> {
        if observed.data_type().is_nested() {
            return None;
        }
        let place = contract
            .iter()
            .position(|it| *it.name() == self.options.value_tag)?;
        let mut fields: Vec<FieldRef> = contract.iter().cloned().collect();
        let path = path.field(&self.options.value_tag);
        fields[place] = Arc::new(self.field(&contract[place], observed, &path));
        Some(fields.into())
    }

    /// Children become entries: each must fit the map's values.
    fn map(
        &mut self,
        entries: &FieldRef,
        sorted: bool,
        observed: &Fields,
        path: &FieldPath,
    ) -> DataType {
        let Some((key, value)) = map_entries(entries) else {
            return DataType::Map(Arc::clone(entries), sorted);
        };
        let mut item = value.as_ref().clone();
        for child in observed {
            item = self.field(&item, child, &path.field("value"));
        }
        let pair: Fields = vec![Arc::clone(key), Arc::new(item)].into();
        let entries = entries
            .as_ref()
            .clone()
            .with_data_type(DataType::Struct(pair));
        DataType::Map(Arc::new(entries), sorted)
    }
}

/// The field as a new nullable column, called so that no other column differs from it by case alone.
fn with_free_name(field: &Field, beside: &[FieldRef]) -> Field {
    let taken = |name: &str| {
        let name = name.to_lowercase();
        beside.iter().any(|it| it.name().to_lowercase() == name)
    };
    let mut name = field.name().clone();
    let mut number = 1;
    while taken(&name) {
        number += 1;
        name = format!("{}_{number}", field.name());
    }
    let mut metadata = field.metadata().clone();
    if name != xml_name(field) {
        metadata.insert(XML_NAME.to_owned(), xml_name(field).to_owned());
    }
    field
        .clone()
        .with_name(name)
        .with_nullable(true)
        .with_metadata(metadata)
}

#[cfg(test)]
mod tests;
