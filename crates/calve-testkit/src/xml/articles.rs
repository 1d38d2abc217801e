use std::fmt::Write;

use super::{Shape, words};
use crate::lakes::Random;

pub(super) const ARTICLES: Shape = Shape {
    name: "pub",
    row_tag: "article",
    head: "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<articles>\n",
    tail: "</articles>\n",
    first: 20_000_000,
    row: article,
};

fn article(text: &mut String, random: &mut Random, id: u64) -> std::fmt::Result {
    writeln!(
        text,
        "<article id=\"{id}\"><title>{}</title>",
        words(random, 11)
    )?;
    let year = 1990 + random.below(34);
    let (month, day) = (1 + random.below(12), 1 + random.below(28));
    writeln!(text, "<published>{year}-{month:02}-{day:02}</published>")?;
    text.push_str("<authors>");
    for _ in 0..=random.below(4) {
        write!(text, "<author>{}</author>", words(random, 2))?;
    }
    text.push_str("</authors>\n<abstract>");
    for _ in 0..=random.below(3) {
        let count = 40 + random.below(80);
        let link = if random.one_in(6) {
            " &lt; 0.05 &amp; "
        } else {
            ", "
        };
        write!(text, "{}{link}{}. ", words(random, count), words(random, 9))?;
    }
    text.push_str("</abstract>\n<keywords>");
    for _ in 0..random.below(6) {
        write!(text, "<keyword>{}</keyword>", words(random, 2))?;
    }
    writeln!(text, "</keywords></article>")
}
