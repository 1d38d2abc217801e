//! XML documents of the three shapes that speeds are measured on, of any size.
//!
//! Everything is a function of its arguments: the same seed makes the same text.

mod articles;
mod orders;
mod vehicles;

pub use articles::articles;
pub use orders::orders;
pub use vehicles::vehicles;

use crate::lakes::Random;

/// Words of texts and names.
const WORDS: &[&str] = &[
    "amber", "bridge", "candle", "delta", "ember", "forest", "garden", "harbor", "island",
    "juniper", "kettle", "lantern", "meadow", "north", "orchard", "pepper", "quartz", "river",
    "silver", "timber", "umbrella", "valley", "willow", "yellow", "zephyr", "the", "of", "and",
    "with", "from", "über",
];

/// Some words, separated by spaces.
fn words(random: &mut Random, count: u32) -> String {
    let mut text = String::new();
    for index in 0..count {
        if index > 0 {
            text.push(' ');
        }
        text.push_str(random.pick::<&str>(WORDS));
    }
    text
}
