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

/// Hears nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoProgress;

impl Progress for NoProgress {
    fn started(&self, _stage: &'static str, _total: Option<u64>) {}
    fn advanced(&self, _stage: &'static str, _count: u64) {}
    fn finished(&self, _stage: &'static str) {}
}
