//! XML documents of the three shapes that speeds are measured on, of any size.
//!
//! Everything is a function of its arguments: the same seed makes the same text.

mod articles;
mod documents;
mod orders;
mod vehicles;

use std::io::{self, Read};

pub use documents::documents;

use crate::lakes::Random;

/// A shape of documents.
#[derive(Debug)]
pub struct Shape {
    /// What it is called.
    pub name: &'static str,
    /// The element of a row, with its path where the name alone says too little.
    pub row_tag: &'static str,
    head: &'static str,
    tail: &'static str,
    /// Before the number of the first row.
    first: u64,
    /// Writes the row of a number.
    row: fn(&mut String, &mut Random, u64) -> std::fmt::Result,
}

/// All shapes.
pub const SHAPES: [&Shape; 3] = [&orders::ORDERS, &vehicles::VEHICLES, &articles::ARTICLES];

impl Shape {
    /// A document of at least so many bytes.
    ///
    /// # Panics
    /// Never: writing to a string does not fail.
    pub fn text(&self, bytes: usize, seed: u64) -> String {
        let mut random = Random::new(seed);
        let mut text = String::with_capacity(bytes + 16_384);
        text.push_str(self.head);
        let mut number = self.first;
        while text.len() < bytes {
            number += 1;
            (self.row)(&mut text, &mut random, number).unwrap();
        }
        text.push_str(self.tail);
        text
    }

    /// The same document, made while it is read.
    pub fn stream(&'static self, bytes: u64, seed: u64) -> Stream {
        Stream {
            shape: self,
            random: Random::new(seed),
            number: self.first,
            bytes_left: bytes,
            is_over: false,
            text: self.head.to_owned(),
            at: 0,
        }
    }
}

/// A document that is made while it is read: it takes no memory.
#[derive(Debug)]
pub struct Stream {
    shape: &'static Shape,
    random: Random,
    number: u64,
    /// How many bytes are still to be made, without those that wait in `text`.
    bytes_left: u64,
    is_over: bool,
    text: String,
    at: usize,
}

impl Stream {
    /// Makes the next piece.
    fn refill(&mut self) {
        self.bytes_left = self.bytes_left.saturating_sub(self.text.len() as u64);
        self.text.clear();
        self.at = 0;
        if self.bytes_left > 0 {
            self.number += 1;
            (self.shape.row)(&mut self.text, &mut self.random, self.number).unwrap();
        } else if !self.is_over {
            self.is_over = true;
            self.text.push_str(self.shape.tail);
        }
    }
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut filled = 0;
        while filled < buffer.len() {
            if self.at == self.text.len() {
                self.refill();
                if self.text.is_empty() {
                    break;
                }
            }
            let text = &self.text.as_bytes()[self.at..];
            let taken = text.len().min(buffer.len() - filled);
            buffer[filled..filled + taken].copy_from_slice(&text[..taken]);
            self.at += taken;
            filled += taken;
        }
        Ok(filled)
    }
}

/// Orders with their items, indented: short values, nested lists, a repeated `tag`. The row is `order`,
/// in `orders`.
pub fn orders(bytes: usize, seed: u64) -> String {
    orders::ORDERS.text(bytes, seed)
}

/// Registered vehicles as Socrata exports them: flat, without white space, every row with the same
/// fields. The row is `response/row/row`.
pub fn vehicles(bytes: usize, seed: u64) -> String {
    vehicles::VEHICLES.text(bytes, seed)
}

/// Articles with long texts. The row is `article`, in `articles`.
pub fn articles(bytes: usize, seed: u64) -> String {
    articles::ARTICLES.text(bytes, seed)
}

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_is_the_text() {
        for shape in SHAPES {
            let mut streamed = String::new();
            shape
                .stream(20_000, 3)
                .read_to_string(&mut streamed)
                .unwrap();
            assert_eq!(streamed, shape.text(20_000, 3), "{}", shape.name);
        }
    }
}
