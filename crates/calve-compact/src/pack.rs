//! Packing of files into groups, in their order (Iceberg's `ListPacker` with a lookback of one).

/// Cuts a list into groups of at most so many bytes and items. An item that is larger than a group makes one
/// of its own.
pub(crate) fn pack<T>(
    items: Vec<T>,
    size: impl Fn(&T) -> u64,
    most_bytes: u64,
    most_items: usize,
) -> Vec<Vec<T>> {
    let mut groups = Vec::new();
    let mut open: Vec<T> = Vec::new();
    let mut bytes = 0_u64;
    for item in items {
        let more = size(&item);
        let is_full = bytes.saturating_add(more) > most_bytes || open.len() >= most_items;
        if is_full && !open.is_empty() {
            groups.push(std::mem::take(&mut open));
            bytes = 0;
        }
        bytes = bytes.saturating_add(more);
        open.push(item);
    }
    if !open.is_empty() {
        groups.push(open);
    }
    groups
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn groups_are_as_full_as_they_may_be() {
        let packed = pack(vec![4, 3, 3, 9, 12, 1], |size| *size, 10, usize::MAX);
        assert_eq!(packed, [vec![4, 3, 3], vec![9], vec![12], vec![1]]);
        let packed = pack(vec![1, 1, 1, 1, 1], |size| *size, 10, 2);
        assert_eq!(packed, [vec![1, 1], vec![1, 1], vec![1]]);
        assert_eq!(pack(Vec::<u64>::new(), |size| *size, 10, 2).len(), 0);
    }

    proptest! {
        #[test]
        fn nothing_is_lost_and_the_order_stays(
            items in prop::collection::vec(0_u64..100, 0..50),
            bytes in 1_u64..200,
            count in 1_usize..9,
        ) {
            let packed = pack(items.clone(), |size| *size, bytes, count);
            for group in &packed {
                prop_assert!(group.len() == 1 || group.iter().sum::<u64>() <= bytes);
                prop_assert!(!group.is_empty() && group.len() <= count);
            }
            prop_assert_eq!(packed.concat(), items);
        }
    }
}
