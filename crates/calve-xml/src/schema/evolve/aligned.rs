//! One name for one element: columns of new data called as those of the contract are.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef, Fields, Schema};

use super::{XML_NAME, with_free_name, xml_name};

/// The schema with the names that the contract gives to the same elements and attributes, for data that goes
/// through other shapes before it is held against the contract. What the contract lacks keeps its
/// name, unless the contract has another column of that name.
#[must_use]
pub fn aligned(schema: &Schema, contract: &Schema) -> Schema {
    let fields = fields(schema.fields(), contract.fields());
    Schema::new_with_metadata(fields, schema.metadata().clone())
}

fn fields(observed: &Fields, contract: &Fields) -> Fields {
    let mut taken: Vec<FieldRef> = contract.iter().cloned().collect();
    let aligned = |field: &FieldRef| -> FieldRef {
        let known = contract.iter().find(|it| xml_name(it) == xml_name(field));
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
        let named = field.as_ref().clone().with_name(known.name());
        let named = named.with_data_type(data_type(field, known.data_type()));
        Arc::new(named.with_metadata(metadata))
    };
    observed.iter().map(aligned).collect()
}

fn data_type(observed: &Field, contract: &DataType) -> DataType {
    match (observed.data_type(), contract) {
        (DataType::Struct(mine), DataType::Struct(theirs)) => {
            DataType::Struct(fields(mine, theirs))
        }
        (DataType::List(mine), DataType::List(theirs)) => {
            let of = data_type(mine, theirs.data_type());
            DataType::List(Arc::new(mine.as_ref().clone().with_data_type(of)))
        }
        (other, _) => other.clone(),
    }
}
