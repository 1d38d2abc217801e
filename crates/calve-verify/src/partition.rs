use std::cmp::Ordering;
use std::fmt;

use serde::{Serialize, Serializer};

/// The values of a partition, as people write them; nothing for a table without partitions.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Partition(Vec<(String, Option<String>)>);

impl Partition {
    pub(crate) fn new(keys: &[String], values: &[Value]) -> Self {
        let values = values.iter().map(|value| value.0.clone());
        Self(keys.iter().cloned().zip(values).collect())
    }

    /// The keys with their values; `None` is null.
    pub fn values(&self) -> &[(String, Option<String>)] {
        &self.0
    }
}

impl fmt::Display for Partition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (key, value)) in self.0.iter().enumerate() {
            let separator = if index == 0 { "" } else { "/" };
            match value {
                Some(value) => write!(f, "{separator}{key}={value}")?,
                None => write!(f, "{separator}{key} is null")?,
            }
        }
        Ok(())
    }
}

impl Serialize for Partition {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(key, value)| (key, value)))
    }
}

/// One value of a partition, ordered as people expect it: null, whole numbers, then the rest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Value(pub(crate) Option<String>);

impl Value {
    fn rank(&self) -> (u8, i128, &str) {
        match &self.0 {
            None => (0, 0, ""),
            Some(text) => match text.parse() {
                Ok(number) => (1, number, text),
                Err(_) => (2, 0, text),
            },
        }
    }
}

impl Ord for Value {
    fn cmp(&self, other: &Self) -> Ordering {
        self.rank().cmp(&other.rank())
    }
}

impl PartialOrd for Value {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_ordered_for_people() {
        let mut values = [Some("b"), Some("10"), None, Some("9"), Some("09"), Some("")]
            .map(|value| Value(value.map(ToOwned::to_owned)));
        values.sort();
        let sorted: Vec<_> = values.iter().map(|value| value.0.as_deref()).collect();
        assert_eq!(
            sorted,
            [None, Some("09"), Some("9"), Some("10"), Some(""), Some("b")]
        );
    }

    #[test]
    fn partitions_are_written_as_folders_are() {
        let keys = ["y".to_owned(), "k".to_owned()];
        let partition = Partition::new(&keys, &[Value(Some("2024".to_owned())), Value(None)]);
        assert_eq!(partition.to_string(), "y=2024/k is null");
        assert_eq!(
            serde_json::to_string(&partition).unwrap(),
            r#"{"y":"2024","k":null}"#
        );
    }
}
