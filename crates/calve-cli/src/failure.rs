//! What errors say to the user: their chain of causes, and the hint of the one that knows best.

use calve::base::Failure;

use crate::status::ExitStatus;

/// A command cannot do what was asked, and says what to do instead.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub(crate) struct Refusal {
    pub(crate) message: String,
    pub(crate) hint: String,
    /// Whether what was read is the problem, or how it was asked for.
    pub(crate) status: ExitStatus,
}

impl Failure for Refusal {
    fn hint(&self) -> Option<String> {
        Some(self.hint.clone())
    }
}

/// The message of an error with its causes, each on a line, and its hint.
pub(crate) fn describe(error: &anyhow::Error) -> (String, Option<String>) {
    let mut message = error.to_string();
    let mut last = message.clone();
    for cause in error.chain().skip(1) {
        let cause = cause.to_string();
        // Some errors already tell their cause in their own words.
        if !last.contains(&cause) {
            message.push_str("\n  caused by: ");
            message.push_str(&cause.replace('\n', "\n  "));
        }
        last = cause;
    }
    (message, error.chain().find_map(hint))
}

/// How a run ended that ended with this error: what it read may be the problem, and not how it was told to.
pub(crate) fn status(error: &anyhow::Error) -> ExitStatus {
    if let Some(refusal) = error.downcast_ref::<Refusal>() {
        return refusal.status;
    }
    let in_data = |cause: &(dyn std::error::Error + 'static)| {
        let rows = cause.downcast_ref::<calve::xml::Error>();
        let table = cause.downcast_ref::<calve::migrate::Error>();
        rows.is_some_and(calve::xml::Error::is_in_data)
            || matches!(table, Some(calve::migrate::Error::SchemaWouldChange { .. }))
    };
    if error.chain().any(in_data) {
        ExitStatus::Problem
    } else {
        ExitStatus::Failed
    }
}

/// The hint of one error of the chain, if it is one of calve's own.
fn hint(error: &(dyn std::error::Error + 'static)) -> Option<String> {
    macro_rules! ask {
        ($($kind:ty),+ $(,)?) => {
            $(if let Some(error) = error.downcast_ref::<$kind>() {
                return error.hint();
            })+
        };
    }
    ask!(
        crate::settings::Error,
        Refusal,
        calve::catalog::Error,
        calve::storage::Error,
        calve::migrate::Error,
        calve::lake::Error,
        calve::query::Error,
        calve::table::Error,
        calve::compact::Error,
        calve::verify::Error,
        calve::xml::Error,
    );
    None
}
