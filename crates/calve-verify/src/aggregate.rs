//! The DataFusion aggregate that makes a [`Profile`] of a column, one for each group.

use std::mem::size_of;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BinaryArray, BooleanArray};
use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::error::Result;
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::{
    Accumulator, AggregateUDFImpl, EmitTo, GroupsAccumulator, Signature, Volatility,
};
use datafusion::scalar::ScalarValue;

use crate::canonical::{Cells, Ticks};
use crate::profile::Profile;

/// `calve_profile(column)`: a binary that [`Profile::from_bytes`] reads.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(crate) struct ProfileFunction {
    signature: Signature,
    ticks: Ticks,
}

impl ProfileFunction {
    pub(crate) fn new(ticks: Ticks) -> Self {
        Self {
            signature: Signature::any(1, Volatility::Immutable),
            ticks,
        }
    }

    fn profiles(&self) -> Profiles {
        Profiles {
            ticks: self.ticks,
            groups: Vec::new(),
            heap_bytes: 0,
            buffer: Vec::new(),
        }
    }
}

impl AggregateUDFImpl for ProfileFunction {
    fn name(&self) -> &str {
        match self.ticks {
            Ticks::Micros => "calve_profile",
            Ticks::Nanos => "calve_profile_nanos",
        }
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _arg_types: &[DataType]) -> Result<DataType> {
        Ok(DataType::Binary)
    }

    fn state_fields(&self, args: StateFieldsArgs) -> Result<Vec<FieldRef>> {
        let name = format!("{}[profile]", args.name);
        Ok(vec![Arc::new(Field::new(name, DataType::Binary, true))])
    }

    fn accumulator(&self, _args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        Ok(Box::new(OneProfile(self.profiles())))
    }

    fn groups_accumulator_supported(&self, _args: AccumulatorArgs) -> bool {
        true
    }

    fn create_groups_accumulator(
        &self,
        _args: AccumulatorArgs,
    ) -> Result<Box<dyn GroupsAccumulator>> {
        Ok(Box::new(self.profiles()))
    }
}

/// The profiles of all groups.
#[derive(Debug)]
struct Profiles {
    ticks: Ticks,
    groups: Vec<Profile>,
    heap_bytes: usize,
    buffer: Vec<u8>,
}

impl Profiles {
    fn grow(&mut self, total: usize) {
        if self.groups.len() < total {
            self.groups.resize_with(total, Profile::default);
        }
    }

    fn recount(&mut self) {
        self.heap_bytes = self.groups.iter().map(Profile::heap_bytes).sum();
    }

    fn change(&mut self, group: usize, change: impl FnOnce(&mut Profile, &mut Vec<u8>)) {
        let profile = &mut self.groups[group];
        let before = profile.heap_bytes();
        change(profile, &mut self.buffer);
        self.heap_bytes = self.heap_bytes + profile.heap_bytes() - before;
    }

    fn emit(&mut self, emit_to: EmitTo) -> ArrayRef {
        let taken = emit_to.take_needed(&mut self.groups);
        self.recount();
        Arc::new(BinaryArray::from_iter_values(
            taken.iter().map(Profile::to_bytes),
        ))
    }
}

impl GroupsAccumulator for Profiles {
    fn update_batch(
        &mut self,
        values: &[ArrayRef],
        group_indices: &[usize],
        filter: Option<&BooleanArray>,
        total_num_groups: usize,
    ) -> Result<()> {
        self.grow(total_num_groups);
        let cells = Cells::new(&values[0], self.ticks)?;
        for (row, group) in group_indices.iter().enumerate() {
            if is_wanted(filter, row) {
                self.change(*group, |profile, buffer| profile.add(&cells, row, buffer));
            }
        }
        Ok(())
    }

    fn merge_batch(
        &mut self,
        values: &[ArrayRef],
        group_indices: &[usize],
        filter: Option<&BooleanArray>,
        total_num_groups: usize,
    ) -> Result<()> {
        self.grow(total_num_groups);
        let states = values[0].as_binary::<i32>();
        for (row, group) in group_indices.iter().enumerate() {
            if is_wanted(filter, row) && !states.is_null(row) {
                let other = Profile::from_bytes(states.value(row))?;
                self.change(*group, |profile, _| profile.merge(other));
            }
        }
        Ok(())
    }

    fn evaluate(&mut self, emit_to: EmitTo) -> Result<ArrayRef> {
        Ok(self.emit(emit_to))
    }

    fn state(&mut self, emit_to: EmitTo) -> Result<Vec<ArrayRef>> {
        Ok(vec![self.emit(emit_to)])
    }

    fn size(&self) -> usize {
        self.groups.capacity() * size_of::<Profile>() + self.heap_bytes + self.buffer.capacity()
    }
}

fn is_wanted(filter: Option<&BooleanArray>, row: usize) -> bool {
    filter.is_none_or(|filter| filter.is_valid(row) && filter.value(row))
}

/// The profile of all rows.
#[derive(Debug)]
struct OneProfile(Profiles);

impl OneProfile {
    fn value(&self) -> ScalarValue {
        let empty = Profile::default();
        let profile = self.0.groups.first().unwrap_or(&empty);
        ScalarValue::Binary(Some(profile.to_bytes()))
    }
}

impl Accumulator for OneProfile {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        let groups = vec![0; values[0].len()];
        self.0.update_batch(values, &groups, None, 1)
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        let groups = vec![0; states[0].len()];
        self.0.merge_batch(states, &groups, None, 1)
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        Ok(self.value())
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        Ok(vec![self.value()])
    }

    fn size(&self) -> usize {
        size_of::<Self>() + self.0.size()
    }
}
