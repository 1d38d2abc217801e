//! One name and one shape for one element: columns of new data as those of the contract are.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef, Fields, Schema};

use super::{Evolve, XML_NAME, with_free_name, xml_name};

impl Evolve {
    /// The schema by which data is read that goes through other shapes before it is held against the contract:
    /// with the names that the contract gives to the same elements and attributes, and the value tag for text
    /// where the contract has a place for attributes or children beside it. What the contract lacks keeps its
    /// name, unless the contract has another column of that name.
    #[must_use]
    pub fn aligned(&self, observed: &Schema, contract: &Schema) -> Schema {
        let fields = self.aligned_fields(observed.fields(), contract.fields());
        Schema::new_with_metadata(fields, observed.metadata().clone())
    }

    fn aligned_fields(&self, observed: &Fields, contract: &Fields) -> Fields {
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
            let named = named.with_data_type(self.aligned_type(field, known.data_type()));
            Arc::new(named.with_metadata(metadata))
        };
        observed.iter().map(aligned).collect()
    }

    fn aligned_type(&self, observed: &Field, contract: &DataType) -> DataType {
        match (observed.data_type(), contract) {
            (DataType::Struct(mine), DataType::Struct(theirs)) => {
                DataType::Struct(self.aligned_fields(mine, theirs))
            }
            (DataType::List(mine), DataType::List(theirs)) => {
                let of = self.aligned_type(mine, theirs.data_type());
                DataType::List(Arc::new(mine.as_ref().clone().with_data_type(of)))
            }
            // A single value is a list of one.
            (_, DataType::List(theirs)) => self.aligned_type(observed, theirs.data_type()),
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
