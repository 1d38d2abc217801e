//! An assessment as one HTML page: nothing is loaded from elsewhere, and no text of the lake is taken for markup.

use std::fmt::Write as _;

use calve_base::units::format_bytes;

use super::cost::Cost;
use super::report::{Amount, Assessment, SizeBucket};

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

impl Assessment {
    /// The assessment as one HTML page that needs nothing else.
    pub fn to_html(&self) -> String {
        let mut page = Page(String::new());
        let title = format!("Assessment of {}", self.source);
        page.raw("<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n");
        page.raw("<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n");
        page.element("title", &title);
        page.raw(&format!("<style>{STYLE}</style>\n</head>\n<body>\n"));
        page.element("h1", &title);
        self.verdict(&mut page);
        self.facts(&mut page);
        page.element("h2", "File sizes");
        histogram(&self.census.sizes, &mut page);
        self.findings(&mut page);
        self.partitions(&mut page);
        self.schemas(&mut page);
        self.ownership(&mut page);
        self.ways(&mut page);
        page.raw("</body>\n</html>\n");
        page.0
    }

    fn verdict(&self, page: &mut Page) {
        page.raw("<div class=\"verdict\">\n");
        page.raw("<p>Recommendation: ");
        page.element("strong", self.recommendation.as_str());
        page.raw("</p>\n");
        page.list(&self.reasons);
        page.raw("</div>\n");
        if !self.commands.is_empty() {
            page.element("h2", "What to run next");
            page.element("pre", &self.commands.join("\n"));
        }
    }

    fn facts(&self, page: &mut Page) {
        let census = &self.census;
        let keys: Vec<String> = census
            .partition_keys
            .iter()
            .map(|key| format!("{}: {}", key.name, key.key_type))
            .collect();
        let small = format!(
            "{} below {}",
            described(census.small_files),
            format_bytes(census.target_file_bytes)
        );
        page.element("h2", "What is there");
        page.raw("<table>\n");
        for (label, value) in [
            ("Location", self.location.to_string()),
            (
                "Files",
                format!("{} ({})", census.files, format_bytes(census.bytes)),
            ),
            ("Rows", census.records.to_string()),
            ("Row groups", census.row_groups.to_string()),
            ("Partitions", census.partitions.to_string()),
            ("Partition keys", keys.join(", ")),
            ("Small files", small),
            ("Can stay in place", described(census.in_place.safe)),
            (
                "Unsafe in place",
                described(census.in_place.only_if_allowed),
            ),
            ("Refused in place", described(census.in_place.refused)),
            ("Without rows", described(census.in_place.no_rows)),
            ("Can be rewritten", described(census.rewritable)),
        ] {
            page.row(&[("th", label), ("td", &value)]);
        }
        for kind in &census.skipped {
            let value = format!("{} objects, such as {}", kind.objects, kind.examples[0]);
            page.row(&[("th", &format!("Skipped: {}", kind.reason)), ("td", &value)]);
        }
        page.raw("</table>\n");
    }

    fn findings(&self, page: &mut Page) {
        let findings = &self.census.findings;
        if findings.is_empty() {
            return;
        }
        page.element("h2", "Findings");
        page.raw("<table>\n<tr><th>Severity</th><th>Rule</th><th>Column</th><th>What</th>");
        page.raw("<th class=\"n\">Files</th><th>Such as</th></tr>\n");
        for finding in findings {
            page.raw("<tr>");
            // The class is one of three words of ours.
            page.raw(&format!("<td class=\"{}\">", escaped(&finding.severity)));
            page.text(&finding.severity);
            page.raw("</td>");
            page.element("td", &finding.code);
            page.element("td", &finding.column);
            page.element("td", &finding.message);
            page.number(&described(finding.amount));
            let examples: Vec<String> = finding.examples.iter().map(ToString::to_string).collect();
            page.element("td", &examples.join(" · "));
            page.raw("</tr>\n");
        }
        page.raw("</table>\n");
    }

    fn partitions(&self, page: &mut Page) {
        let except = &self.census.except;
        if except.partitions_count == 0 {
            return;
        }
        page.element("h2", "Partitions to except");
        let summary = format!(
            "{} partitions with {}; {} of them hold files that can stay, too.",
            except.partitions_count,
            described(except.amount),
            except.mixed_partitions_count
        );
        page.element("p", &summary);
        let keys = &self.census.partition_keys;
        let named: Vec<String> = except
            .partitions
            .iter()
            .map(|it| it.describe(keys))
            .collect();
        page.list(&named);
    }

    fn schemas(&self, page: &mut Page) {
        let census = &self.census;
        page.element("h2", &format!("Schemas ({})", census.schemas_count));
        page.raw("<table>\n<tr><th class=\"n\">Files</th><th class=\"n\">Columns</th>");
        page.raw("<th>Differs from the files before</th><th>Such as</th></tr>\n");
        for schema in &census.schemas {
            page.raw("<tr>");
            page.number(&described(schema.amount));
            page.number(&schema.columns_count.to_string());
            page.element("td", &schema.differs.join("; "));
            page.element("td", schema.example.as_str());
            page.raw("</tr>\n");
        }
        page.raw("</table>\n");
        if !census.columns.is_empty() {
            page.raw("<details><summary>Columns of the table in place</summary>\n");
            page.element("pre", &census.columns.join("\n"));
            page.raw("</details>\n");
        }
    }

    fn ownership(&self, page: &mut Page) {
        page.element("h2", "Who else has to do with the files");
        let cautions = self.ownership.iter();
        let lines: Vec<String> = cautions
            .map(|it| format!("{}: {}", it.code, it.message))
            .chain(self.census.notes.iter().cloned())
            .collect();
        page.list(&lines);
    }

    fn ways(&self, page: &mut Page) {
        page.element("h2", "What each way costs");
        page.raw("<table>\n<tr><th>Way</th><th class=\"n\">LIST</th><th class=\"n\">GET</th><th class=\"n\">PUT</th>");
        page.raw("<th class=\"n\">Glue</th><th class=\"n\">Read</th><th class=\"n\">Written</th><th class=\"n\">Dollars</th></tr>\n");
        let ways = &self.ways;
        for (name, cost) in [
            ("in place", &ways.in_place),
            ("ctas", &ways.ctas),
            ("ctas by Athena", &ways.ctas_by_athena),
        ] {
            page.raw("<tr>");
            page.element("th", name);
            for number in numbers(cost) {
                page.number(&number);
            }
            page.raw("</tr>\n");
        }
        page.raw("</table>\n");
        let prices = &ways.prices;
        page.element(
            "p",
            &format!(
                "Estimates, at {} $ a thousand LIST, {} $ a thousand PUT, {} $ a thousand GET, {} $ a million requests to Glue \
                 beyond {}, and {} $ a terabyte scanned by Athena.",
                prices.list_per_thousand,
                prices.put_per_thousand,
                prices.get_per_thousand,
                prices.glue_per_million,
                prices.glue_free_requests,
                prices.athena_per_terabyte
            ),
        );
    }
}

fn numbers(cost: &Cost) -> [String; 7] {
    [
        cost.list_requests.to_string(),
        cost.get_requests.to_string(),
        cost.put_requests.to_string(),
        cost.glue_requests.to_string(),
        format_bytes(cost.scanned_bytes),
        format_bytes(cost.written_bytes),
        format!("{:.2}", cost.dollars),
    ]
}

fn described(amount: Amount) -> String {
    format!("{} ({})", amount.files, format_bytes(amount.bytes))
}

/// A bar for each size, as long as it has files.
fn histogram(sizes: &[SizeBucket], page: &mut Page) {
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
struct Page(String);

impl Page {
    /// Adds markup.
    fn raw(&mut self, markup: &str) {
        self.0.push_str(markup);
    }

    /// Adds text, which is never markup.
    fn text(&mut self, text: &str) {
        self.0.push_str(&escaped(text));
    }

    fn element(&mut self, name: &str, text: &str) {
        self.raw(&format!("<{name}>"));
        self.text(text);
        self.raw(&format!("</{name}>\n"));
    }

    fn number(&mut self, text: &str) {
        self.raw("<td class=\"n\">");
        self.text(text);
        self.raw("</td>");
    }

    fn row(&mut self, cells: &[(&str, &str)]) {
        self.raw("<tr>");
        for (name, text) in cells {
            self.element(name, text);
        }
        self.raw("</tr>\n");
    }

    fn list(&mut self, lines: &[String]) {
        self.raw("<ul>\n");
        for line in lines {
            self.element("li", line);
        }
        self.raw("</ul>\n");
    }
}

/// Text as it stands in markup, in attributes too. Control characters, which HTML does not have, and marks
/// that change the direction of writing, which make a name look like another, are shown by their numbers.
fn escaped(text: &str) -> String {
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
