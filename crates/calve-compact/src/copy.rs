//! Groups of files whose row groups are large already: they are put together as they are, without decoding.
//!
//! Spark has no such thing (it was turned down in Iceberg's issue 14435, because small row groups stay small); Amoro
//! has it for row groups of 8 MB and more, under much the same conditions.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use calve_table::{RowGroupWriter, ScanFile};
use futures::{StreamExt, stream};
use iceberg::spec::DataFile;

use crate::compact::REQUESTS;
use crate::plan::{FileGroup, Reason};
use crate::rewrite::{Rewriter, STAGE};
use crate::strategy::RowOrder;
use crate::{Error, Result};

/// Row groups of one file.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Piece {
    /// Which of the group's files.
    file: usize,
    row_groups: Range<usize>,
}

impl Rewriter {
    /// Writes a group without decoding it; gives `None` where it has to be decoded.
    ///
    /// # Errors
    /// When a file cannot be read, the store fails, or rows are missing. Nothing is left then.
    pub(crate) async fn copy_row_groups(&self, group: &FileGroup) -> Result<Option<Vec<DataFile>>> {
        if !self.may_copy(group) {
            return Ok(None);
        }
        let (metadata, storage) = (self.table.metadata(), self.table.storage());
        let writer = RowGroupWriter::new(storage, metadata, Arc::clone(&self.output_spec))?;
        let Some(mut writer) = writer else {
            return Ok(None);
        };
        let Some(files) = self.files_to_copy(group, &mut writer).await? else {
            return Ok(None);
        };
        match self.copy_files(group, files, &mut writer).await {
            Ok(files) => Ok(Some(files)),
            Err(error) => {
                writer.discard().await;
                Err(error)
            }
        }
    }

    /// Whether that is worth a look at the footers.
    fn may_copy(&self, group: &FileGroup) -> bool {
        let average = group.bytes / group.files_count.max(1) as u64;
        self.options.row_group_copy
            && matches!(self.order, RowOrder::AsTheyAre)
            && !self.splits(group)
            // Row ids would have to be written beside the rows.
            && !self.has_lineage()
            && group.deletes_count == 0
            // Who asks for that wants everything to be as it would be written now.
            && !group.reasons.contains(&Reason::RewriteAll)
            && average >= self.options.min_copied_row_group_bytes
    }

    /// Which row groups go into which file; `None` where the files are not of the kind.
    async fn files_to_copy(
        &self,
        group: &FileGroup,
        // Which cannot be shared, because its upload cannot.
        writer: &mut RowGroupWriter,
    ) -> Result<Option<Vec<Vec<Piece>>>> {
        let footers = (0..group.files.len()).map(|file| self.provider.footer(&group.files[file]));
        let mut footers = stream::iter(footers).buffered(REQUESTS);
        let mut row_groups = Vec::new();
        let mut index = 0;
        while let Some(footer) = footers.next().await {
            let footer = footer?;
            let file = &group.files[index].file;
            if let Some(reason) = writer.refusal(&footer, file.nan_value_counts.as_ref()) {
                let file = &file.path;
                tracing::debug!(%file, ?reason, "row groups are decoded");
                return Ok(None);
            }
            let sizes = footer.row_groups().iter().map(|row_group| {
                let bytes = u64::try_from(row_group.compressed_size()).unwrap_or(0);
                (index, bytes)
            });
            row_groups.extend(sizes);
            index += 1;
        }
        let bytes: u64 = row_groups.iter().map(|(_, bytes)| bytes).sum();
        if bytes / (row_groups.len().max(1) as u64) < self.options.min_copied_row_group_bytes {
            return Ok(None);
        }
        let expected = usize::try_from(group.expected_output_files).unwrap_or(usize::MAX);
        Ok(divide(
            &row_groups,
            expected,
            self.options.max_file_size_bytes,
        ))
    }

    async fn copy_files(
        &self,
        group: &FileGroup,
        files: Vec<Vec<Piece>>,
        writer: &mut RowGroupWriter,
    ) -> Result<Vec<DataFile>> {
        for pieces in files {
            for piece in pieces {
                if self.is_stopped.load(Ordering::Relaxed) {
                    return Err(Error::Stopped);
                }
                let rows = self
                    .append(&group.files[piece.file], &piece, writer)
                    .await?;
                self.progress.advanced(STAGE, rows);
            }
            writer.end().await?;
        }
        let files = writer.finish().await?;
        let written: u64 = files.iter().map(DataFile::record_count).sum();
        if written != group.rows {
            self.delete(&files).await?;
            return Err(self.wrong_rows(group, written, written));
        }
        Ok(files)
    }

    async fn append(
        &self,
        file: &ScanFile,
        piece: &Piece,
        writer: &mut RowGroupWriter,
    ) -> Result<u64> {
        let footer = self.provider.footer(file).await?;
        let row_groups = piece.row_groups.clone();
        let rows = footer.row_groups()[row_groups.clone()].iter();
        let rows = rows.map(|row_group| u64::try_from(row_group.num_rows()).unwrap_or(0));
        let rows = rows.sum();
        writer.append(&file.file, &footer, row_groups).await?;
        Ok(rows)
    }
}

/// Divides row groups, each with the place of its file and its size, into so many files of about one size; `None`
/// where one would be larger than `most` bytes, or empty.
fn divide(row_groups: &[(usize, u64)], files: usize, most: u64) -> Option<Vec<Vec<Piece>>> {
    if row_groups.len() < files {
        return None;
    }
    let mut left: u64 = row_groups.iter().map(|(_, bytes)| bytes).sum();
    let mut rest = row_groups.iter().copied().enumerate().peekable();
    let mut all = Vec::new();
    for others in (0..files).rev() {
        let wanted = left / (others as u64 + 1);
        let mut pieces: Vec<Piece> = Vec::new();
        let mut size = 0;
        while let Some(&(at, (file, bytes))) = rest.peek() {
            let is_full = size > 0 && others > 0 && size + bytes / 2 > wanted;
            if is_full || row_groups.len() - at <= others {
                break;
            }
            let index = row_groups[..at]
                .iter()
                .rev()
                .take_while(|(it, _)| *it == file)
                .count();
            match pieces.last_mut() {
                Some(last) if last.file == file => last.row_groups.end = index + 1,
                _ => pieces.push(Piece {
                    file,
                    row_groups: index..index + 1,
                }),
            }
            size += bytes;
            rest.next();
        }
        if size > most {
            return None;
        }
        left -= size;
        all.push(pieces);
    }
    Some(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of each new file, which row groups of which files it has.
    type Pieces<'a> = &'a [&'a [(usize, Range<usize>)]];

    /// Files as lists of their row groups' sizes, and what each new file is to have of them.
    #[track_caller]
    fn check(files: &[&[u64]], into: usize, most: u64, expected: Option<Pieces<'_>>) {
        let of_file =
            |(at, sizes): (usize, &&[u64])| sizes.iter().map(move |size| (at, *size)).collect();
        let row_groups: Vec<Vec<(usize, u64)>> = files.iter().enumerate().map(of_file).collect();
        let found = divide(&row_groups.concat(), into, most);
        let expected = expected.map(|files| {
            let pieces = files.iter().map(|pieces| {
                let pieces = pieces.iter().cloned();
                pieces
                    .map(|(file, row_groups)| Piece { file, row_groups })
                    .collect()
            });
            pieces.collect::<Vec<Vec<Piece>>>()
        });
        assert_eq!(found, expected);
    }

    #[test]
    fn row_groups_are_divided_evenly() {
        check(
            &[&[10], &[10], &[10]],
            1,
            30,
            Some(&[&[(0, 0..1), (1, 0..1), (2, 0..1)]]),
        );
        check(
            &[&[10, 10], &[10, 10, 10], &[10]],
            2,
            40,
            Some(&[&[(0, 0..2), (1, 0..1)], &[(1, 1..3), (2, 0..1)]]),
        );
        // The first is as large as all others together.
        check(
            &[&[30], &[10], &[10], &[10]],
            2,
            40,
            Some(&[&[(0, 0..1)], &[(1, 0..1), (2, 0..1), (3, 0..1)]]),
        );
        // One row group is left for each file that is still to come.
        check(
            &[&[1, 1, 40]],
            3,
            40,
            Some(&[&[(0, 0..1)], &[(0, 1..2)], &[(0, 2..3)]]),
        );
        check(&[&[30], &[30]], 1, 40, None);
        check(&[&[30]], 2, 40, None);
    }
}
