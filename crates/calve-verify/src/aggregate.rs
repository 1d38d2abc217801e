//! The DataFusion aggregate that makes [`Profiles`], one for each group of rows.

use std::mem::size_of;
use std::ops::Range;
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
use crate::hash::{Factor, hash_cells_into, row_hash};
use crate::profile::Profiles;

/// How many rows are hashed at a time: the hashes of a column and the sums of rows stay in the cache nearest to a core.
const BLOCK_ROWS: usize = 512;

/// How a column is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Look {
    /// How finely its times are told apart.
    pub(crate) ticks: Ticks,
    /// Whether its cells count in the checksum of rows.
    pub(crate) in_rows: bool,
}

/// What is found out about each column.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Depth {
    /// How many nulls it has, and its checksum.
    Checksums,
    /// All that [`crate::profile::Profile`] has room for.
    Statistics,
    /// The same without checksums: what other engines can say, too.
    Plain,
}

/// `calve_profile(column, …)`: a binary that [`Profiles::from_bytes`] reads.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(crate) struct ProfileFunction {
    signature: Signature,
    looks: Arc<[Look]>,
    depth: Depth,
}

impl ProfileFunction {
    /// A function of as many columns as there are ways to look at them.
    pub(crate) fn new(looks: Vec<Look>, depth: Depth) -> Self {
        Self {
            signature: Signature::any(looks.len(), Volatility::Immutable),
            looks: looks.into(),
            depth,
        }
    }

    fn groups(&self) -> Groups {
        Groups {
            looks: Arc::clone(&self.looks),
            depth: self.depth,
            profiles: Vec::new(),
            heap_bytes: 0,
            cells: Vec::new(),
            rows: Vec::new(),
            runs: Vec::new(),
        }
    }
}

impl AggregateUDFImpl for ProfileFunction {
    fn name(&self) -> &'static str {
        "calve_profile"
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
        Ok(Box::new(OneGroup(self.groups())))
    }

    fn groups_accumulator_supported(&self, _args: AccumulatorArgs) -> bool {
        true
    }

    fn create_groups_accumulator(
        &self,
        _args: AccumulatorArgs,
    ) -> Result<Box<dyn GroupsAccumulator>> {
        Ok(Box::new(self.groups()))
    }
}

/// The profiles of all groups.
#[derive(Debug)]
struct Groups {
    looks: Arc<[Look]>,
    depth: Depth,
    profiles: Vec<Profiles>,
    heap_bytes: usize,
    /// Room for the hashes of the cells of one column.
    cells: Vec<u128>,
    /// Room for the sums of the hashes of the cells of each row.
    rows: Vec<u128>,
    /// Room for the groups of rows that follow each other: a file often belongs to one partition.
    runs: Vec<(usize, Range<usize>)>,
}

impl Groups {
    fn grow(&mut self, total: usize) {
        if self.profiles.len() < total {
            let empty = Profiles::new(self.looks.len());
            self.heap_bytes += (total - self.profiles.len()) * empty.heap_bytes();
            self.profiles.resize(total, empty);
        }
    }

    /// Counts in the cells of a column, whose hashes are there.
    fn add_checksums(&mut self, index: usize, array: &ArrayRef, filter: Option<&BooleanArray>) {
        let nulls = array.logical_nulls();
        for (group, rows) in &self.runs {
            let profile = &mut self.profiles[*group].columns[index];
            if filter.is_none() {
                let nulls = nulls.as_ref().map_or(0, |nulls| {
                    let valid = nulls.inner().slice(rows.start, rows.len());
                    rows.len() - valid.count_set_bits()
                });
                profile.add_hashes(&self.cells[rows.clone()], nulls);
                continue;
            }
            for row in rows.clone().filter(|row| is_wanted(filter, *row)) {
                let is_null = nulls.as_ref().is_some_and(|nulls| nulls.is_null(row));
                profile.add_hashes(&self.cells[row..=row], usize::from(is_null));
            }
        }
    }

    fn add_statistics(&mut self, index: usize, cells: &Cells, filter: Option<&BooleanArray>) {
        for (group, rows) in &self.runs {
            let profile = &mut self.profiles[*group].columns[index];
            let before = profile.heap_bytes();
            for row in rows.clone().filter(|row| is_wanted(filter, *row)) {
                profile.add(cells, row, self.cells[row]);
            }
            self.heap_bytes = self.heap_bytes + profile.heap_bytes() - before;
        }
    }

    /// Counts in rows, no more than fit into the cache.
    fn update_block(
        &mut self,
        values: &[ArrayRef],
        group_indices: &[usize],
        filter: Option<&BooleanArray>,
    ) -> Result<()> {
        self.rows.clear();
        self.rows.resize(group_indices.len(), 0);
        self.runs.clear();
        let mut start = 0;
        for run in group_indices.chunk_by(|one, other| one == other) {
            self.runs.push((run[0], start..start + run.len()));
            start += run.len();
        }
        let looks = Arc::clone(&self.looks);
        let mut index_in_rows = 0;
        for (index, (array, look)) in values.iter().zip(looks.iter()).enumerate() {
            hash_cells_into(array, look.ticks, &mut self.cells)?;
            if look.in_rows {
                // A place among those that count in rows, which both sides share.
                let factor = Factor::of(index_in_rows);
                index_in_rows += 1;
                for (row, cell) in self.rows.iter_mut().zip(&self.cells) {
                    factor.add(row, *cell);
                }
            }
            match self.depth {
                Depth::Checksums => self.add_checksums(index, array, filter),
                Depth::Statistics | Depth::Plain => {
                    self.add_statistics(index, &Cells::new(array, look.ticks)?, filter);
                }
            }
        }
        for (group, rows) in &self.runs {
            let wanted = rows.clone().filter(|row| is_wanted(filter, *row));
            let sum = wanted.fold(0_u128, |sum, row| {
                sum.wrapping_add(row_hash(self.rows[row]))
            });
            let checksum = &mut self.profiles[*group].row_checksum;
            *checksum = checksum.wrapping_add(sum);
        }
        Ok(())
    }

    fn emit(&mut self, emit_to: EmitTo) -> ArrayRef {
        let taken = emit_to.take_needed(&mut self.profiles);
        self.heap_bytes = self.profiles.iter().map(Profiles::heap_bytes).sum();
        Arc::new(BinaryArray::from_iter_values(
            taken.iter().map(Profiles::to_bytes),
        ))
    }
}

impl GroupsAccumulator for Groups {
    fn update_batch(
        &mut self,
        values: &[ArrayRef],
        group_indices: &[usize],
        filter: Option<&BooleanArray>,
        total_num_groups: usize,
    ) -> Result<()> {
        self.grow(total_num_groups);
        if values.is_empty() {
            return Ok(());
        }
        let mut block = Vec::with_capacity(values.len());
        for start in (0..group_indices.len()).step_by(BLOCK_ROWS) {
            let rows = BLOCK_ROWS.min(group_indices.len() - start);
            block.clear();
            block.extend(values.iter().map(|array| array.slice(start, rows)));
            let filter = filter.map(|filter| filter.slice(start, rows));
            self.update_block(&block, &group_indices[start..start + rows], filter.as_ref())?;
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
                let other = Profiles::from_bytes(states.value(row))?;
                let profiles = &mut self.profiles[*group];
                let before = profiles.heap_bytes();
                profiles.merge(other);
                self.heap_bytes = self.heap_bytes + profiles.heap_bytes() - before;
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
        let room = (self.cells.capacity() + self.rows.capacity()) * size_of::<u128>();
        self.profiles.capacity() * size_of::<Profiles>() + self.heap_bytes + room
    }
}

fn is_wanted(filter: Option<&BooleanArray>, row: usize) -> bool {
    filter.is_none_or(|filter| filter.is_valid(row) && filter.value(row))
}

/// The profiles of all rows together.
#[derive(Debug)]
struct OneGroup(Groups);

impl OneGroup {
    fn value(&mut self) -> ScalarValue {
        self.0.grow(1);
        ScalarValue::Binary(Some(self.0.profiles[0].to_bytes()))
    }
}

impl Accumulator for OneGroup {
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
