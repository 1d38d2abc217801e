//! Which partitions can be added whole, found while their files pass by.

use std::sync::Arc;

use calve_lake::hive_path::NULL_PARTITION;
use iceberg::spec::{Literal, Type};
use serde_json::Value;

use super::census::Fate;
use super::report::{Amount, Excepted, Partition};
use crate::REPORT_LIST_LIMIT;

/// How many partitions are named in commands at the most.
const NAMED_LIMIT: usize = 8;
/// How many values of the first key are told apart.
const HEADS_LIMIT: usize = 256;

type Values = Arc<[Option<Literal>]>;

/// Follows the partitions. The files of one come one after another, as the lake lists them.
#[derive(Debug, Default)]
pub(super) struct Partitions {
    open: Option<Open>,
    except: Amount,
    except_count: u64,
    mixed_count: u64,
    excepted: Vec<Values>,
    /// The first partitions without a refused file, one more than can be named.
    whole: Vec<Values>,
    /// The first values of the first key, one more than are told apart.
    heads: Vec<Head>,
}

/// A partition whose files are passing by.
#[derive(Debug)]
struct Open {
    values: Values,
    all: Amount,
    stays: u64,
    refused: u64,
}

/// A value of the first key.
#[derive(Debug)]
struct Head {
    value: Option<Literal>,
    has_whole: bool,
    has_refused: bool,
}

impl Partitions {
    pub(super) fn take(&mut self, values: &Values, bytes: u64, fate: Fate) {
        if values.is_empty() {
            return;
        }
        if self
            .open
            .as_ref()
            .is_some_and(|open| open.values != *values)
        {
            self.close();
        }
        let open = self.open.get_or_insert_with(|| Open {
            values: Arc::clone(values),
            all: Amount::default(),
            stays: 0,
            refused: 0,
        });
        open.all.add(bytes);
        match fate {
            Fate::Stays => open.stays += 1,
            Fate::NoRows => {}
            Fate::Refused => open.refused += 1,
        }
    }

    fn close(&mut self) {
        let Some(open) = self.open.take() else {
            return;
        };
        let is_whole = open.refused == 0;
        self.take_head(open.values[0].as_ref(), is_whole);
        if is_whole {
            if self.whole.len() <= NAMED_LIMIT && !self.whole.contains(&open.values) {
                self.whole.push(open.values);
            }
            return;
        }
        self.except.files += open.all.files;
        self.except.bytes += open.all.bytes;
        // Two folders may have the same values, so that their partition comes twice.
        if !self.excepted.contains(&open.values) {
            self.except_count += 1;
            self.mixed_count += u64::from(open.stays > 0);
            if self.excepted.len() < REPORT_LIST_LIMIT {
                self.excepted.push(open.values);
            }
        }
    }

    fn take_head(&mut self, value: Option<&Literal>, is_whole: bool) {
        let mut heads = self.heads.iter_mut();
        if let Some(head) = heads.find(|head| head.value.as_ref() == value) {
            head.has_whole |= is_whole;
            head.has_refused |= !is_whole;
        } else if self.heads.len() <= HEADS_LIMIT {
            self.heads.push(Head {
                value: value.cloned(),
                has_whole: is_whole,
                has_refused: !is_whole,
            });
        }
    }

    /// What was found, with the values of keys of these types as text.
    pub(super) fn finish(mut self, types: &[Type]) -> Excepted {
        self.close();
        let named = |values: &[Option<Literal>]| Partition {
            values: values.iter().zip(types).map(text).collect(),
        };
        Excepted {
            partitions_count: self.except_count,
            amount: self.except,
            mixed_partitions_count: self.mixed_count,
            partitions: self.excepted.iter().map(|it| named(it)).collect(),
            others: self.others().into_iter().map(named).collect(),
        }
    }

    /// The partitions that can be added whole, by the first key where that is enough to tell them, else by
    /// all keys; nothing where they are many.
    fn others(&self) -> Vec<&[Option<Literal>]> {
        let are_split = self.heads.iter().all(|it| it.has_whole != it.has_refused);
        let whole_heads: Vec<_> = self.heads.iter().filter(|it| it.has_whole).collect();
        if self.except_count == 0 {
            Vec::new()
        } else if are_split && self.heads.len() <= HEADS_LIMIT && whole_heads.len() <= NAMED_LIMIT {
            let heads = whole_heads.into_iter();
            heads.map(|it| std::slice::from_ref(&it.value)).collect()
        } else if self.whole.len() <= NAMED_LIMIT {
            self.whole.iter().map(|it| &it[..]).collect()
        } else {
            Vec::new()
        }
    }
}

/// A partition value as text.
fn text((value, of): (&Option<Literal>, &Type)) -> Option<String> {
    let value = value.clone()?;
    Some(match value.try_into_json(of) {
        Ok(Value::String(text)) => text,
        Ok(other) => other.to_string(),
        Err(_) => NULL_PARTITION.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use iceberg::spec::PrimitiveType;

    use super::*;

    /// Files as `year/month fate`, in the order of a listing, with a fate `s`tays, `n`o rows or `r`efused.
    #[track_caller]
    fn check(files: &[&str], excepted: &str, others: &str) {
        let mut partitions = Partitions::default();
        for file in files {
            let (values, fate) = file.split_once(' ').unwrap();
            let (year, month) = values.split_once('/').unwrap();
            let values = [Some(Literal::string(year)), Some(Literal::string(month))];
            let fate = match fate {
                "s" => Fate::Stays,
                "n" => Fate::NoRows,
                _ => Fate::Refused,
            };
            partitions.take(&Arc::from(values), 10, fate);
        }
        let string = Type::Primitive(PrimitiveType::String);
        let found = partitions.finish(&[string.clone(), string]);
        let line = |partitions: &[Partition]| {
            let one = |it: &Partition| {
                let values = it.values.iter().map(|it| it.as_deref().unwrap_or("null"));
                values.collect::<Vec<_>>().join("/")
            };
            partitions.iter().map(one).collect::<Vec<_>>().join(" ")
        };
        let mixed = match found.mixed_partitions_count {
            0 => String::new(),
            count => format!(", {count} mixed"),
        };
        assert_eq!(format!("{}{mixed}", line(&found.partitions)), excepted);
        assert_eq!(line(&found.others), others);
    }

    #[test]
    fn partitions_with_refused_files() {
        check(&["1/1 s", "1/1 s", "1/2 n", "2/1 s"], "", "");
        check(&["1/1 s", "1/2 s", "2/1 r", "2/2 r"], "2/1 2/2", "1");
        check(&["1/1 s", "1/2 r", "2/1 s"], "1/2", "1/1 2/1");
        check(&["1/1 s", "1/1 r", "1/1 s"], "1/1, 1 mixed", "");
        check(&["1/1 r", "1/1 n"], "1/1", "");
        let many: Vec<String> = (0..20).map(|it| format!("{it}/1 s")).collect();
        let mut many: Vec<&str> = many.iter().map(String::as_str).collect();
        many.push("99/1 r");
        check(&many, "99/1", "");
    }

    #[test]
    fn values_as_text() {
        let check = |value, of, expected: Option<&str>| {
            assert_eq!(text((&value, &Type::Primitive(of))).as_deref(), expected);
        };
        check(
            Some(Literal::date(19725)),
            PrimitiveType::Date,
            Some("2024-01-03"),
        );
        check(Some(Literal::int(7)), PrimitiveType::Int, Some("7"));
        check(None, PrimitiveType::Int, None);
    }
}
