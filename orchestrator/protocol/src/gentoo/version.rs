//! Which of two versions is newer (PMS 3.3). Both must be valid by PMS 3.2, as those of a [`super::Cpv`] are.

use std::cmp::Ordering;

/// Compares two versions, with their revisions.
pub(super) fn compare(a: &str, b: &str) -> Ordering {
    let (a, b) = (Parts::of(a), Parts::of(b));
    numbers(a.numbers, b.numbers)
        .then_with(|| a.letter.cmp(&b.letter))
        .then_with(|| suffixes(a.suffixes, b.suffixes))
        .then_with(|| number(a.revision, b.revision))
}

/// `1.2.3b_alpha4_p5-r6`, taken apart.
struct Parts<'a> {
    numbers: &'a str,
    letter: Option<char>,
    suffixes: &'a str,
    revision: &'a str,
}

impl<'a> Parts<'a> {
    fn of(version: &'a str) -> Self {
        let (version, revision) = version.rsplit_once("-r").unwrap_or((version, "0"));
        let (head, suffixes) = version.split_once('_').unwrap_or((version, ""));
        let letter = head.chars().next_back().filter(char::is_ascii_lowercase);
        let numbers = head.trim_end_matches(|c: char| c.is_ascii_lowercase());
        Self { numbers, letter, suffixes, revision }
    }
}

/// Any number of digits; an empty text is 0.
fn number(a: &str, b: &str) -> Ordering {
    let (a, b) = (a.trim_start_matches('0'), b.trim_start_matches('0'));
    a.len().cmp(&b.len()).then_with(|| a.cmp(b))
}

/// Algorithm 3.2 and 3.3: behind the first dot, a leading zero makes a component a decimal fraction.
fn numbers(a: &str, b: &str) -> Ordering {
    let (mut a, mut b) = (a.split('.'), b.split('.'));
    let first = number(a.next().unwrap_or_default(), b.next().unwrap_or_default());
    if first.is_ne() {
        return first;
    }
    loop {
        let ordering = match (a.next(), b.next()) {
            (None, None) => return Ordering::Equal,
            (a, b) if a.is_none() || b.is_none() => return a.is_some().cmp(&b.is_some()),
            (Some(a), Some(b)) if a.starts_with('0') || b.starts_with('0') => {
                a.trim_end_matches('0').cmp(b.trim_end_matches('0'))
            }
            (a, b) => number(a.unwrap_or_default(), b.unwrap_or_default()),
        };
        if ordering.is_ne() {
            return ordering;
        }
    }
}

/// Algorithm 3.5 and 3.6: `_alpha < _beta < _pre < _rc < nothing < _p`.
fn suffixes(a: &str, b: &str) -> Ordering {
    const KINDS: [&str; 6] = ["alpha", "beta", "pre", "rc", "", "p"];
    let kind = |suffix: &str| {
        let name = suffix.trim_end_matches(|c: char| c.is_ascii_digit());
        (KINDS.iter().position(|kind| *kind == name), name.len())
    };
    let (mut a, mut b) = (a.split('_'), b.split('_'));
    loop {
        let pair = (a.next(), b.next());
        if pair == (None, None) {
            return Ordering::Equal;
        }
        let (a, b) = (pair.0.unwrap_or_default(), pair.1.unwrap_or_default());
        let ((kind_a, from_a), (kind_b, from_b)) = (kind(a), kind(b));
        let ordering = kind_a.cmp(&kind_b).then_with(|| number(&a[from_a..], &b[from_b..]));
        if ordering.is_ne() {
            return ordering;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn newer_is_newer() {
        // From older to newer; the pairs are those that Portage's own tests (test_vercmp.py) are about.
        for (older, newer) in [
            ("4.0", "5.0"),
            ("5", "5.0"),
            ("1.0_pre2", "1.0_p2"),
            ("1.0_alpha2", "1.0_p2"),
            ("1.0_alpha1", "1.0_beta1"),
            ("1.0_beta3", "1.0_rc3"),
            ("1.001000000000000000001", "1.001000000000000000002"),
            ("1.00100000000", "1.0010000000000000001"),
            ("999999999999999999999999999998", "999999999999999999999999999999"),
            ("1.01", "1.1"),
            ("1.0-r0", "1.0-r1"),
            ("1.0", "1.0-r1"),
            ("1.0", "1.0b"),
            ("1.0b", "1.0c"),
            ("1_p", "1_p1"),
            ("1_rc1", "1"),
            ("2.9", "2.41"),
            ("12.2b", "12.2.5"),
        ] {
            assert_eq!(compare(older, newer), Ordering::Less, "{older} {newer}");
            assert_eq!(compare(newer, older), Ordering::Greater, "{older} {newer}");
        }
        for (one, other) in [("1.0", "1.0-r0"), ("1.0-r0", "1.0-r00"), ("4.0", "4.0"), ("1_p0", "1_p")] {
            assert_eq!(compare(one, other), Ordering::Equal, "{one} {other}");
        }
    }
}
