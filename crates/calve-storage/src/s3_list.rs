//! Pages of listings. The keys are taken as the server writes them.

use calve_base::Location;
use quick_xml::Reader;
use quick_xml::events::Event;

use crate::error::Result;
use crate::s3::Bucket;
use crate::{ObjectInfo, listing};

/// One answer to a listing, in the order of keys.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Page {
    pub(crate) objects: Vec<Listed>,
    /// Keys of folders, each with its slash.
    pub(crate) folders: Vec<String>,
    /// Asks for the next page; `None` on the last.
    pub(crate) next: Option<String>,
}

/// An object as the server tells of it.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Listed {
    pub(crate) key: String,
    pub(crate) size: u64,
    pub(crate) last_modified_ms: i64,
    pub(crate) etag: Option<String>,
    /// `None` for the standard one.
    pub(crate) storage_class: Option<String>,
}

/// The storage class that is not worth a word.
const STANDARD: &str = "STANDARD";

/// Why an answer is no listing.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PageError {
    #[error("the listing is no XML: {0}")]
    Xml(#[from] quick_xml::Error),
    #[error("the listing's text is wrongly encoded: {0}")]
    Encoding(#[from] quick_xml::encoding::EncodingError),
    #[error("the answer is not a listing but <{0}>")]
    Other(String),
    #[error("the listing ends early")]
    Incomplete,
    #[error("the listing has a wrong {what}: `{text}`")]
    Value { what: &'static str, text: String },
}

/// What is asked for.
#[derive(Debug, Default)]
pub(crate) struct PageQuery {
    /// What the keys begin with.
    pub(crate) prefix: String,
    /// Whether what lies in deeper folders is told as these folders only.
    pub(crate) by_folder: bool,
    /// Where to begin, after a key.
    pub(crate) start_after: Option<String>,
    /// Where to go on, as the last page said.
    pub(crate) token: Option<String>,
}

impl PageQuery {
    pub(crate) fn new(prefix: String) -> Self {
        Self {
            prefix,
            ..Self::default()
        }
    }

    fn parameters(&self) -> Vec<(&str, &str)> {
        let mut query = Vec::with_capacity(5);
        if let Some(token) = &self.token {
            query.push(("continuation-token", token.as_str()));
        }
        if self.by_folder {
            query.push(("delimiter", "/"));
        }
        query.push(("list-type", "2"));
        if !self.prefix.is_empty() {
            query.push(("prefix", &self.prefix));
        }
        if let Some(key) = &self.start_after {
            query.push(("start-after", key));
        }
        query
    }
}

impl Bucket {
    /// One page of a listing.
    pub(crate) async fn page(&self, location: &Location, query: &PageQuery) -> Result<Page> {
        let listed = self.client.list(&query.parameters()).await;
        let listed = listed.and_then(|xml| {
            parse(&xml).map_err(|error| object_store::Error::Generic {
                store: "S3",
                source: Box::new(error),
            })
        });
        listed.map_err(|error| self.error(location, error))
    }
}

impl Page {
    /// The page's objects, spelled like a location.
    pub(crate) fn infos(
        objects: Vec<Listed>,
        like: &Location,
    ) -> impl Iterator<Item = Result<ObjectInfo>> {
        objects.into_iter().map(move |object| {
            Ok(ObjectInfo {
                location: listing::with_key(like, &object.key)?,
                size: object.size,
                last_modified_ms: object.last_modified_ms,
                etag: object.etag,
                storage_class: object.storage_class,
            })
        })
    }
}

/// Reads an answer.
fn parse(xml: &[u8]) -> Result<Page, PageError> {
    let mut reader = Reader::from_reader(xml);
    let mut builder = Builder::default();
    let mut text = String::new();
    let mut path: Vec<String> = Vec::new();
    loop {
        match reader.read_event()? {
            Event::Start(start) => {
                path.push(
                    reader
                        .decoder()
                        .decode(start.local_name().as_ref())?
                        .into_owned(),
                );
                text.clear();
            }
            Event::Text(part) => text.push_str(&part.decode()?),
            Event::CData(part) => text.push_str(&part.decode()?),
            Event::GeneralRef(part) => push_reference(&mut text, &part)?,
            Event::End(_) => {
                builder.end(&path, &mut text)?;
                path.pop();
                if path.is_empty() {
                    return builder.finish();
                }
            }
            Event::Empty(start) if path.is_empty() => {
                let name = start.local_name();
                is_listing(&reader.decoder().decode(name.as_ref())?)?;
                return builder.finish();
            }
            Event::Eof => return Err(PageError::Incomplete),
            _ => {}
        }
    }
}

fn push_reference(
    text: &mut String,
    reference: &quick_xml::events::BytesRef<'_>,
) -> Result<(), PageError> {
    if let Some(character) = reference.resolve_char_ref()? {
        text.push(character);
        return Ok(());
    }
    let name = reference.decode()?;
    let Some(resolved) = quick_xml::escape::resolve_predefined_entity(&name) else {
        return Err(PageError::Value {
            what: "entity",
            text: name.into_owned(),
        });
    };
    text.push_str(resolved);
    Ok(())
}

#[derive(Default)]
struct Builder {
    page: Page,
    current: Listed,
    is_truncated: bool,
}

impl Builder {
    /// An element has ended; `text` is what stood directly in it.
    fn end(&mut self, path: &[String], text: &mut String) -> Result<(), PageError> {
        let path: Vec<&str> = path.iter().map(String::as_str).collect();
        if let Some(root) = path.first() {
            is_listing(root)?;
        }
        match path.get(1..).unwrap_or_default() {
            ["Contents", "Key"] => self.current.key = std::mem::take(text),
            ["Contents", "Size"] => self.current.size = number(text)?,
            ["Contents", "LastModified"] => self.current.last_modified_ms = time(text)?,
            ["Contents", "ETag"] => self.current.etag = Some(std::mem::take(text)),
            ["Contents", "StorageClass"] => {
                let class = std::mem::take(text);
                self.current.storage_class = (class != STANDARD).then_some(class);
            }
            ["Contents"] => self.page.objects.push(std::mem::take(&mut self.current)),
            ["CommonPrefixes", "Prefix"] => self.page.folders.push(std::mem::take(text)),
            ["NextContinuationToken"] => self.page.next = Some(std::mem::take(text)),
            ["IsTruncated"] => self.is_truncated = text.trim() == "true",
            _ => {}
        }
        Ok(())
    }

    fn finish(self) -> Result<Page, PageError> {
        let mut page = self.page;
        page.next = page.next.filter(|token| !token.is_empty());
        if self.is_truncated && page.next.is_none() {
            // Going on would be to lose the rest.
            return Err(PageError::Value {
                what: "NextContinuationToken",
                text: String::new(),
            });
        }
        Ok(page)
    }
}

fn is_listing(root: &str) -> Result<(), PageError> {
    match root {
        "ListBucketResult" => Ok(()),
        other => Err(PageError::Other(other.to_owned())),
    }
}

fn number(text: &str) -> Result<u64, PageError> {
    text.trim().parse().map_err(|_| PageError::Value {
        what: "Size",
        text: text.to_owned(),
    })
}

fn time(text: &str) -> Result<i64, PageError> {
    chrono::DateTime::parse_from_rfc3339(text.trim())
        .map(|time| time.timestamp_millis())
        .map_err(|_| PageError::Value {
            what: "LastModified",
            text: text.to_owned(),
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_taken_as_they_are() {
        let xml = br#"<?xml version="1.0" encoding="UTF-8"?>
            <ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">
            <Name>b</Name><Prefix>a</Prefix><KeyCount>3</KeyCount>
            <IsTruncated>true</IsTruncated><NextContinuationToken>1==</NextContinuationToken>
            <Contents><Key>a/</Key><LastModified>2026-01-02T03:04:05.678Z</LastModified>
            <ETag>&quot;d41d&quot;</ETag><Size>0</Size><StorageClass>STANDARD</StorageClass></Contents>
            <Contents><Key>a//k=a%2Fb&amp;&lt;&#13;&#x1; +</Key>
            <LastModified>2026-01-02T03:04:05Z</LastModified><Size>12</Size>
            <StorageClass>DEEP_ARCHIVE</StorageClass></Contents>
            <CommonPrefixes><Prefix>a/k=1/</Prefix></CommonPrefixes>
            </ListBucketResult>"#;
        let page = parse(xml).unwrap();
        assert_eq!(page.next.as_deref(), Some("1=="));
        assert_eq!(page.folders, ["a/k=1/"]);
        let keys: Vec<_> = page
            .objects
            .iter()
            .map(|object| object.key.as_str())
            .collect();
        assert_eq!(keys, ["a/", "a//k=a%2Fb&<\r\u{1} +"]);
        assert_eq!(page.objects[0].etag.as_deref(), Some("\"d41d\""));
        assert_eq!(page.objects[0].last_modified_ms, 1_767_323_045_678);
        assert_eq!(page.objects[1].size, 12);
        let classes = page.objects.iter().map(|it| it.storage_class.as_deref());
        assert_eq!(classes.collect::<Vec<_>>(), [None, Some("DEEP_ARCHIVE")]);
        assert_eq!(parse(b"<ListBucketResult/>").unwrap(), Page::default());
    }

    #[track_caller]
    fn check_error(xml: &str, message: &str) {
        assert_eq!(parse(xml.as_bytes()).unwrap_err().to_string(), message);
    }

    #[test]
    fn what_is_no_listing() {
        check_error("", "the listing ends early");
        check_error("<ListBucketResult><Contents>", "the listing ends early");
        check_error("<html></html>", "the answer is not a listing but <html>");
        check_error("<Error/>", "the answer is not a listing but <Error>");
        check_error(
            "<ListBucketResult><Contents><Size>-1</Size></Contents></ListBucketResult>",
            "the listing has a wrong Size: `-1`",
        );
        check_error(
            "<ListBucketResult><IsTruncated>true</IsTruncated></ListBucketResult>",
            "the listing has a wrong NextContinuationToken: ``",
        );
    }
}
