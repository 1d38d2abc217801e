//! What is wrong with the names and ids of a schema as a whole.

use std::collections::{HashMap, HashSet};

use super::{FileField, walk};
use crate::policy::{Finding, FindingCode, Severity};

/// The first field id that Iceberg reserves for metadata columns.
const FIRST_RESERVED_ID: i32 = i32::MAX - 200;

/// Adds findings about names and ids.
pub(super) fn check(fields: &[FileField], findings: &mut Vec<Finding>) {
    check_names(fields, findings);
    // An element that is its own list has no place for an id.
    let without_place: HashSet<String> = findings
        .iter()
        .filter(|finding| finding.code == FindingCode::UnannotatedRepeated)
        .map(|finding| format!("{}.element", finding.column))
        .collect();
    check_ids(fields, &without_place, findings);
}

/// Two columns of one path make an Iceberg schema ambiguous, also where a dot in a name makes them so;
/// two spellings make it ambiguous for readers that ignore case.
fn check_names(fields: &[FileField], findings: &mut Vec<Finding>) {
    let mut seen: HashMap<String, String> = HashMap::new();
    for path in paths(fields) {
        let Some(first) = seen.get(&path.to_lowercase()) else {
            seen.insert(path.to_lowercase(), path);
            continue;
        };
        let (code, message) = if *first == path {
            (
                FindingCode::DuplicateName,
                format!("the file has two columns `{path}`; `ctas` can select one"),
            )
        } else {
            (
                FindingCode::AmbiguousCase,
                format!(
                    "`{first}` and `{path}` differ only in case, and Hive, Glue and Athena ignore it; `ctas` can rename one"
                ),
            )
        };
        findings.push(refused(code, path, message));
    }
}

/// The full path of every field, parents first.
fn paths(fields: &[FileField]) -> Vec<String> {
    fn collect(fields: &[&FileField], parent: &str, paths: &mut Vec<String>) {
        for field in fields {
            let path = if parent.is_empty() {
                field.name.clone()
            } else {
                format!("{parent}.{}", field.name)
            };
            paths.push(path.clone());
            collect(&field.kind.children(), &path, paths);
        }
    }
    let mut found = Vec::new();
    collect(&fields.iter().collect::<Vec<_>>(), "", &mut found);
    found
}

fn check_ids(fields: &[FileField], without_place: &HashSet<String>, findings: &mut Vec<Finding>) {
    let mut columns: Vec<(&FileField, String)> = Vec::new();
    walk(fields, &mut |field| columns.push((field, String::new())));
    for ((_, path), found) in columns.iter_mut().zip(paths(fields)) {
        *path = found;
    }
    if columns.iter().all(|(field, _)| field.field_id.is_none()) {
        return;
    }
    let mut seen: HashMap<i32, String> = HashMap::new();
    let mut without = Vec::new();
    for (field, path) in columns {
        let Some(id) = field.field_id else {
            if !without_place.contains(&path) {
                without.push(path);
            }
            continue;
        };
        if !(0..FIRST_RESERVED_ID).contains(&id) {
            findings.push(refused(
                FindingCode::ReservedId,
                path.clone(),
                format!("`{path}` has field id {id}, which no column of a table can have; `ctas` gives new ids"),
            ));
        } else if let Some(first) = seen.get(&id) {
            findings.push(refused(
                FindingCode::DuplicateId,
                path.clone(),
                format!("`{first}` and `{path}` both have field id {id}; `ctas` gives new ids"),
            ));
        }
        seen.insert(id, path);
    }
    if let Some(first) = without.first() {
        findings.push(refused(
            FindingCode::MixedIds,
            first.clone(),
            format!(
                "{} of the columns have no field id (`{first}` is the first) while others have one, and readers take such files in different ways; `ctas` gives new ids",
                without.len()
            ),
        ));
    }
}

fn refused(code: FindingCode, column: String, message: String) -> Finding {
    Finding {
        severity: Severity::Refused,
        code,
        column,
        message,
    }
}
