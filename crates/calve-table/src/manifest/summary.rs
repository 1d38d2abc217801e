use std::cmp::Ordering;

use iceberg::spec::{FieldSummary, PrimitiveLiteral};

use super::value::{compare, single_value};

/// What a manifest list says of one partition field of a manifest.
#[derive(Debug, Default, Clone)]
pub(super) struct FieldRange {
    contains_null: bool,
    contains_nan: bool,
    lower: Option<PrimitiveLiteral>,
    upper: Option<PrimitiveLiteral>,
}

impl FieldRange {
    /// Takes in the value of one file. Nulls and NaNs are in no bound.
    pub(super) fn update(&mut self, value: Option<&PrimitiveLiteral>) {
        let Some(value) = value else {
            self.contains_null = true;
            return;
        };
        if value.is_nan() {
            self.contains_nan = true;
            return;
        }
        let outside = |bound: &Option<PrimitiveLiteral>, side| {
            bound
                .as_ref()
                .is_none_or(|bound| compare(value, bound) == side)
        };
        if outside(&self.lower, Ordering::Less) {
            self.lower = Some(value.clone());
        }
        if outside(&self.upper, Ordering::Greater) {
            self.upper = Some(value.clone());
        }
    }

    pub(super) fn finish(&self) -> FieldSummary {
        let bytes = |bound: &Option<PrimitiveLiteral>| {
            let bound = bound.as_ref()?;
            Some(single_value(bound).into())
        };
        FieldSummary {
            contains_null: self.contains_null,
            contains_nan: Some(self.contains_nan),
            lower_bound: bytes(&self.lower),
            upper_bound: bytes(&self.upper),
        }
    }
}
