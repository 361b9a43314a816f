//! Conditional requests (RFC 9110, 13), as Portage and wget send them. Pure.
//!
//! Portage asks with `If-Modified-Since` = the TIMESTAMP it holds + 5 s (`util/_urlopen.py`). Since TIMESTAMPs of a
//! target are at least 6 s apart, "not modified since then" is exactly "no newer index". For the same reason a date is
//! as strong a validator as a tag: no two versions share one.

use crate::clock::unix_seconds;
use axum::http::{HeaderMap, header};

/// What tells two versions apart.
#[derive(Clone, Debug)]
pub(super) struct Validators {
    /// A strong `ETag`, quotes included.
    pub(super) etag: String,
    /// Unix seconds.
    pub(super) modified: i64,
}

/// What the conditions of a GET or HEAD come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Answer as if there were none.
    Go,
    /// The client has this version already: 304.
    NotModified,
    /// The client wants another version than this: 412.
    Failed,
}

/// Judges the conditions in the order of RFC 9110, 13.2.2: a tag outweighs a date.
pub(super) fn judge(headers: &HeaderMap, validators: &Validators) -> Verdict {
    let wanted = match tags(headers, &header::IF_MATCH, |tag| tag == validators.etag) {
        Some(wanted) => wanted,
        None => date(headers, &header::IF_UNMODIFIED_SINCE).is_none_or(|since| validators.modified <= since),
    };
    if !wanted {
        return Verdict::Failed;
    }
    let weak = |tag: &str| tag.strip_prefix("W/").unwrap_or(tag) == validators.etag;
    let held = match tags(headers, &header::IF_NONE_MATCH, weak) {
        Some(held) => held,
        None => date(headers, &header::IF_MODIFIED_SINCE).is_some_and(|since| validators.modified <= since),
    };
    if held { Verdict::NotModified } else { Verdict::Go }
}

/// Whether any tag of the list is `same`; none without a list. The list may be spread over several header lines.
fn tags(headers: &HeaderMap, name: &header::HeaderName, same: impl Fn(&str) -> bool) -> Option<bool> {
    let mut lists = headers.get_all(name).iter().peekable();
    lists.peek()?;
    let mut tags = lists.filter_map(|list| list.to_str().ok()).flat_map(|list| list.split(','));
    Some(tags.any(|tag| tag.trim() == "*" || same(tag.trim())))
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

/// The value of a header that comes once; one that comes twice says nothing.
fn text<'a>(headers: &'a HeaderMap, name: &header::HeaderName) -> Option<&'a str> {
    let mut lines = headers.get_all(name).iter();
    let line = lines.next()?.to_str().ok()?;
    lines.next().is_none().then_some(line)
}

fn date(headers: &HeaderMap, name: &header::HeaderName) -> Option<i64> {
    httpdate::parse_http_date(text(headers, name)?).ok().map(unix_seconds)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::system_time;
    use proptest::prelude::*;

    const MODIFIED: i64 = 1_700_000_000;

    fn headers(pairs: &[(header::HeaderName, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(name, value.parse().unwrap());
        }
        headers
    }

    fn since(seconds: i64) -> String {
        httpdate::fmt_http_date(system_time(seconds))
    }

    fn validators() -> Validators {
        Validators { etag: "\"a\"".to_owned(), modified: MODIFIED }
    }

    fn verdict(pairs: &[(header::HeaderName, &str)]) -> Verdict {
        judge(&headers(pairs), &validators())
    }

    #[test]
    fn no_condition_or_one_that_cannot_be_read() {
        assert_eq!(verdict(&[]), Verdict::Go);
        for name in [header::IF_MODIFIED_SINCE, header::IF_UNMODIFIED_SINCE] {
            assert_eq!(verdict(&[(name.clone(), "yesterday")]), Verdict::Go);
            let twice = [(name.clone(), since(0)), (name, since(MODIFIED))];
            let twice: Vec<_> = twice.iter().map(|(name, date)| (name.clone(), date.as_str())).collect();
            assert_eq!(verdict(&twice), Verdict::Go);
        }
    }

    #[test]
    fn a_tag_outweighs_a_date() {
        for (list, same) in [
            ("\"a\"", true),
            ("W/\"a\"", true),
            ("\"b\", \"a\"", true),
            ("*", true),
            ("\"b\"", false),
            ("", false),
        ] {
            let both = [(header::IF_NONE_MATCH, list), (header::IF_MODIFIED_SINCE, &since(MODIFIED + 9))];
            let expected = if same { Verdict::NotModified } else { Verdict::Go };
            assert_eq!(verdict(&both), expected, "{list}");
        }
        let lines = [(header::IF_NONE_MATCH, "\"b\""), (header::IF_NONE_MATCH, "\"a\"")];
        assert_eq!(verdict(&lines), Verdict::NotModified);
    }

    #[test]
    fn another_version_is_wanted() {
        for (list, same) in
            [("\"a\"", true), ("*", true), ("\"b\",\"a\"", true), ("W/\"a\"", false), ("\"b\"", false)]
        {
            let both = [(header::IF_MATCH, list), (header::IF_UNMODIFIED_SINCE, &since(MODIFIED - 1))];
            let expected = if same { Verdict::Go } else { Verdict::Failed };
            assert_eq!(verdict(&both), expected, "{list}");
        }
        assert_eq!(verdict(&[(header::IF_UNMODIFIED_SINCE, &since(MODIFIED - 1))]), Verdict::Failed);
        assert_eq!(verdict(&[(header::IF_UNMODIFIED_SINCE, &since(MODIFIED))]), Verdict::Go);
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
        let twice = headers(&[(header::RANGE, "bytes=0-1"), (header::RANGE, "bytes=3-4")]);
        assert_eq!(range(&twice, &validators()), None);
    }

    proptest! {
        /// A client that holds a version asks with its TIMESTAMP + 5, and must hear of every later one (law 9).
        #[test]
        fn portages_question(held in 0_i64..2_000_000_000, later in 6_i64..1_000_000) {
            let asked = headers(&[(header::IF_MODIFIED_SINCE, &since(held + 5))]);
            let at = |modified| judge(&asked, &Validators { etag: "\"a\"".to_owned(), modified });
            prop_assert_eq!(at(held), Verdict::NotModified);
            prop_assert_eq!(at(held + later), Verdict::Go);
        }

        /// Whatever is sent, it is judged, and a tag that is not ours never hides a version.
        #[test]
        fn foreign_tags_hide_nothing(list in "[ -~]{0,40}", date in "[ -~]{0,40}") {
            prop_assume!(!list.contains("\"a\"") && !list.split(',').any(|tag| tag.trim() == "*"));
            let asked = headers(&[(header::IF_NONE_MATCH, &list), (header::IF_MODIFIED_SINCE, &date)]);
            prop_assert_eq!(judge(&asked, &validators()), Verdict::Go);
        }
    }
}
