//! What the commands that delete files print alike.

use calve::table::drop_table::FailedFile;

use super::Context;
use crate::status::ExitStatus;
use crate::text_table::push_line;

/// How many files people are shown; JSON has all.
const SHOWN_FILES: usize = 20;

/// Lists the first files of many, each with what is to be said of it.
pub(super) fn push_files<'a>(
    title: &str,
    files: impl ExactSizeIterator<Item = (&'a str, String)>,
    text: &mut String,
) {
    let count = files.len();
    if count == 0 {
        return;
    }
    push_line(text, format_args!("\n{title}"));
    for (file, reason) in files.take(SHOWN_FILES) {
        push_line(text, format_args!("  {file}: {reason}"));
    }
    if count > SHOWN_FILES {
        push_line(text, format_args!("  … and {} more", count - SHOWN_FILES));
    }
}

/// Tells of the files that could not be read or deleted, and how the command ends.
pub(super) fn warn_of(context: &Context, failed: &[FailedFile]) -> ExitStatus {
    for file in failed {
        let message = format!("{} was not deleted: {}", file.location, file.error);
        context.printer.warning(&message);
    }
    if failed.is_empty() {
        ExitStatus::Done
    } else {
        ExitStatus::Problem
    }
}
