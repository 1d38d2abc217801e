//! Small files read whole, one request each, ahead of the scan that decodes them.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use calve_base::Location;
use calve_lake::footer::{FooterError, FooterReader};
use datafusion::common::runtime::SpawnedTask;

use super::reader::lake_file;

/// How files of a scan are read ahead.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReadAhead {
    /// How many files are under way at once.
    pub files: usize,
    /// How many bytes wait to be decoded at most. The file that is asked for is read in any case.
    pub bytes: u64,
    /// Larger files are not read whole.
    pub max_file_bytes: u64,
}

/// Reads the files of one scan ahead, in the order in which the scan opens them.
#[derive(Debug)]
pub(super) struct FilesAhead {
    bounds: ReadAhead,
    footers: FooterReader,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// Files that nobody has begun to read.
    waiting: VecDeque<(Location, u64)>,
    /// Files that are being read, or are read and not yet asked for.
    under_way: HashMap<String, (u64, Fetch)>,
    /// Their size together.
    bytes: u64,
}

type Fetch = SpawnedTask<Result<Bytes, FooterError>>;

impl FilesAhead {
    /// `files` are places and sizes in the order of the scan.
    pub(super) fn new(
        bounds: ReadAhead,
        footers: FooterReader,
        files: impl Iterator<Item = (Location, u64)>,
    ) -> Self {
        let waiting = files.filter(|(_, size)| *size <= bounds.max_file_bytes);
        Self {
            bounds,
            footers,
            state: Mutex::new(State {
                waiting: waiting.collect(),
                under_way: HashMap::new(),
                bytes: 0,
            }),
        }
    }

    /// The bytes of a file that is about to be decoded; `None` where it is too large to be read whole.
    ///
    /// # Errors
    /// When the file is not as it was listed, or the store fails.
    pub(super) async fn take(
        &self,
        (location, size): (&Location, u64),
    ) -> Result<Option<Bytes>, FooterError> {
        if size > self.bounds.max_file_bytes {
            return Ok(None);
        }
        let fetch = {
            let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            let fetch = state.take(location);
            // A file may be asked for before its turn: when larger ones are under way, or when it is read twice.
            let fetch = fetch.unwrap_or_else(|| self.fetch(location.clone(), size));
            self.fill(&mut state);
            fetch
        };
        match fetch.join_unwind().await {
            Ok(bytes) => bytes.map(Some),
            // The runtime is shutting down, and with it whoever asks.
            Err(_) => Ok(None),
        }
    }

    /// Begins to read as many files as may be under way.
    fn fill(&self, state: &mut State) {
        while state.under_way.len() < self.bounds.files {
            let Some((location, size)) = state.waiting.front() else {
                return;
            };
            if state.bytes + size > self.bounds.bytes {
                return;
            }
            let (name, size) = (location.as_str().to_owned(), *size);
            let fetch = self.fetch(location.clone(), size);
            state.waiting.pop_front();
            state.bytes += size;
            state.under_way.insert(name, (size, fetch));
        }
    }

    fn fetch(&self, location: Location, size: u64) -> Fetch {
        let footers = self.footers.clone();
        SpawnedTask::spawn(async move { footers.read_file(&lake_file(location, size)).await })
    }
}

impl State {
    fn take(&mut self, location: &Location) -> Option<Fetch> {
        if let Some((size, fetch)) = self.under_way.remove(location.as_str()) {
            self.bytes -= size;
            return Some(fetch);
        }
        let at = self
            .waiting
            .iter()
            .position(|(waiting, _)| waiting == location)?;
        self.waiting.remove(at);
        None
    }
}
