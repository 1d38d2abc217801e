//! Small files read whole, one request each, ahead of the scan that decodes them.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use calve_base::{Location, Scheme};
use calve_lake::footer::{FooterError, FooterReader};
use calve_storage::read_local_file;
use tokio::sync::oneshot;
use tokio::task::JoinSet;

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
    /// Those who read them.
    tasks: JoinSet<()>,
}

type Read = Result<Bytes, FooterError>;
type Fetch = oneshot::Receiver<Read>;

/// A file that is to be read, and who waits for it.
struct Wanted {
    location: Location,
    size: u64,
    done: oneshot::Sender<Read>,
}

/// How many local files are read by one thread, one after the other: to hand a small file from thread to thread costs
/// as much as to read it.
const LOCAL_LOT: usize = 8;

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
                tasks: JoinSet::new(),
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
            let fetch = fetch.unwrap_or_else(|| {
                let (wanted, fetch) = Wanted::new(location.clone(), size);
                self.fetch(&mut state, vec![wanted]);
                fetch
            });
            self.fill(&mut state);
            fetch
        };
        match fetch.await {
            Ok(bytes) => bytes.map(Some),
            // The runtime is shutting down, and with it whoever asks.
            Err(_) => Ok(None),
        }
    }

    /// Begins to read as many files as may be under way.
    fn fill(&self, state: &mut State) {
        loop {
            let lot = self.next_lot(state);
            if lot.is_empty() {
                return;
            }
            self.fetch(state, lot);
        }
    }

    /// The next files that may be read: one, or a few that one thread reads.
    fn next_lot(&self, state: &mut State) -> Vec<Wanted> {
        let is_local = |(location, _): &(Location, u64)| location.scheme() == Scheme::File;
        let most = if state.waiting.front().is_some_and(is_local) {
            LOCAL_LOT.min(self.bounds.files)
        } else {
            1
        };
        let free = self.bounds.files.saturating_sub(state.under_way.len());
        // Lots come to be small where they are made as soon as there is room for one more file.
        if free < most.min(state.waiting.len()) && !state.under_way.is_empty() {
            return Vec::new();
        }
        let mut lot = Vec::new();
        while lot.len() < most.min(free)
            && let Some((location, size)) = state.waiting.front().cloned()
            && state.bytes + size <= self.bounds.bytes
        {
            state.waiting.pop_front();
            state.bytes += size;
            let name = location.as_str().to_owned();
            let (wanted, fetch) = Wanted::new(location, size);
            state.under_way.insert(name, (size, fetch));
            lot.push(wanted);
        }
        lot
    }

    fn fetch(&self, state: &mut State, lot: Vec<Wanted>) {
        while state.tasks.try_join_next().is_some() {}
        let footers = self.footers.clone();
        state.tasks.spawn(async move {
            let is_local = |wanted: &Wanted| wanted.location.scheme() == Scheme::File;
            let left = if lot.iter().all(is_local) {
                let read = || lot.into_iter().filter_map(Wanted::read_here).collect();
                tokio::task::spawn_blocking(read).await.unwrap_or_default()
            } else {
                lot
            };
            for wanted in left {
                let file = lake_file(wanted.location, wanted.size);
                // Nobody waits any more where a scan was given up.
                let _ = wanted.done.send(footers.read_file(&file).await);
            }
        });
    }
}

impl Wanted {
    fn new(location: Location, size: u64) -> (Self, Fetch) {
        let (done, fetch) = oneshot::channel();
        let wanted = Self {
            location,
            size,
            done,
        };
        (wanted, fetch)
    }

    /// Reads a local file; gives back what has to be read otherwise, if only to learn what is wrong with it.
    fn read_here(self) -> Option<Self> {
        match read_local_file(&self.location, self.size) {
            Ok(bytes) => {
                let _ = self.done.send(Ok(bytes));
                None
            }
            Err(_) => Some(self),
        }
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
