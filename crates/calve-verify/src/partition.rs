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
