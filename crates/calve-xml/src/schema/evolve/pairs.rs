//! Which column of new data is which of the contract.

use std::collections::HashMap;

use arrow::datatypes::{Field, Fields};

/// For each field of the contract, the one of the data that is it, by number.
///
/// Those whose `key` is the same are the same. Two of one side may have one key, where an element is called like a
/// column that the reader itself fills: of these, those with the same name come first.
pub(super) fn pairs<'f>(
    contract: &'f Fields,
    observed: &'f Fields,
    key: impl Fn(&'f Field) -> &'f str,
) -> Vec<Option<usize>> {
    let mut left: HashMap<&str, Vec<usize>> = HashMap::new();
    for (field, at) in observed.iter().zip(0..) {
        left.entry(key(field)).or_default().push(at);
    }
    let mut take = |field: &'f Field, is_it: &dyn Fn(usize) -> bool| {
        let candidates = left.get_mut(key(field))?;
        let at = candidates.iter().position(|at| is_it(*at))?;
        Some(candidates.remove(at))
    };
    let mut pairs = Vec::with_capacity(contract.len());
    for field in contract {
        let name = field.name();
        pairs.push(take(field, &|at| observed[at].name() == name));
    }
    for (field, pair) in contract.iter().zip(&mut pairs) {
        *pair = pair.or_else(|| take(field, &|_| true));
    }
    pairs
}
