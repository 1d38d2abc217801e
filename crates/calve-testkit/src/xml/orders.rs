use std::fmt::Write;

use super::{Shape, words};
use crate::lakes::Random;

pub(super) const ORDERS: Shape = Shape {
    name: "orders",
    row_tag: "order",
    head: "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<orders>\n",
    tail: "</orders>\n",
    first: 100_000,
    row: order,
};

fn order(text: &mut String, random: &mut Random, id: u64) -> std::fmt::Result {
    let status = *random.pick(&["open", "paid", "shipped", "returned"]);
    writeln!(text, "  <order id=\"{id}\" status=\"{status}\">")?;
    let (day, month) = (1 + random.below(28), 1 + random.below(12));
    writeln!(text, "    <date>2024-{month:02}-{day:02}</date>")?;
    let (hour, minute) = (random.below(24), random.below(60));
    writeln!(
        text,
        "    <placed>2024-{month:02}-{day:02}T{hour:02}:{minute:02}:00Z</placed>"
    )?;
    writeln!(text, "    <customer>")?;
    writeln!(text, "      <id>{}</id>", random.below(90_000))?;
    writeln!(text, "      <name>{}</name>", words(random, 2))?;
    if !random.one_in(5) {
        writeln!(text, "      <city>{}</city>", words(random, 1))?;
    }
    writeln!(text, "    </customer>")?;
    writeln!(text, "    <gift>{}</gift>", random.one_in(9))?;
    for _ in 0..random.below(4) {
        writeln!(text, "    <tag>{}</tag>", words(random, 1))?;
    }
    writeln!(text, "    <items>")?;
    for line in 0..=random.below(6) {
        writeln!(text, "      <item line=\"{}\">", line + 1)?;
        writeln!(
            text,
            "        <sku>SKU-{:06}</sku>",
            random.below(1_000_000)
        )?;
        writeln!(
            text,
            "        <quantity>{}</quantity>",
            1 + random.below(12)
        )?;
        let cents = random.below(100_000);
        writeln!(
            text,
            "        <price>{}.{:02}</price>",
            cents / 100,
            cents % 100
        )?;
        if random.one_in(3) {
            writeln!(
                text,
                "        <discount>0.{:02}</discount>",
                random.below(50)
            )?;
        }
        writeln!(text, "      </item>")?;
    }
    writeln!(text, "    </items>")?;
    if random.one_in(4) {
        writeln!(
            text,
            "    <note>{} &amp; {}</note>",
            words(random, 4),
            words(random, 3)
        )?;
    }
    writeln!(text, "  </order>")
}
