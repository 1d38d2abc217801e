//! Any document, compressed or not, gives the same rows in segments of any size, and never panics.

use std::io::Cursor;

use calve_xml::lexer::{Lexer, StartTag};
use calve_xml::row_reader::{RowError, RowReader};
use calve_xml::{Input, Place, ReadRows, Result, XmlOptions};

/// Takes the raw text of rows.
#[derive(Default)]
struct Raw(Vec<String>);

impl RowReader for Raw {
    type Output = Vec<String>;

    fn read_row<'a>(
        &mut self,
        lexer: &mut Lexer<'a>,
        start: StartTag<'a>,
    ) -> std::result::Result<(), RowError> {
        let inner = lexer.skip_element()?;
        self.0.push(format!("{}:{inner}", start.attributes));
        Ok(())
    }

    fn reject_row(&mut self, raw: &str, place: &Place, error: RowError) -> Result<()> {
        self.0.push(format!("{place}: {}: {raw}", error.reason));
        Ok(())
    }

    fn finish_segment(&mut self) -> Result<Vec<String>> {
        Ok(std::mem::take(&mut self.0))
    }
}

/// The rows, or the error.
fn rows(document: &[u8], segment_bytes: usize) -> std::result::Result<Vec<String>, String> {
    let options = XmlOptions::new("row");
    let input = Input::new("document", Cursor::new(document.to_vec()));
    let mut rows = Vec::new();
    ReadRows::new(&options)
        .with_segment_bytes(segment_bytes)
        .run(
            [Ok(input)],
            || Ok(Raw::default()),
            |_, output| {
                rows.extend(output);
                Ok(())
            },
        )
        .map_err(|error| error.to_string())?;
    Ok(rows)
}

/// Reads a document in segments of `size` and a byte, and as a whole.
pub fn check(size: u8, document: &[u8]) {
    let (cut, whole) = (
        rows(document, usize::from(size) + 1),
        rows(document, 1 << 20),
    );
    if let (Err(cut), Err(whole)) = (&cut, &whole)
        && [cut, whole]
            .iter()
            .any(|error| error.ends_with("cannot be read"))
    {
        // How much of a damaged file is looked at before the damage is met depends on how much is read ahead.
        return;
    }
    assert_eq!(cut, whole);
}
