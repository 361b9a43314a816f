//! One byte range (RFC 9110, 14.1.2): what `wget --continue` and Portage's metadata reader ask for. Pure.

/// Which part of a file to send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Range {
    /// All of it; also where the range is malformed or there are several, as the RFC allows.
    Whole,
    /// The bytes from `first` to `last`, both included.
    Part {
        /// The first byte.
        first: u64,
        /// The last byte.
        last: u64,
    },
    /// It lies behind the end.
    Unsatisfiable,
}

/// The part of a file of `size` bytes that a `Range` header selects.
pub(super) fn select(header: Option<&str>, size: u64) -> Range {
    header.and_then(|header| part(header.trim(), size)).unwrap_or(Range::Whole)
}

fn part(header: &str, size: u64) -> Option<Range> {
    let (unit, range) = header.split_once('=')?;
    let (first, last) = range.trim().split_once('-').filter(|_| unit.eq_ignore_ascii_case("bytes"))?;
    if first.is_empty() {
        let suffix = number(last)?;
        let first = size.saturating_sub(suffix);
        let empty = suffix == 0 || size == 0;
        return Some(if empty { Range::Unsatisfiable } else { Range::Part { first, last: size - 1 } });
    }
    let first = number(first)?;
    let last = if last.is_empty() { u64::MAX } else { number(last)? };
    if last < first {
        return None;
    }
    Some(if first >= size { Range::Unsatisfiable } else { Range::Part { first, last: last.min(size - 1) } })
}

fn number(text: &str) -> Option<u64> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn ranges() {
        let part = |first, last| Range::Part { first, last };
        for (header, selected) in [
            ("bytes=0-", part(0, 9)),
            ("bytes=3-", part(3, 9)),
            ("bytes=3-3", part(3, 3)),
            ("Bytes= 3-4 ", part(3, 4)),
            ("bytes=3-99999999999999999999999", part(3, 9)),
            ("bytes=-4", part(6, 9)),
            ("bytes=-40", part(0, 9)),
            ("bytes=10-", Range::Unsatisfiable),
            ("bytes=99999999999999999999999-", Range::Unsatisfiable),
            ("bytes=-0", Range::Unsatisfiable),
            ("bytes=5-3", Range::Whole),
            ("bytes=0-1,3-4", Range::Whole),
            ("bytes=-", Range::Whole),
            ("bytes=+1-", Range::Whole),
            ("lines=1-2", Range::Whole),
            ("", Range::Whole),
        ] {
            assert_eq!(select(Some(header), 10), selected, "{header}");
        }
        assert_eq!(select(None, 10), Range::Whole);
        assert_eq!(select(Some("bytes=-1"), 0), Range::Unsatisfiable);
    }

    proptest! {
        /// Resumed anywhere, the parts make up the whole.
        #[test]
        fn parts_lie_within(size in 0_u64..1000, first in 0_u64..1100, last in 0_u64..1100) {
            let rest = select(Some(&format!("bytes={first}-")), size);
            let expected = if first < size { Range::Part { first, last: size - 1 } } else { Range::Unsatisfiable };
            prop_assert_eq!(rest, expected);
            if let Range::Part { first: from, last: to } = select(Some(&format!("bytes={first}-{last}")), size) {
                prop_assert_eq!((from, to), (first, last.min(size - 1)));
            }
            if let Range::Part { first: from, last: to } = select(Some(&format!("bytes=-{last}")), size) {
                prop_assert_eq!((to - from + 1, to), (last.min(size), size - 1));
            }
        }

        /// Whatever is asked, a part has bytes and lies within the file.
        #[test]
        fn any_header(header in "(bytes=)?[-0-9, a-z]{0,30}", size: u64) {
            if let Range::Part { first, last } = select(Some(&header), size) {
                prop_assert!(first <= last && last < size);
            }
        }
    }
}
