use std::fmt::Write as _;

use unicode_width::UnicodeWidthStr;

/// How many entries of a list people are shown.
const SHOWN_ENTRIES: usize = 5;

/// A table of text with aligned columns: a header, a rule, the rows.
///
/// Widths are settled by the rows given to [`TextTable::settle`]; later rows that are wider are
/// printed whole, out of line, so that no more than a window of rows is ever held.
#[derive(Debug)]
pub(crate) struct TextTable {
    headers: Vec<String>,
    right_aligned: Vec<bool>,
    widths: Vec<usize>,
}

impl TextTable {
    /// Makes a table with these headers; a column is aligned to the right where told.
    pub(crate) fn new(columns: impl IntoIterator<Item = (String, bool)>) -> Self {
        let (headers, right_aligned): (Vec<String>, Vec<bool>) = columns.into_iter().unzip();
        let widths = headers.iter().map(|header| header.width()).collect();
        Self {
            headers,
            right_aligned,
            widths,
        }
    }

    /// Makes the columns wide enough for the rows.
    pub(crate) fn settle(&mut self, rows: &[Vec<String>]) {
        for row in rows {
            for (width, cell) in self.widths.iter_mut().zip(row) {
                *width = (*width).max(cell.width());
            }
        }
    }

    /// Writes the header and the rule below it.
    pub(crate) fn header(&self, text: &mut String) {
        self.row(&self.headers, text);
        let rule: Vec<String> = self.widths.iter().map(|width| "-".repeat(*width)).collect();
        self.row(&rule, text);
    }

    /// Writes one row.
    pub(crate) fn row(&self, row: &[String], text: &mut String) {
        let mut line = String::new();
        for (index, cell) in row.iter().enumerate() {
            if index > 0 {
                line.push_str("  ");
            }
            let padding = " ".repeat(self.widths[index].saturating_sub(cell.width()));
            if self.right_aligned[index] {
                line.push_str(&padding);
                line.push_str(cell);
            } else {
                line.push_str(cell);
                line.push_str(&padding);
            }
        }
        push_line(text, format_args!("{}", line.trim_end()));
    }
}

/// Writes pairs of a label and a value below each other, values aligned.
pub(crate) fn pairs(pairs: &[(&str, String)], text: &mut String) {
    let width = pairs
        .iter()
        .map(|(label, _)| label.width())
        .max()
        .unwrap_or_default();
    for (label, value) in pairs {
        let indented = value.replace('\n', &format!("\n{}", " ".repeat(width + 2)));
        push_line(text, format_args!("{label:width$}  {indented}"));
    }
}

/// Adds a line to a text.
pub(crate) fn push_line(text: &mut String, line: std::fmt::Arguments<'_>) {
    let written = writeln!(text, "{line}");
    debug_assert!(written.is_ok(), "writing to a string does not fail");
}

/// A number of things in words: `1 file`, `2 files`.
pub(crate) fn counted(count: u64, noun: &str) -> String {
    match count {
        1 => format!("1 {noun}"),
        count => format!("{count} {noun}s"),
    }
}

/// Writes the first entries of a list below its title, if there are any.
pub(crate) fn section(title: &str, entries: &[String], text: &mut String) {
    if entries.is_empty() {
        return;
    }
    push_line(text, format_args!("\n{title}:"));
    for entry in entries.iter().take(SHOWN_ENTRIES) {
        push_line(text, format_args!("  {entry}"));
    }
    if entries.len() > SHOWN_ENTRIES {
        let rest = entries.len() - SHOWN_ENTRIES;
        push_line(text, format_args!("  … and {rest} more"));
    }
}

/// Makes what would upset a terminal or the columns visible: line breaks, tabs, control characters.
pub(crate) fn visible(text: &str) -> String {
    if !text.contains(char::is_control) {
        return text.to_owned();
    }
    text.chars()
        .flat_map(|letter| {
            let escaped: Box<dyn Iterator<Item = char>> = if letter.is_control() {
                Box::new(letter.escape_default())
            } else {
                Box::new(std::iter::once(letter))
            };
            escaped
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_by_width_on_screen() {
        let rows = [
            vec!["é".to_owned(), "1".to_owned()],
            vec!["漢字漢字".to_owned(), "1000".to_owned()],
        ];
        let mut table = TextTable::new([("name".to_owned(), false), ("n".to_owned(), true)]);
        table.settle(&rows);
        let mut text = String::new();
        table.header(&mut text);
        for row in &rows {
            table.row(row, &mut text);
        }
        insta::assert_snapshot!(text, @"
        name         n
        --------  ----
        é            1
        漢字漢字  1000
        ");
    }

    #[test]
    fn control_characters_are_shown() {
        assert_eq!(visible("a\tb\u{1b}[31m\n"), "a\\tb\\u{1b}[31m\\n");
        assert_eq!(visible("naïve"), "naïve");
    }
}
