//! What is not well-formed between rows: rows may be missing there, though none of those that were read is bad.

use calve::xml::segments::Report;

use crate::commands::Context;
use crate::text_table::counted;

/// What is not well-formed between rows, the first of it, with its places.
pub(super) fn texts(reading: &Report) -> Vec<String> {
    let first = reading.first_faults.iter();
    first
        .map(|fault| format!("{}: {}", fault.place, fault.reason))
        .collect()
}

/// Warns where documents are not well-formed between rows, or no row was found; gives whether they are well-formed there.
pub(super) fn warn(context: &Context, faults: u64, rows: u64) -> bool {
    if faults > 0 {
        let places = counted(faults, "place");
        context.printer.warning(&format!(
            "{places} between rows not well-formed: rows may be missing where documents are cut off or damaged"
        ));
    }
    if rows == 0 {
        context.printer.warning(
            "no row was found: look whether --row-tag is the name or the path of the rows' element",
        );
    }
    faults == 0
}
