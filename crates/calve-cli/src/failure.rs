//! What errors say to the user: their chain of causes, and the hint of the one that knows best.

use calve::base::Failure;

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
