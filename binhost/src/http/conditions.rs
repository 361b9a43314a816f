//! Conditional requests (RFC 9110, 13), as Portage and wget send them. Pure.
//!
//! Portage asks with `If-Modified-Since` = the TIMESTAMP it holds + 5 s (`util/_urlopen.py`). Since TIMESTAMPs of a
//! target are at least 6 s apart, "not modified since then" is exactly "no newer index".

use crate::clock::unix_seconds;
use axum::http::{HeaderMap, header};

/// What tells two versions apart.
pub(super) struct Validators {
    /// A strong `ETag`, quotes included.
    pub(super) etag: String,
    /// Unix seconds.
    pub(super) modified: i64,
}

/// True when the client has this version already.
pub(super) fn not_modified(headers: &HeaderMap, validators: &Validators) -> bool {
    if let Some(tags) = text(headers, &header::IF_NONE_MATCH) {
        let same = |tag: &str| tag == "*" || tag.strip_prefix("W/").unwrap_or(tag) == validators.etag;
        return tags.split(',').map(str::trim).any(same);
    }
    date(headers, &header::IF_MODIFIED_SINCE).is_some_and(|since| validators.modified <= since)
}

/// The range asked for, unless it was meant for another version (`If-Range`).
pub(super) fn range<'a>(headers: &'a HeaderMap, validators: &Validators) -> Option<&'a str> {
    if headers.contains_key(header::IF_RANGE) {
        let tag = text(headers, &header::IF_RANGE) == Some(&validators.etag);
        let same = tag || date(headers, &header::IF_RANGE) == Some(validators.modified);
        return text(headers, &header::RANGE).filter(|_| same);
    }
    text(headers, &header::RANGE)
}

fn text<'a>(headers: &'a HeaderMap, name: &header::HeaderName) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

fn date(headers: &HeaderMap, name: &header::HeaderName) -> Option<i64> {
    httpdate::parse_http_date(text(headers, name)?).ok().map(unix_seconds)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::system_time;

    const MODIFIED: i64 = 1_700_000_000;

    fn headers(pairs: &[(header::HeaderName, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.clone(), value.parse().unwrap())).collect()
    }

    fn since(seconds: i64) -> String {
        httpdate::fmt_http_date(system_time(seconds))
    }

    fn validators() -> Validators {
        Validators { etag: "\"a\"".to_owned(), modified: MODIFIED }
    }

    #[test]
    fn portages_question() {
        for (held, same) in [(MODIFIED, true), (MODIFIED - 6, false), (MODIFIED + 100, true)] {
            let asked = headers(&[(header::IF_MODIFIED_SINCE, &since(held + 5))]);
            assert_eq!(not_modified(&asked, &validators()), same, "{held}");
        }
        assert!(!not_modified(&headers(&[(header::IF_MODIFIED_SINCE, "yesterday")]), &validators()));
        assert!(!not_modified(&headers(&[]), &validators()));
    }

    #[test]
    fn a_tag_outweighs_a_date() {
        for (tags, same) in
            [("\"a\"", true), ("W/\"a\"", true), ("\"b\", \"a\"", true), ("*", true), ("\"b\"", false)]
        {
            let both = [(header::IF_NONE_MATCH, tags), (header::IF_MODIFIED_SINCE, &since(MODIFIED + 9))];
            assert_eq!(not_modified(&headers(&both), &validators()), same, "{tags}");
        }
    }

    #[test]
    fn a_range_of_another_version_is_none() {
        let date = since(MODIFIED);
        for (condition, kept) in
            [("\"a\"", true), ("\"b\"", false), ("W/\"a\"", false), (date.as_str(), true)]
        {
            let asked = headers(&[(header::RANGE, "bytes=0-"), (header::IF_RANGE, condition)]);
            assert_eq!(range(&asked, &validators()).is_some(), kept, "{condition}");
        }
    }
}
