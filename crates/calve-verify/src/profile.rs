//! What is kept of a column in a partition: a few numbers that do not depend on the order of rows.

use arrow::datatypes::i256;
use datafusion::error::{DataFusionError, Result};

use crate::canonical::{Cells, Measure};

/// How many bytes of the least and the greatest text are kept. Cutting keeps their order, so sides
/// with the same values still have the same bounds.
pub(crate) const BOUND_BYTES: usize = 64;

/// Statistics of the rows of a group.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Profiles {
    pub(crate) columns: Box<[Profile]>,
    /// The wrapping sum of the hashes of all rows.
    pub(crate) row_checksum: u128,
}

/// Statistics of the cells of a column.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Profile {
    pub(crate) nulls: u64,
    pub(crate) values: u64,
    pub(crate) nans: u64,
    /// Bytes of texts and binaries, entries of lists and maps.
    pub(crate) length: u64,
    /// Numbers without their scale; true counts as one.
    pub(crate) sum: i256,
    pub(crate) minimum: Option<Bound>,
    pub(crate) maximum: Option<Bound>,
    /// The wrapping sum of the hashes of all cells.
    pub(crate) checksum: u128,
}

/// The least or the greatest value of a column.
#[derive(Debug, Clone, PartialEq, PartialOrd)]
pub(crate) enum Bound {
    /// A number without its scale, a truth value, or a time in ticks.
    Number(i256),
    /// A float that is not NaN.
    Float(f64),
    /// The first [`BOUND_BYTES`] bytes.
    Bytes(Box<[u8]>),
}

impl Profiles {
    pub(crate) fn new(columns: usize) -> Self {
        Self {
            columns: vec![Profile::default(); columns].into(),
            row_checksum: 0,
        }
    }

    /// Counts in what another part of the rows came to.
    pub(crate) fn merge(&mut self, other: Self) {
        self.row_checksum = self.row_checksum.wrapping_add(other.row_checksum);
        for (own, other) in self.columns.iter_mut().zip(other.columns) {
            own.merge(other);
        }
    }

    /// What it takes on the heap.
    pub(crate) fn heap_bytes(&self) -> usize {
        let bounds: usize = self.columns.iter().map(Profile::heap_bytes).sum();
        bounds + size_of::<Profile>() * self.columns.len()
    }

    /// Writes it down, for other threads and for spilled state.
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let mut out = self.row_checksum.to_le_bytes().to_vec();
        for column in &self.columns {
            column.write(&mut out);
        }
        out
    }

    /// Reads back what [`Self::to_bytes`] wrote.
    pub(crate) fn from_bytes(mut bytes: &[u8]) -> Result<Self> {
        let row_checksum = u128::from_le_bytes(take(&mut bytes)?);
        let mut columns = Vec::new();
        while !bytes.is_empty() {
            columns.push(Profile::read(&mut bytes)?);
        }
        Ok(Self {
            columns: columns.into(),
            row_checksum,
        })
    }
}

impl Profile {
    /// Counts a cell with this hash in.
    pub(crate) fn add(&mut self, cells: &Cells, row: usize, hash: u128) {
        self.checksum = self.checksum.wrapping_add(hash);
        if cells.is_null(row) {
            self.nulls += 1;
            return;
        }
        self.values += 1;
        match cells.measure(row) {
            Measure::Number(number) => {
                self.sum = self.sum.wrapping_add(number);
                self.bound(Bound::Number(number));
            }
            Measure::Float(float) if float.is_nan() => self.nans += 1,
            // Adding zero makes a negative zero positive.
            Measure::Float(float) => self.bound(Bound::Float(float + 0.0)),
            Measure::Time(ticks) => self.bound(Bound::Number(i256::from_i128(ticks))),
            Measure::Bytes(bytes) => {
                self.length = self.length.wrapping_add(bytes.len() as u64);
                self.bound_bytes(&bytes[..bytes.len().min(BOUND_BYTES)]);
            }
            Measure::Entries(entries) => self.length = self.length.wrapping_add(entries as u64),
            Measure::Struct => {}
        }
    }

    /// Counts cells in of which nothing but their hashes is known, and how many of them are null.
    pub(crate) fn add_hashes(&mut self, hashes: &[u128], nulls: usize) {
        let sum = hashes
            .iter()
            .fold(0_u128, |sum, hash| sum.wrapping_add(*hash));
        self.checksum = self.checksum.wrapping_add(sum);
        self.nulls += nulls as u64;
        self.values += (hashes.len() - nulls) as u64;
    }

    /// Counts in what another part of the rows came to.
    pub(crate) fn merge(&mut self, other: Self) {
        self.nulls += other.nulls;
        self.values += other.values;
        self.nans += other.nans;
        self.length = self.length.wrapping_add(other.length);
        self.sum = self.sum.wrapping_add(other.sum);
        self.checksum = self.checksum.wrapping_add(other.checksum);
        for bound in [other.minimum, other.maximum].into_iter().flatten() {
            self.bound(bound);
        }
    }

    fn bound(&mut self, value: Bound) {
        if self.maximum.as_ref().is_none_or(|maximum| value > *maximum) {
            self.maximum = Some(value.clone());
        }
        if self.minimum.as_ref().is_none_or(|minimum| value < *minimum) {
            self.minimum = Some(value);
        }
    }

    /// As [`Self::bound`], copying only what is kept.
    fn bound_bytes(&mut self, value: &[u8]) {
        let is_new = |bound: &Option<Bound>, order| match bound {
            Some(Bound::Bytes(bytes)) => value.cmp(bytes) == order,
            _ => true,
        };
        if is_new(&self.maximum, std::cmp::Ordering::Greater) {
            self.maximum = Some(Bound::Bytes(value.into()));
        }
        if is_new(&self.minimum, std::cmp::Ordering::Less) {
            self.minimum = Some(Bound::Bytes(value.into()));
        }
    }

    /// What it takes on the heap.
    pub(crate) fn heap_bytes(&self) -> usize {
        [&self.minimum, &self.maximum]
            .into_iter()
            .map(|bound| match bound {
                Some(Bound::Bytes(bytes)) => bytes.len(),
                _ => 0,
            })
            .sum()
    }

    fn write(&self, out: &mut Vec<u8>) {
        for number in [self.nulls, self.values, self.nans, self.length] {
            out.extend_from_slice(&number.to_le_bytes());
        }
        out.extend_from_slice(&self.sum.to_le_bytes());
        out.extend_from_slice(&self.checksum.to_le_bytes());
        for bound in [&self.minimum, &self.maximum] {
            match bound {
                None => out.push(0),
                Some(Bound::Number(number)) => {
                    out.push(1);
                    out.extend_from_slice(&number.to_le_bytes());
                }
                Some(Bound::Float(float)) => {
                    out.push(2);
                    out.extend_from_slice(&float.to_le_bytes());
                }
                Some(Bound::Bytes(bytes)) => {
                    out.push(3);
                    out.push(u8::try_from(bytes.len()).unwrap_or(u8::MAX));
                    out.extend_from_slice(bytes);
                }
            }
        }
    }

    /// Reads back what [`Self::write`] wrote.
    fn read(input: &mut &[u8]) -> Result<Self> {
        Ok(Self {
            nulls: u64::from_le_bytes(take(input)?),
            values: u64::from_le_bytes(take(input)?),
            nans: u64::from_le_bytes(take(input)?),
            length: u64::from_le_bytes(take(input)?),
            sum: i256::from_le_bytes(take(input)?),
            checksum: u128::from_le_bytes(take(input)?),
            minimum: take_bound(input)?,
            maximum: take_bound(input)?,
        })
    }
}

fn take_bound(input: &mut &[u8]) -> Result<Option<Bound>> {
    let [kind] = take(input)?;
    Ok(match kind {
        0 => None,
        1 => Some(Bound::Number(i256::from_le_bytes(take(input)?))),
        2 => Some(Bound::Float(f64::from_le_bytes(take(input)?))),
        _ => {
            let [length] = take(input)?;
            let (bytes, rest) = input
                .split_at_checked(length.into())
                .ok_or_else(cut_short)?;
            *input = rest;
            Some(Bound::Bytes(bytes.into()))
        }
    })
}

fn take<const N: usize>(input: &mut &[u8]) -> Result<[u8; N]> {
    let (taken, rest) = input.split_first_chunk::<N>().ok_or_else(cut_short)?;
    *input = rest;
    Ok(*taken)
}

fn cut_short() -> DataFusionError {
    DataFusionError::Internal("the profile of a partition is cut short".to_owned())
}
