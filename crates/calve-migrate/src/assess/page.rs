//! An assessment as one HTML page: nothing is loaded from elsewhere, and no text of the lake is taken for markup.

use calve_base::units::format_bytes;

use super::cost::Cost;
use super::report::Assessment;
use crate::html::{Page, described, escaped, histogram};

impl Assessment {
    /// The assessment as one HTML page that needs nothing else.
    pub fn to_html(&self) -> String {
        let mut page = Page::new(&format!("Assessment of {}", self.source));
        self.verdict(&mut page);
        self.facts(&mut page);
        page.element("h2", "File sizes");
        histogram(&self.census.sizes, &mut page);
        self.findings(&mut page);
        self.partitions(&mut page);
        self.schemas(&mut page);
        self.ownership(&mut page);
        self.ways(&mut page);
        page.finish()
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
