use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// The kinds of requests that are told apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Operation {
    /// Reads an object or a part of it.
    Get,
    /// Asks for an object's size and times.
    Head,
    /// Writes an object in one request.
    Put,
    /// Deletes one object, or up to 1,000 by one request.
    Delete,
    /// One page of a listing.
    List,
    /// Begins, continues, completes or aborts an upload in parts.
    Multipart,
    /// Anything about buckets, and the rest.
    Other,
}

impl Operation {
    /// Finds the kind from a request's line.
    pub(crate) fn of(method: &str, key: &str, query: &str) -> Self {
        let has = |name: &str| {
            query
                .split('&')
                .any(|pair| pair.split('=').next() == Some(name))
        };
        match method {
            _ if has("uploads") || has("uploadId") => Self::Multipart,
            "GET" if key.is_empty() && (has("list-type") || has("prefix")) => Self::List,
            "GET" if !key.is_empty() => Self::Get,
            "HEAD" if !key.is_empty() => Self::Head,
            "PUT" if !key.is_empty() => Self::Put,
            "DELETE" if !key.is_empty() => Self::Delete,
            "POST" if has("delete") => Self::Delete,
            _ => Self::Other,
        }
    }
}

/// What goes wrong with a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// The answer comes this much later.
    Latency(Duration),
    /// `503 SlowDown`, as S3 answers when it throttles; nothing was done.
    SlowDown,
    /// Any status with an S3 error code; nothing was done.
    Status(u16, &'static str),
    /// The connection breaks before the request is done.
    Reset,
    /// The request is done, then the connection breaks before the answer.
    ResetAfter,
    /// The request is done, then the answer is `500 InternalError`.
    ErrorAfter,
    /// The connection breaks after so many bytes of the answer's body.
    Truncate(usize),
}

/// Which of the requests that a rule is for suffer its fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// All of them.
    Always,
    /// The first so many.
    First(u64),
    /// Every one whose number, counted from 1, is a multiple of this.
    Every(u64),
}

/// A fault and the requests that suffer it.
#[derive(Debug)]
pub struct Rule {
    fault: Fault,
    when: When,
    operation: Option<Operation>,
    key_part: Option<String>,
    seen: AtomicU64,
}

impl Rule {
    /// A rule for all requests.
    pub fn new(fault: Fault, when: When) -> Self {
        Self {
            fault,
            when,
            operation: None,
            key_part: None,
            seen: AtomicU64::new(0),
        }
    }

    /// Narrows the rule to one kind of request.
    #[must_use]
    pub fn for_operation(mut self, operation: Operation) -> Self {
        self.operation = Some(operation);
        self
    }

    /// Narrows the rule to requests whose key (for listings: whose prefix) contains this text.
    #[must_use]
    pub fn for_key(mut self, part: impl Into<String>) -> Self {
        self.key_part = Some(part.into());
        self
    }

    /// The fault of a request, which is counted when the rule is for it.
    pub(crate) fn strike(&self, operation: Operation, key: &str) -> Option<Fault> {
        let concerned = self.operation.is_none_or(|wanted| wanted == operation)
            && self
                .key_part
                .as_ref()
                .is_none_or(|part| key.contains(part.as_str()));
        if !concerned {
            return None;
        }
        let number = self.seen.fetch_add(1, Ordering::Relaxed) + 1;
        let strikes = match self.when {
            When::Always => true,
            When::First(count) => number <= count,
            When::Every(step) => step != 0 && number.is_multiple_of(step),
        };
        strikes.then(|| self.fault.clone())
    }
}

/// One request, as the server saw it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// Its kind.
    pub operation: Operation,
    /// The bucket.
    pub bucket: String,
    /// The decoded key; of a listing, the decoded prefix.
    pub key: String,
    /// The bytes asked for, as the header says them: `bytes=0-9`.
    pub range: Option<String>,
    /// The fault that struck, if any.
    pub fault: Option<Fault>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(method: &str, key: &str, query: &str, operation: Operation) {
        assert_eq!(Operation::of(method, key, query), operation);
    }

    #[test]
    fn kinds() {
        check("GET", "", "list-type=2&prefix=a", Operation::List);
        check("GET", "k", "", Operation::Get);
        check("HEAD", "k", "", Operation::Head);
        check("HEAD", "", "", Operation::Other);
        check("PUT", "k", "", Operation::Put);
        check("PUT", "", "", Operation::Other);
        check("POST", "", "delete", Operation::Delete);
        check("DELETE", "k", "", Operation::Delete);
        check("DELETE", "k", "uploadId=1", Operation::Multipart);
        check("POST", "k", "uploads", Operation::Multipart);
    }

    #[test]
    fn rules_count_only_what_they_are_for() {
        let rule = Rule::new(Fault::SlowDown, When::First(1))
            .for_operation(Operation::Get)
            .for_key("a/");
        assert_eq!(rule.strike(Operation::Put, "a/b"), None);
        assert_eq!(rule.strike(Operation::Get, "b"), None);
        assert_eq!(rule.strike(Operation::Get, "a/b"), Some(Fault::SlowDown));
        assert_eq!(rule.strike(Operation::Get, "a/b"), None);
        let rule = Rule::new(Fault::Reset, When::Every(2));
        let struck = [1, 2, 3, 4].map(|_| rule.strike(Operation::Get, "").is_some());
        assert_eq!(struck, [false, true, false, true]);
    }
}
