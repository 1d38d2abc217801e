//! Mappings as they are written down.

use serde_json::Value;

use super::{Entry, Kind};
use crate::field_path::Step;
use crate::schema::ddl::parse_typed;
use crate::schema::types::Typed;
use crate::{Error, FieldPath, Result};

/// An error in one tuple, counted from 0.
pub(super) fn error(at: usize, problem: impl Into<String>) -> Error {
    Error::Mapping {
        entry: Some(at + 1),
        problem: problem.into(),
    }
}

/// The tuples of a mapping.
pub(super) fn entries(text: &str) -> Result<Vec<Entry>> {
    let whole = |problem: String| Error::Mapping {
        entry: None,
        problem,
    };
    let value: Value = serde_json::from_str(text.trim_start_matches('\u{feff}')).map_err(|it| {
        whole(format!(
            "is no JSON (line {}, column {})",
            it.line(),
            it.column()
        ))
    })?;
    let list = value
        .as_array()
        .or_else(|| {
            value
                .get("Mapping")
                .or_else(|| value.get("mappings"))?
                .as_array()
        })
        .ok_or_else(|| whole("is no list of tuples".to_owned()))?;
    let mut entries = Vec::with_capacity(list.len());
    for (at, value) in list.iter().enumerate() {
        let entry = match value {
            Value::Array(tuple) => tuple_entry(tuple, at).map(Some),
            Value::Object(_) if value.get("ToKey").is_some() || value.get("FromPath").is_some() => {
                glue_entry(value, at)
            }
            Value::Object(_) => object_entry(value, at).map(Some),
            _ => Err(error(at, "is neither a list nor an object")),
        };
        entries.extend(entry?);
    }
    if entries.is_empty() {
        return Err(whole("maps no column".to_owned()));
    }
    Ok(entries)
}

/// The four parts of a tuple, as far as they are written.
struct Parts<'a> {
    source: FieldPath,
    source_type: Option<&'a str>,
    target: FieldPath,
    target_type: Option<&'a str>,
}

fn tuple_entry(tuple: &[Value], at: usize) -> Result<Entry> {
    let texts: Option<Vec<&str>> = tuple.iter().map(Value::as_str).collect();
    let (source, source_type, target, target_type) = match texts.as_deref() {
        Some([source, target]) => (source, None, target, None),
        Some([source, source_type, target, target_type]) => {
            (source, Some(*source_type), target, Some(*target_type))
        }
        _ => {
            return Err(error(
                at,
                "has the four texts source, source type, target, target type",
            ));
        }
    };
    let parts = Parts {
        source: source.parse()?,
        source_type,
        target: target.parse()?,
        target_type,
    };
    entry(parts, at)
}

fn object_entry(value: &Value, at: usize) -> Result<Entry> {
    let text = |keys: [&str; 2]| {
        let value = keys.iter().find_map(|key| value.get(key));
        match value {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.as_str())),
            Some(_) => Err(error(at, format!("`{}` is no text", keys[0]))),
        }
    };
    let needed =
        |keys: [&str; 2]| text(keys)?.ok_or_else(|| error(at, format!("`{}` is missing", keys[0])));
    let parts = Parts {
        source: needed(["source", "source"])?.parse()?,
        source_type: text(["sourceType", "source_type"])?,
        target: needed(["target", "target"])?.parse()?,
        target_type: text(["targetType", "target_type"])?,
    };
    entry(parts, at)
}

/// A `Mapping` of Glue's own; nothing when it drops its column.
fn glue_entry(value: &Value, at: usize) -> Result<Option<Entry>> {
    if value.get("Dropped").and_then(Value::as_bool) == Some(true) {
        return Ok(None);
    }
    if value
        .get("Children")
        .and_then(Value::as_array)
        .is_some_and(|it| !it.is_empty())
    {
        return Err(error(at, "`Children` are not read: write their paths out"));
    }
    let text = |key: &str| match value.get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => value
            .as_str()
            .map(Some)
            .ok_or_else(|| error(at, format!("`{key}` is no text"))),
    };
    let source: Option<Vec<&str>> = value
        .get("FromPath")
        .and_then(Value::as_array)
        .and_then(|path| path.iter().map(Value::as_str).collect());
    let parts = Parts {
        source: source
            .filter(|path| !path.is_empty())
            .ok_or_else(|| error(at, "`FromPath` is no list of names"))?
            .into_iter()
            .collect(),
        source_type: text("FromType")?,
        target: text("ToKey")?
            .ok_or_else(|| error(at, "`ToKey` is missing"))?
            .parse()?,
        target_type: text("ToType")?,
    };
    entry(parts, at).map(Some)
}

fn entry(parts: Parts<'_>, at: usize) -> Result<Entry> {
    if parts.target.steps().contains(&Step::Element) {
        return Err(error(at, format!("the target `{}` has `[]`", parts.target)));
    }
    let (source_kind, _) = data_type(parts.source_type, at)?;
    let (target_kind, target_type) = data_type(parts.target_type, at)?;
    let is_bare = target_type.is_none() && target_kind.is_some_and(|it| it != Kind::Scalar);
    if is_bare && source_kind.is_some() && source_kind != target_kind {
        let problem = format!("`{}` cannot become `{}`", parts.source, parts.target);
        return Err(error(
            at,
            format!("{problem}: their types are of different kinds"),
        ));
    }
    Ok(Entry {
        source: parts.source,
        source_kind,
        target: parts.target,
        target_type,
    })
}

/// The kind of a type, and the type where it is more than a kind.
fn data_type(text: Option<&str>, at: usize) -> Result<(Option<Kind>, Option<Typed>)> {
    let Some(text) = text.map(str::trim).filter(|it| !it.is_empty()) else {
        return Ok((None, None));
    };
    let kind = match text.to_ascii_lowercase().as_str() {
        "struct" => Kind::Struct,
        "array" => Kind::Array,
        "map" => Kind::Map,
        "choice" | "null" | "void" => return Ok((None, None)),
        _ => {
            let typed = parse_typed(text).map_err(|it| error(at, it.to_string()))?;
            return Ok((Some(Kind::of(&typed.data_type)), Some(typed)));
        }
    };
    Ok((Some(kind), None))
}
