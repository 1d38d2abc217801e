//! A migration as one HTML page.

use calve_base::units::format_bytes;
use chrono::{DateTime, SecondsFormat};

use super::{Description, Files};
use crate::html::{Page, described, histogram};

impl Description {
    /// The description as one HTML page that needs nothing else.
    pub fn to_html(&self) -> String {
        let mut page = Page::new(&format!("Migration {}", self.migration_id));
        self.verdict(&mut page);
        self.facts(&mut page);
        page.element("h2", "Files before and after");
        self.sides(&mut page);
        for files in self.before.iter().chain([&self.after]) {
            page.element("h3", &files.name);
            histogram(&files.sizes, &mut page);
        }
        self.checks(&mut page);
        self.costs(&mut page);
        if !self.notes.is_empty() {
            page.element("h2", "Notes");
            page.list(&self.notes);
        }
        page.finish()
    }

    fn verdict(&self, page: &mut Page) {
        let different = self.checks.iter().filter(|check| !check.equal).count();
        page.raw("<div class=\"verdict\">\n<p>");
        let verdict = match (self.checks.len(), different) {
            (0, _) => "Nothing was compared".to_owned(),
            (all, 0) => format!("Equal in all {all} checks"),
            (all, some) => format!("DIFFERENT in {some} of {all} checks"),
        };
        page.element("strong", &verdict);
        page.raw("</p>\n<p>");
        page.text(&format!("State: {}", self.state.as_str()));
        page.raw("</p>\n</div>\n");
    }

    fn facts(&self, page: &mut Page) {
        let snapshot = self.snapshot_id.map(|id| id.to_string());
        page.element("h2", "What was done");
        page.raw("<table>\n");
        for (label, value) in [
            ("Operation", self.operation.to_string()),
            ("Source", self.source.clone()),
            ("Table", self.table.to_string()),
            ("Location", self.location.to_string()),
            ("Current snapshot", snapshot.unwrap_or_default()),
            ("Begun", time(self.started_ms)),
            ("Journal last written", time(self.updated_ms)),
        ] {
            page.row(&[("th", label), ("td", &value)]);
        }
        page.raw("</table>\n");
    }

    fn sides(&self, page: &mut Page) {
        page.raw("<table>\n<tr><th></th><th class=\"n\">Files</th><th class=\"n\">Average</th>");
        page.raw("<th class=\"n\">Rows</th><th class=\"n\">Delete files</th><th class=\"n\">Partitions</th>");
        page.raw("<th class=\"n\">GET of a full scan</th><th class=\"n\">Dollars of it by Athena</th></tr>\n");
        for files in self.before.iter().chain([&self.after]) {
            page.raw("<tr>");
            page.element("th", &files.name);
            for number in numbers(files) {
                page.number(&number);
            }
            page.raw("</tr>\n");
        }
        page.raw("</table>\n");
    }

    fn checks(&self, page: &mut Page) {
        if self.checks.is_empty() {
            return;
        }
        page.element("h2", "What was compared");
        page.raw("<table>\n<tr><th>What</th><th class=\"n\">Places</th><th>Outcome</th><th>Found</th></tr>\n");
        for check in &self.checks {
            page.raw("<tr>");
            page.element("td", &check.what);
            page.number(&check.compared.to_string());
            page.raw(if check.equal {
                "<td>equal</td>"
            } else {
                "<td class=\"refused\">DIFFERENT</td>"
            });
            page.element("td", check.found.as_deref().unwrap_or_default());
            page.raw("</tr>\n");
        }
        page.raw("</table>\n");
    }

    fn costs(&self, page: &mut Page) {
        let Some(cost) = &self.cost else { return };
        page.element("h2", "What it cost");
        page.element(
            "p",
            &format!(
                "About {:.2} $: {} LIST, {} GET and {} PUT requests to S3, {} to Glue, {} read and {} written. \
                 Estimated from the number and the size of the files, at list prices.",
                cost.dollars,
                cost.list_requests,
                cost.get_requests,
                cost.put_requests,
                cost.glue_requests,
                format_bytes(cost.scanned_bytes),
                format_bytes(cost.written_bytes)
            ),
        );
    }
}

fn numbers(files: &Files) -> [String; 7] {
    let average = files.amount.bytes / files.amount.files.max(1);
    [
        described(files.amount),
        format_bytes(average),
        files
            .records
            .map_or("not counted".to_owned(), |rows| rows.to_string()),
        files.delete_files.to_string(),
        files.partitions.to_string(),
        files.scan.get_requests.to_string(),
        format!("{:.2}", files.scan.dollars),
    ]
}

fn time(ms: i64) -> String {
    let time = DateTime::from_timestamp_millis(ms).unwrap_or_default();
    time.to_rfc3339_opts(SecondsFormat::Secs, true)
}
