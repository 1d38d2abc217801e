//! How Hive and Spark write partition folders, `key=value`, and how to read them.

/// What stands for null in a folder's name and in a metastore.
pub const NULL_PARTITION: &str = "__HIVE_DEFAULT_PARTITION__";

/// Reads a name as Hive does: `%` and two hexadecimal digits are one character, everything else is
/// itself. A `+` stays, and so does a `%` that no two digits follow.
///
/// Hive escapes ASCII characters only. Where escapes of other bytes come in a row that is valid
/// UTF-8, a URI encoder has written them (Arrow's, for one), and they are read as it meant them;
/// Hive would read each byte as a character of its own.
///
/// ```
/// use calve_lake::hive_path::unescape;
/// assert_eq!(unescape("a%2Fb+c%"), "a/b+c%");
/// assert_eq!(unescape("S%C3%A3o"), "São");
/// assert_eq!(unescape("%E9"), "é");
/// ```
pub fn unescape(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut unescaped = String::with_capacity(text.len());
    let (mut index, mut copied) = (0, 0);
    while index < bytes.len() {
        if escaped_byte(bytes, index).is_none() {
            index += 1;
            continue;
        }
        unescaped.push_str(&text[copied..index]);
        let mut run = Vec::new();
        while let Some(byte) = escaped_byte(bytes, index) {
            run.push(byte);
            index += 3;
        }
        copied = index;
        match std::str::from_utf8(&run) {
            Ok(run) => unescaped.push_str(run),
            Err(_) => unescaped.extend(run.into_iter().map(char::from)),
        }
    }
    unescaped.push_str(&text[copied..]);
    unescaped
}

/// Writes a name as Hive does: control characters and `"#%'*/:=?\{[]^` are escaped.
///
/// ```
/// use calve_lake::hive_path::escape;
/// assert_eq!(escape("a/b c+é"), "a%2Fb c+é");
/// ```
pub fn escape(text: &str) -> String {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '\u{1}'..='\u{1f}'
            | '\u{7f}'
            | '"'
            | '#'
            | '%'
            | '\''
            | '*'
            | '/'
            | ':'
            | '='
            | '?'
            | '\\'
            | '{'
            | '['
            | ']'
            | '^' => {
                let code = character as usize;
                escaped.push('%');
                escaped.push(char::from(DIGITS[code >> 4]));
                escaped.push(char::from(DIGITS[code & 15]));
            }
            other => escaped.push(other),
        }
    }
    escaped
}

/// What one component of a path is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Component {
    /// `_temporary`, `.staging`: no data below. `_column=1` is a partition all the same.
    Hidden,
    /// `key=value`; `None` is null.
    Pair(String, Option<String>),
    /// `=value`.
    EmptyKey,
    /// A folder that is no partition.
    Plain,
}

/// Reads one folder's name.
pub(crate) fn folder_component(name: &str) -> Component {
    let pair = name.split_once('=');
    if name.starts_with('.') || (name.starts_with('_') && pair.is_none()) {
        return Component::Hidden;
    }
    match pair {
        None => Component::Plain,
        Some(("", _)) => Component::EmptyKey,
        Some((key, NULL_PARTITION)) => Component::Pair(unescape(key), None),
        Some((key, value)) => Component::Pair(unescape(key), Some(unescape(value))),
    }
}

/// Whether a file's name says that it is no data.
pub(crate) fn is_hidden_file(name: &str) -> bool {
    // `._COPYING_` is what Hadoop calls a file that is still being copied.
    name.starts_with(['_', '.']) || name.ends_with("._COPYING_")
}

/// Whether a file's name says that it stands for a folder.
pub(crate) fn is_folder_marker(name: &str) -> bool {
    name.is_empty() || name.ends_with("_$folder$")
}

/// Whether two names of keys or columns are one to Hive, which knows no case.
pub(crate) fn same_name(left: &str, right: &str) -> bool {
    left.eq_ignore_ascii_case(right)
        || (!left.is_ascii() && left.to_lowercase() == right.to_lowercase())
}

fn escaped_byte(bytes: &[u8], index: usize) -> Option<u8> {
    let [b'%', high, low] = *bytes.get(index..index + 3)? else {
        return None;
    };
    let digit = |byte: u8| char::from(byte).to_digit(16);
    u8::try_from(digit(high)? << 4 | digit(low)?).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_hive_escapes_is_read_back(text in any::<String>()) {
            prop_assert_eq!(unescape(&escape(&text)), text);
        }

        #[test]
        fn what_a_uri_encoder_escapes_is_read_back(text in any::<String>()) {
            let encoded: Vec<String> = text.bytes().map(|byte| format!("%{byte:02x}")).collect();
            let encoded = encoded.concat();
            prop_assert_eq!(unescape(&encoded), text);
        }

        #[test]
        fn any_name_can_be_read(text in any::<String>()) {
            let _ = (unescape(&text), folder_component(&text));
        }
    }

    #[test]
    fn escapes() {
        for (escaped, text) in [
            ("", ""),
            ("a%2Fb", "a/b"),
            ("a%2fb", "a/b"),
            ("a%252Fb", "a%2Fb"),
            ("%", "%"),
            ("100%", "100%"),
            ("%4", "%4"),
            ("%zz", "%zz"),
            ("%+1", "%+1"),
            ("a+b", "a+b"),
            ("%20 +", "  +"),
            ("%%41", "%A"),
            ("%C3%A9", "é"),
            ("%E9", "é"),
            ("%E9%C3", "éÃ"),
            ("é%é", "é%é"),
            ("日本%2F語", "日本/語"),
        ] {
            assert_eq!(unescape(escaped), text, "{escaped}");
        }
    }

    #[test]
    fn the_generator_of_the_tests_escapes_alike() {
        for value in calve_testkit::lakes::HARD_VALUES {
            let folder = calve_testkit::lakes::hive_folder("k", *value);
            let pair = Component::Pair("k".to_owned(), value.map(str::to_owned));
            assert_eq!(folder_component(&folder), pair);
        }
    }

    #[test]
    fn components() {
        let pair = |key: &str, value: Option<&str>| {
            Component::Pair(key.to_owned(), value.map(str::to_owned))
        };
        for (name, component) in [
            ("a=1", pair("a", Some("1"))),
            ("a=", pair("a", Some(""))),
            ("a=b=c", pair("a", Some("b=c"))),
            ("a=__HIVE_DEFAULT_PARTITION__", pair("a", None)),
            ("a=NULL", pair("a", Some("NULL"))),
            ("a%3Db=1", pair("a=b", Some("1"))),
            ("_a=1", pair("_a", Some("1"))),
            (".a=1", Component::Hidden),
            ("_temporary", Component::Hidden),
            ("=1", Component::EmptyKey),
            ("folder", Component::Plain),
        ] {
            assert_eq!(folder_component(name), component, "{name}");
        }
    }
}
