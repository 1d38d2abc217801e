//! Reads the rows of documents, on one thread or on several.
//!
//! One big document keeps all cores busy: its text is cut where a row seems to begin, and each segment
//! is read under the assumption that it stands where the first row stood. Whether it does is known once
//! the segment before it is read; if not (the cut was in a comment, in another row, in other elements),
//! the segment is read again from where things are known. So the rows and their order are those of
//! reading the text from its start, wherever it is cut.

mod cut;
mod join;

use std::sync::mpsc::{self, Receiver, SyncSender, TryRecvError};
use std::sync::{Mutex, PoisonError};

use crate::input::Input;
use crate::options::XmlOptions;
use crate::row_reader::RowReader;
use crate::rows::{RowTag, Segment, read_segment};
use crate::text;
use crate::{Error, Place, Result};

pub use crate::rows::Fault;

use cut::{Cut, Cutter, Guess};
use join::{Join, Outcome};

/// How large segments are, if nothing else is said: a segment and what is made of it are to stay in the caches nearest to a
/// core.
pub const DEFAULT_SEGMENT_BYTES: usize = 1024 * 1024;

/// What reading rows did.
#[derive(Debug, Default, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Report {
    /// Documents.
    pub documents: u64,
    /// Bytes of text, decompressed and decoded.
    pub text_bytes: u64,
    /// Rows that were read.
    pub rows: u64,
    /// Rows that were rejected.
    pub rejected_rows: u64,
    /// How often something between rows was not well-formed.
    pub faults: u64,
    /// The first of these faults, with their places.
    pub first_faults: Vec<Fault>,
    /// Segments that were read.
    pub segments: u64,
    /// Segments that had to be read again, because they did not begin where it was assumed.
    pub segments_read_again: u64,
}

/// Reads the rows of documents.
#[derive(Debug, Clone)]
#[must_use = "nothing is read until `run`"]
pub struct ReadRows<'a> {
    options: &'a XmlOptions,
    pool: Option<&'a rayon::ThreadPool>,
    segment_bytes: Option<usize>,
}

impl<'a> ReadRows<'a> {
    /// Reads on the calling thread.
    pub fn new(options: &'a XmlOptions) -> Self {
        Self {
            options,
            pool: None,
            segment_bytes: None,
        }
    }

    /// Reads on the pool's threads, and on the calling one whenever it would wait for them: for all of a machine's cores, the
    /// pool has one thread less. Documents are decompressed and cut on yet another.
    pub fn with_pool(mut self, pool: impl Into<Option<&'a rayon::ThreadPool>>) -> Self {
        self.pool = pool.into();
        self
    }

    /// Sets about how many bytes of text are read in one go. What is read does not depend on it.
    pub fn with_segment_bytes(mut self, segment_bytes: impl Into<Option<usize>>) -> Self {
        self.segment_bytes = segment_bytes.into().map(|bytes| bytes.max(1));
        self
    }

    /// Reads the documents one after another. Each thread gets readers from `make_reader`; `consume`
    /// gets their outputs in the order of the text, with the number of the document.
    ///
    /// # Errors
    /// The first error in the order of the text: of an input, of a reader, of `consume`, or of the
    /// documents.
    pub fn run<R, I, F, C>(&self, inputs: I, make_reader: F, consume: C) -> Result<Report>
    where
        R: RowReader,
        I: IntoIterator<Item = Result<Input>>,
        I::IntoIter: Send,
        F: Fn() -> Result<R> + Sync,
        C: FnMut(usize, R::Output) -> Result<()>,
    {
        let row_tag = RowTag::new(self.options)?;
        let guess = Mutex::default();
        let readers = Readers {
            make: &make_reader,
            idle: Mutex::default(),
        };
        let cutter = Cutter::new(
            inputs.into_iter(),
            self.options,
            &row_tag,
            self.segment_bytes.unwrap_or(DEFAULT_SEGMENT_BYTES),
            &guess,
        );
        let join = Join::new(self.options, &row_tag, &guess, &readers, consume);
        match self.pool {
            None => serially(cutter, join),
            Some(pool) => self.in_parallel(pool, cutter, join),
        }
    }

    fn in_parallel<R, I, F, C>(
        &self,
        pool: &rayon::ThreadPool,
        mut cutter: Cutter<'_, I>,
        mut join: Join<'_, R, F, C>,
    ) -> Result<Report>
    where
        R: RowReader,
        I: Iterator<Item = Result<Input>> + Send,
        F: Fn() -> Result<R> + Sync,
        C: FnMut(usize, R::Output) -> Result<()>,
    {
        let (options, row_tag, readers) = (self.options, join.row_tag(), join.readers());
        // The join waits for segments in their order, so this many may be under way. Those that are read when the text
        // ends are consumed when no more can be read beside it, so that they are not to be many.
        let window = pool.current_num_threads() + 1;
        let (pending, arrived) = mpsc::sync_channel::<Result<Receiver<Outcome<R::Output>>>>(window);
        let (give_back, given_back) = mpsc::channel::<Vec<u8>>();
        let (to_read, unread) = mpsc::channel::<(Cut, SyncSender<Outcome<R::Output>>)>();
        let unread = Mutex::new(unread);
        // Reads the next segment that nobody has begun; gives whether there was one.
        let read_one = || {
            let unread = unread.lock().unwrap_or_else(PoisonError::into_inner);
            let next = unread.try_recv();
            drop(unread);
            let Ok((cut, done)) = next else {
                return false;
            };
            // Nobody waits for it any more when the run has ended early.
            let _ = done.send(speculate(cut, options, row_tag, readers));
            true
        };
        let read_one = &read_one;
        pool.in_place_scope(|workers| {
            std::thread::scope(|threads| {
                threads.spawn(move || {
                    let spawn = |cut: Cut| {
                        let (done, outcome) = mpsc::sync_channel(1);
                        // Whoever reads it is there as long as this thread is.
                        let _ = to_read.send((cut, done));
                        workers.spawn(move |_| _ = read_one());
                        outcome
                    };
                    cut_all(&mut cutter, &given_back, &pending, spawn);
                });
                for outcome in arrived {
                    // A worker that does not answer has panicked; the scope passes that on.
                    let Some(outcome) = next(&outcome?, read_one) else {
                        break;
                    };
                    // The cutter may be gone already.
                    let _ = give_back.send(join.add(outcome)?);
                }
                Ok(())
            })
        })?;
        Ok(join.finish())
    }
}

/// What is to come next. While it is not there, its segment and others are read, as long as there are any.
fn next<O>(outcome: &Receiver<O>, read_one: impl Fn() -> bool) -> Option<O> {
    loop {
        match outcome.try_recv() {
            Ok(outcome) => return Some(outcome),
            Err(TryRecvError::Empty) if read_one() => {}
            Err(_) => return outcome.recv().ok(),
        }
    }
}

/// Cuts until nothing is left or nobody listens.
fn cut_all<I, O>(
    cutter: &mut Cutter<'_, I>,
    given_back: &Receiver<Vec<u8>>,
    pending: &SyncSender<Result<O>>,
    spawn: impl Fn(Cut) -> O,
) where
    I: Iterator<Item = Result<Input>>,
{
    while let Some(cut) = cutter
        .next_cut(given_back.try_recv().unwrap_or_default())
        .transpose()
    {
        let is_end = cut.is_err();
        if pending.send(cut.map(&spawn)).is_err() || is_end {
            break;
        }
    }
}

fn serially<R, I, F, C>(mut cutter: Cutter<'_, I>, mut join: Join<'_, R, F, C>) -> Result<Report>
where
    R: RowReader,
    I: Iterator<Item = Result<Input>>,
    F: Fn() -> Result<R> + Sync,
    C: FnMut(usize, R::Output) -> Result<()>,
{
    let mut buffer = Vec::new();
    while let Some(cut) = cutter.next_cut(buffer)? {
        buffer = join.add(Outcome::unread(cut))?;
    }
    Ok(join.finish())
}

/// Reads a segment under the assumption that goes with it.
fn speculate<R: RowReader, F: Fn() -> Result<R>>(
    cut: Cut,
    options: &XmlOptions,
    row_tag: &RowTag,
    readers: &Readers<'_, R, F>,
) -> Outcome<R::Output> {
    let Some(guess) = cut.guess.clone() else {
        return Outcome::unread(cut);
    };
    let Ok(text) = text::utf8(&cut.bytes) else {
        // The join tells of it, if it comes so far.
        return Outcome::unread(cut);
    };
    let segment = Segment {
        text,
        file: &cut.file,
        byte: cut.byte,
        line: cut.line,
        context: &guess.context,
        is_last: cut.is_last,
        limits: options.limits,
        mode: options.mode,
    };
    let read = readers.read(&segment, row_tag);
    Outcome::read(cut, read)
}

/// The readers that have nothing to do, and how more are made.
struct Readers<'f, R, F> {
    make: &'f F,
    idle: Mutex<Vec<R>>,
}

impl<R: RowReader, F: Fn() -> Result<R>> Readers<'_, R, F> {
    /// Reads a segment by one of the readers.
    fn read(&self, segment: &Segment<'_>, row_tag: &RowTag) -> Result<join::Read<R::Output>> {
        let idle = self
            .idle
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .pop();
        let mut reader = match idle {
            Some(reader) => reader,
            None => (self.make)()?,
        };
        let (rows, end) = read_segment(segment, row_tag, &mut reader)?;
        let output = reader.finish_segment()?;
        self.idle
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(reader);
        Ok(join::Read { rows, end, output })
    }
}

/// Where text is not UTF-8.
fn not_utf8(file: &str, byte: u64, line: u64, valid: &[u8]) -> Error {
    Error::Encoding {
        place: Place {
            file: file.to_owned(),
            byte: byte + valid.len() as u64,
            line: line + cut::lines(valid),
            path: String::new(),
        },
        encoding: "UTF-8".to_owned(),
    }
}

#[cfg(test)]
mod tests;
