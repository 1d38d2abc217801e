//! Reports as HTML pages: nothing is loaded from elsewhere, and no text of a lake is taken for markup.

use std::fmt::Write as _;

use calve_base::units::format_bytes;

use crate::assess::{Amount, SizeBucket};

const STYLE: &str = "\
:root{color-scheme:light dark;--line:#8884;--soft:#8881;--accent:#2a78b8}\
body{font:15px/1.5 system-ui,sans-serif;max-width:62rem;margin:2rem auto;padding:0 1rem}\
h1{font-size:1.5rem;overflow-wrap:anywhere}h2{font-size:1.1rem;margin-top:2rem}\
table{border-collapse:collapse;width:100%}\
th,td{text-align:left;vertical-align:top;padding:.3rem .6rem;border-bottom:1px solid var(--line);overflow-wrap:anywhere}\
td.n,th.n{text-align:right;white-space:nowrap}\
code,pre{font:13px/1.45 ui-monospace,monospace}\
pre{background:var(--soft);padding:.7rem;overflow-x:auto;white-space:pre-wrap;overflow-wrap:anywhere}\
.verdict{border-left:.35rem solid var(--accent);background:var(--soft);padding:.6rem 1rem}\
.verdict strong{font-size:1.15rem}\
.refused{color:#c0392b}.unsafe{color:#b9770e}.note{color:#6c7a89}\
svg{width:100%;height:auto;max-width:44rem}svg text{font:12px system-ui,sans-serif;fill:currentColor}";

/// Width of the histogram's longest bar, and the height of a bar with its gap, in units of the picture.
const BAR_WIDTH: u64 = 360;
const BAR_HEIGHT: u64 = 22;

/// Files and their size.
pub(crate) fn described(amount: Amount) -> String {
    format!("{} ({})", amount.files, format_bytes(amount.bytes))
}

/// A bar for each size, as long as it has files.
pub(crate) fn histogram(sizes: &[SizeBucket], page: &mut Page) {
    let most = sizes.iter().map(|it| it.amount.files).max().unwrap_or(0);
    let height = sizes.len() as u64 * BAR_HEIGHT;
    page.raw(&format!(
        "<svg viewBox=\"0 0 640 {height}\" role=\"img\" aria-label=\"Number of files by size\">\n"
    ));
    for (row, bucket) in sizes.iter().enumerate() {
        let label = match bucket.below_bytes {
            Some(bytes) => format!("below {}", format_bytes(bytes)),
            None => "larger".to_owned(),
        };
        let files = bucket.amount.files;
        let width = match u128::from(files) * u128::from(BAR_WIDTH) / u128::from(most.max(1)) {
            0 if files > 0 => 1,
            width => width,
        };
        let top = row as u64 * BAR_HEIGHT;
        let (base, end) = (top + 15, 130 + width);
        page.raw(&format!(
            "<text x=\"120\" y=\"{base}\" text-anchor=\"end\">"
        ));
        page.text(&label);
        page.raw(&format!(
            "</text><rect x=\"126\" y=\"{}\" width=\"{width}\" height=\"{}\" fill=\"#2a78b8\"/>",
            top + 3,
            BAR_HEIGHT - 6
        ));
        page.raw(&format!("<text x=\"{end}\" y=\"{base}\">"));
        page.text(&described(bucket.amount));
        page.raw("</text>\n");
    }
    page.raw("</svg>\n");
}

/// A page in the making.
pub(crate) struct Page(String);

impl Page {
    /// Begins a page.
    pub(crate) fn new(title: &str) -> Self {
        let mut page = Self(String::new());
        page.raw("<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n");
        page.raw("<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n");
        page.element("title", title);
        page.raw(&format!("<style>{STYLE}</style>\n</head>\n<body>\n"));
        page.element("h1", title);
        page
    }

    /// Ends the page.
    pub(crate) fn finish(mut self) -> String {
        self.raw("</body>\n</html>\n");
        self.0
    }

    /// Adds markup.
    pub(crate) fn raw(&mut self, markup: &str) {
        self.0.push_str(markup);
    }

    /// Adds text, which is never markup.
    pub(crate) fn text(&mut self, text: &str) {
        self.0.push_str(&escaped(text));
    }

    pub(crate) fn element(&mut self, name: &str, text: &str) {
        self.raw(&format!("<{name}>"));
        self.text(text);
        self.raw(&format!("</{name}>\n"));
    }

    pub(crate) fn number(&mut self, text: &str) {
        self.raw("<td class=\"n\">");
        self.text(text);
        self.raw("</td>");
    }

    pub(crate) fn row(&mut self, cells: &[(&str, &str)]) {
        self.raw("<tr>");
        for (name, text) in cells {
            self.element(name, text);
        }
        self.raw("</tr>\n");
    }

    pub(crate) fn list(&mut self, lines: &[String]) {
        self.raw("<ul>\n");
        for line in lines {
            self.element("li", line);
        }
        self.raw("</ul>\n");
    }
}

/// Text as it stands in markup, in attributes too. Control characters, which HTML does not have, and marks
/// that change the direction of writing, which make a name look like another, are shown by their numbers.
pub(crate) fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            '\n' => escaped.push('\n'),
            letter
                if letter.is_control()
                    || matches!(letter, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}') =>
            {
                let written = write!(escaped, "\\u{{{:x}}}", u32::from(letter));
                debug_assert!(written.is_ok(), "writing to a string does not fail");
            }
            letter => escaped.push(letter),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_never_markup() {
        assert_eq!(
            escaped("<script>alert('x' & \"y\")</script>"),
            "&lt;script&gt;alert(&#39;x&#39; &amp; &quot;y&quot;)&lt;/script&gt;"
        );
        assert_eq!(
            escaped("a\u{0}\u{1b}[31m\u{202e}b"),
            "a\\u{0}\\u{1b}[31m\\u{202e}b"
        );
        assert_eq!(escaped("naïve 漢字"), "naïve 漢字");
    }

    #[test]
    fn the_longest_bar_is_as_long_as_the_picture_has_room() {
        let bucket = |files| SizeBucket {
            below_bytes: Some(1 << 20),
            amount: Amount { files, bytes: 1 },
        };
        let mut page = Page(String::new());
        histogram(&[bucket(u64::MAX), bucket(1), bucket(0)], &mut page);
        for width in ["width=\"360\"", "width=\"1\"", "width=\"0\""] {
            assert!(page.0.contains(width), "{width}: {}", page.0);
        }
    }
}
