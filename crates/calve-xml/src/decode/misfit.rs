//! Values that do not fit the types of their columns, counted by column.

use std::collections::BTreeMap;

use crate::Place;
use crate::types::number::decimal_digits;

use super::quoted;

/// The values of one column that did not fit its type.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Misfit {
    /// How many.
    pub count: u64,
    /// What the column holds, in the words of errors.
    pub expected: String,
    /// The first of them, shortened where it is long.
    pub first_text: String,
    /// The row that it is in.
    pub first_place: Place,
    /// The digits that a decimal needs to hold all of them; none where one is no plain number.
    pub digits: Option<Digits>,
}

/// How many digits numbers have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub struct Digits {
    /// The most before the point.
    pub whole: u8,
    /// The most behind it.
    pub fraction: u8,
}

impl Digits {
    /// Those of a plain decimal number.
    fn of(text: &str) -> Option<Self> {
        let (whole, fraction) = decimal_digits(text.as_bytes())?;
        Some(Self { whole, fraction })
    }

    fn union(self, other: Self) -> Self {
        Self {
            whole: self.whole.max(other.whole),
            fraction: self.fraction.max(other.fraction),
        }
    }
}

impl Misfit {
    /// Takes in others of the same column, which come later in the text.
    fn add(&mut self, count: u64, digits: Option<Digits>) {
        self.count += count;
        let both = self.digits.zip(digits);
        self.digits = both.map(|(mine, theirs)| mine.union(theirs));
    }
}

/// What does not fit of the row that is being read, by column.
#[derive(Debug, Default)]
pub(crate) struct RowMisfits {
    count: u64,
    columns: BTreeMap<String, Misfit>,
}

impl RowMisfits {
    /// How many values there are.
    pub(super) fn count(&self) -> u64 {
        self.count
    }

    pub(super) fn add(&mut self, column: &str, text: &str, expected: &str) {
        self.count += 1;
        let digits = Digits::of(text);
        if let Some(known) = self.columns.get_mut(column) {
            known.add(1, digits);
            return;
        }
        let misfit = Misfit {
            count: 1,
            expected: expected.to_owned(),
            first_text: quoted(text),
            first_place: Place::default(),
            digits,
        };
        self.columns.insert(column.to_owned(), misfit);
    }

    pub(super) fn clear(&mut self) {
        self.count = 0;
        self.columns.clear();
    }

    /// Adds all to those of their columns, now that it is known where the row is.
    pub(super) fn move_to(&mut self, columns: &mut BTreeMap<String, Misfit>, place: &Place) {
        self.count = 0;
        for (column, mut misfit) in std::mem::take(&mut self.columns) {
            misfit.first_place = place.clone();
            add(columns, column, misfit);
        }
    }
}

/// Adds misfits of a column to those that were seen before.
pub(crate) fn add(columns: &mut BTreeMap<String, Misfit>, column: String, misfit: Misfit) {
    match columns.get_mut(&column) {
        Some(known) => known.add(misfit.count, misfit.digits),
        None => {
            columns.insert(column, misfit);
        }
    }
}
