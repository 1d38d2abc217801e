/// Hears how far an operation is. Libraries report; only a driver draws.
///
/// Stages are named by what is counted, in the plural: `"files listed"`, `"footers read"`.
/// All methods may be called from any thread and must return quickly.
pub trait Progress: std::fmt::Debug + Send + Sync {
    /// A stage begins. `total` is how much it will count, when that is known.
    fn started(&self, stage: &'static str, total: Option<u64>);
    /// The stage has counted `count` more.
    fn advanced(&self, stage: &'static str, count: u64);
    /// The stage is over.
    fn finished(&self, stage: &'static str);
}

/// A stage that ends when this is dropped, whatever the reason.
#[derive(Debug)]
pub struct Stage<'a> {
    progress: &'a dyn Progress,
    name: &'static str,
}

impl<'a> Stage<'a> {
    /// Begins a stage.
    pub fn start(progress: &'a dyn Progress, name: &'static str, total: Option<u64>) -> Self {
        progress.started(name, total);
        Self { progress, name }
    }

    /// Counts.
    pub fn advance(&self, count: u64) {
        self.progress.advanced(self.name, count);
    }
}

impl Drop for Stage<'_> {
    fn drop(&mut self) {
        self.progress.finished(self.name);
    }
}

/// Hears nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoProgress;

impl Progress for NoProgress {
    fn started(&self, _stage: &'static str, _total: Option<u64>) {}
    fn advanced(&self, _stage: &'static str, _count: u64) {}
    fn finished(&self, _stage: &'static str) {}
}
