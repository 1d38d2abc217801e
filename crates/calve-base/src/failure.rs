/// What every error of the workspace can say about itself.
///
/// Callers ask the error; they never match on its text.
pub trait Failure: std::error::Error {
    /// Whether the same call may succeed when it is tried again unchanged.
    fn is_retryable(&self) -> bool {
        false
    }

    /// What the user can do about it, as one imperative sentence without a final period.
    fn hint(&self) -> Option<String> {
        None
    }
}
