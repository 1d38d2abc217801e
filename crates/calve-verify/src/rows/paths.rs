//! Where two values of a nested column differ.

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::DataType;
use arrow::util::display::array_value_to_string;
use datafusion::error::Result;

use crate::canonical::Ticks;
use crate::hash::hash_cells;

/// Adds the paths at which two cells, each alone in its array, differ. A list or map whose keys or
/// length differ is named as a whole.
pub(super) fn differing(
    path: &str,
    cells: [&ArrayRef; 2],
    ticks: Ticks,
    out: &mut Vec<String>,
) -> Result<()> {
    if hash_cells(cells[0], ticks)? == hash_cells(cells[1], ticks)? {
        return Ok(());
    }
    let is_null = cells.iter().any(|cell| cell.is_null(0));
    let before = out.len();
    if !is_null {
        match (cells[0].data_type(), cells[1].data_type()) {
            (DataType::Struct(_), DataType::Struct(_)) => in_structs(path, cells, ticks, out)?,
            (DataType::Map(..), DataType::Map(..)) => in_maps(path, cells, ticks, out)?,
            _ => {
                if let [Some(source), Some(table)] = cells.map(items) {
                    in_items(path, [&source, &table], ticks, out)?;
                }
            }
        }
    }
    if out.len() == before {
        out.push(path.to_owned());
    }
    Ok(())
}

/// The path of a column without the places of list items and the keys of maps.
pub(super) fn place(path: &str) -> String {
    let mut out = String::new();
    let mut rest = path;
    while let Some(start) = rest.find('[') {
        // What is in brackets is a number, or a key as JSON, which may hold brackets of its own.
        let inner = &rest[start + 1..];
        let number = inner.find(|it: char| !it.is_ascii_digit()).unwrap_or(0);
        let end = if number > 0 {
            Some(number)
        } else {
            let mut keys = serde_json::Deserializer::from_str(inner).into_iter::<String>();
            keys.next()
                .and_then(std::result::Result::ok)
                .map(|_| keys.byte_offset())
        };
        match end {
            Some(end) if inner[end..].starts_with(']') => {
                out.push_str(&rest[..start]);
                out.push_str("[]");
                rest = &inner[end + 1..];
            }
            _ => {
                out.push_str(&rest[..=start]);
                rest = inner;
            }
        }
    }
    out + rest
}

fn items(cell: &ArrayRef) -> Option<ArrayRef> {
    match cell.data_type() {
        DataType::List(_) => Some(cell.as_list::<i32>().value(0)),
        DataType::LargeList(_) => Some(cell.as_list::<i64>().value(0)),
        DataType::FixedSizeList(..) => Some(cell.as_fixed_size_list().value(0)),
        _ => None,
    }
}

fn in_structs(
    path: &str,
    cells: [&ArrayRef; 2],
    ticks: Ticks,
    out: &mut Vec<String>,
) -> Result<()> {
    let [source, table] = cells.map(AsArray::as_struct);
    let mut others: Vec<(String, &ArrayRef)> = table
        .fields()
        .iter()
        .map(|field| field.name().to_lowercase())
        .zip(table.columns())
        .collect();
    for (field, own) in source.fields().iter().zip(source.columns()) {
        let name = field.name().to_lowercase();
        let path = format!("{path}.{}", field.name());
        match others.iter().position(|(other, _)| *other == name) {
            Some(place) => differing(&path, [own, others.remove(place).1], ticks, out)?,
            None if own.is_valid(0) => out.push(path),
            None => {}
        }
    }
    let only = others.into_iter().filter(|(_, cell)| cell.is_valid(0));
    out.extend(only.map(|(name, _)| format!("{path}.{name}")));
    Ok(())
}

fn in_items(
    path: &str,
    [source, table]: [&ArrayRef; 2],
    ticks: Ticks,
    out: &mut Vec<String>,
) -> Result<()> {
    if source.len() != table.len() {
        return Ok(());
    }
    for place in 0..source.len() {
        let cells = [&source.slice(place, 1), &table.slice(place, 1)];
        differing(&format!("{path}[{place}]"), cells, ticks, out)?;
    }
    Ok(())
}

fn in_maps(path: &str, cells: [&ArrayRef; 2], ticks: Ticks, out: &mut Vec<String>) -> Result<()> {
    let [source, table] = cells.map(|cell| cell.as_map().value(0));
    if source.len() != table.len() {
        return Ok(());
    }
    let keys = [source.column(0), table.column(0)];
    let [own_keys, others] = [hash_cells(keys[0], ticks)?, hash_cells(keys[1], ticks)?];
    let places: Option<Vec<usize>> = own_keys
        .iter()
        .map(|key| others.iter().position(|other| other == key))
        .collect();
    // Other keys make another map.
    for (place, other) in places.into_iter().flatten().enumerate() {
        let cells = [
            &source.column(1).slice(place, 1),
            &table.column(1).slice(other, 1),
        ];
        let key = serde_json::Value::from(array_value_to_string(keys[0], place)?);
        differing(&format!("{path}[{key}]"), cells, ticks, out)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::place;

    #[test]
    fn places_of_items_and_keys_are_left_out() {
        #[track_caller]
        fn check(path: &str, expected: &str) {
            assert_eq!(place(path), expected);
        }
        check("a.b", "a.b");
        check("a[12].b", "a[].b");
        check(r#"a["k]\"[1]"][3]"#, "a[][]");
        check("odd[name", "odd[name");
    }
}
