//! One name and one shape for one element: columns of new data as those of the contract are.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef, Fields, Schema};

use super::pairs::pairs;
use super::{Evolve, XML_NAME, holds, with_free_name, xml_name};
use crate::FieldPath;
use crate::schema::choice::{CHOICE, alternatives};
use crate::schema::types::Typed;

impl Evolve {
    /// The schema by which data is read that goes through other shapes before it is held against the contract:
    /// with the names that the contract gives to the same elements and attributes, with its types where they hold
    /// those of the data, with lists where it has lists, and the value tag for text where it has a place for
    /// attributes or children beside it. What the contract lacks keeps its name, unless the contract has another
    /// column of that name.
    #[must_use]
    pub fn aligned(&self, observed: &Schema, contract: &Schema) -> Schema {
        let fields = self.aligned_fields(observed.fields(), contract.fields());
        Schema::new_with_metadata(fields, observed.metadata().clone())
    }

    fn aligned_fields(&self, observed: &Fields, contract: &Fields) -> Fields {
        let mut taken: Vec<FieldRef> = contract.iter().cloned().collect();
        let mut known: Vec<Option<&FieldRef>> = vec![None; observed.len()];
        for (field, pair) in contract.iter().zip(pairs(contract, observed, xml_name)) {
            if let Some(at) = pair {
                known[at] = Some(field);
            }
        }
        let aligned = |(field, known): (&FieldRef, Option<&FieldRef>)| -> FieldRef {
            let Some(known) = known else {
                let free = with_free_name(field, &taken).with_nullable(field.is_nullable());
                let free = Arc::new(free);
                taken.push(Arc::clone(&free));
                return free;
            };
            let mut metadata = field.metadata().clone();
            metadata.remove(XML_NAME);
            if known.name() != xml_name(known) {
                metadata.insert(XML_NAME.to_owned(), xml_name(known).to_owned());
            }
            let named = field.as_ref().clone().with_metadata(metadata);
            let field = listed(named.with_name(known.name()), known.data_type());
            let data_type = self.aligned_type(&field, known.data_type());
            Arc::new(field.with_data_type(data_type))
        };
        observed.iter().zip(known).map(aligned).collect()
    }

    /// The type of an element as that of the contract.
    pub(crate) fn aligned_type(&self, observed: &Field, contract: &DataType) -> DataType {
        match (observed.data_type(), contract) {
            (mine, _) if alternatives(observed).is_some() => mine.clone(),
            // What is read as the contract's type keeps its digits; text with children is raw XML.
            (mine, theirs)
                if !matches!(mine, DataType::Null | DataType::List(_))
                    && (*theirs == DataType::Utf8
                        || holds(theirs, mine)
                        || (mine.is_numeric() && matches!(theirs, DataType::Decimal128(..)))) =>
            {
                theirs.clone()
            }
            // Children are entries.
            (DataType::Struct(_), DataType::Map(..)) => contract.clone(),
            (DataType::Struct(mine), DataType::Struct(theirs)) => {
                DataType::Struct(self.aligned_fields(mine, theirs))
            }
            (DataType::List(mine), DataType::List(theirs)) => {
                let mine = listed(mine.as_ref().clone(), theirs.data_type());
                let of = self.aligned_type(&mine, theirs.data_type());
                DataType::List(Arc::new(mine.with_data_type(of)))
            }
            (mine, DataType::Struct(theirs)) if !mine.is_nested() && !mine.is_null() => {
                let place = theirs.iter().find(|it| *it.name() == self.value_tag);
                place.map_or_else(
                    || mine.clone(),
                    |place| {
                        let value = place.as_ref().clone().with_data_type(mine.clone());
                        DataType::Struct(vec![value].into())
                    },
                )
            }
            (other, _) => other.clone(),
        }
    }
}

/// The field as a list where the contract has one: a single value is a list of one.
fn listed(field: Field, contract: &DataType) -> Field {
    let is_list = matches!(field.data_type(), DataType::List(_) | DataType::Null);
    if is_list || !matches!(contract, DataType::List(_)) {
        return field;
    }
    let mut metadata = field.metadata().clone();
    let choice = metadata.remove_entry(CHOICE);
    let element = Typed {
        data_type: field.data_type().clone(),
        metadata: choice.into_iter().collect(),
    };
    let list = element.into_list(true);
    field.with_data_type(list).with_metadata(metadata)
}

/// The schema with the names of `table` for columns that are called like its, but for case.
#[must_use]
pub fn called_like(schema: &Schema, table: &Schema) -> Schema {
    let fields = called_fields(schema.fields(), table.fields());
    Schema::new_with_metadata(fields, schema.metadata().clone())
}

fn called_fields(fields: &Fields, table: &Fields) -> Fields {
    let called = |field: &FieldRef| -> FieldRef {
        let Some(known) = find_by_name(table, field.name()) else {
            return Arc::clone(field);
        };
        let data_type = match (field.data_type(), known.data_type()) {
            (DataType::Struct(mine), DataType::Struct(theirs)) => {
                DataType::Struct(called_fields(mine, theirs))
            }
            (other, _) => other.clone(),
        };
        let named = field.as_ref().clone().with_name(known.name());
        Arc::new(named.with_data_type(data_type))
    };
    fields.iter().map(called).collect()
}

/// A column of a schema that is called like one of `table`, but for case, with the path of the latter.
pub fn differs_by_case(schema: &Schema, table: &Schema) -> Option<(FieldPath, FieldPath)> {
    let mut levels = vec![(schema.fields(), table.fields(), FieldPath::root())];
    while let Some((fields, table, path)) = levels.pop() {
        for field in fields {
            let Some(known) = find_by_name(table, field.name()) else {
                continue;
            };
            if known.name() != field.name() {
                return Some((path.field(field.name()), path.field(known.name())));
            }
            if let (DataType::Struct(mine), DataType::Struct(theirs)) =
                (field.data_type(), known.data_type())
            {
                levels.push((mine, theirs, path.field(field.name())));
            }
        }
    }
    None
}

/// The field of a name, or else the first one whose name differs by case only.
pub(crate) fn find_by_name<'a>(fields: &'a Fields, name: &str) -> Option<&'a FieldRef> {
    let exact = fields.iter().find(|it| it.name() == name);
    exact.or_else(|| {
        let name = name.to_lowercase();
        fields.iter().find(|it| it.name().to_lowercase() == name)
    })
}
