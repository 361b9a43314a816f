//! Atoms as Portage's native parser takes them (`dep_parser_core.c`, `scan_atom`), and their USE dependencies.
//!
//! ```text
//! !!>=dev-libs/foo-1.2_rc3-r1:0/2=[ssl,test?,!gtk=,x(+)]
//! ^blocker, operator           ^slot
//!     ^category/name-version      ^USE dependencies
//! ```

use super::EvaluateError;
use std::collections::{BTreeMap, BTreeSet};

/// The atom with its conditional USE dependencies evaluated (`_use_dep.evaluate_conditionals`).
pub(super) fn evaluate(atom: &str, enabled: &BTreeSet<&str>) -> Result<String, EvaluateError> {
    let refuse = || EvaluateError::unexpected(atom, "an atom");
    let (plain, flags) = match atom.split_once('[') {
        Some((plain, flags)) => (plain, Some(flags.strip_suffix(']').ok_or_else(refuse)?)),
        None => (atom, None),
    };
    let (package, slot) =
        plain.split_once(':').map_or((plain, None), |(package, slot)| (package, Some(slot)));
    if !is_package(package) || !slot.is_none_or(is_slot) {
        return Err(refuse());
    }
    let Some(flags) = flags else { return Ok(atom.to_owned()) };
    let flags = flags.split(',').map(UseDep::parse).collect::<Option<Vec<_>>>().ok_or_else(refuse)?;
    if !defaults_agree(&flags) {
        return Err(refuse());
    }
    let flags: Vec<_> = flags.iter().filter_map(|flag| flag.evaluate(enabled)).collect();
    let flags = if flags.is_empty() { String::new() } else { format!("[{}]", flags.join(",")) };
    Ok(format!("{plain}{flags}"))
}

/// A flag's name, as conditionals have it.
pub(super) fn is_flag(text: &str) -> bool {
    text.starts_with(is_name_character)
        && text.chars().all(|c| is_name_character(c) || matches!(c, '-' | '@'))
}

fn is_name_character(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '+' | '_')
}

/// `+` may come anywhere but first.
fn is_first(c: char) -> bool {
    is_name_character(c) && c != '+'
}

fn is_word(text: &str, also: char) -> bool {
    text.starts_with(is_first) && text.chars().all(|c| is_name_character(c) || c == '-' || c == also)
}

/// Blocker, operator, category, name and version. With an operator comes a version, and a name does not end in one.
fn is_package(text: &str) -> bool {
    let text = text.strip_prefix("!!").or_else(|| text.strip_prefix('!')).unwrap_or(text);
    let rest = text.trim_start_matches(['<', '>', '=', '~']);
    let operator = &text[..text.len() - rest.len()];
    let Some((category, pf)) = rest.split_once('/') else { return false };
    if !is_word(category, '.') || !pf.starts_with(is_first) {
        return false;
    }
    let version = pf.match_indices('-').map(|(at, _)| at).find(|at| is_version(&pf[at + 1..]));
    let name = &pf[..version.unwrap_or(pf.len())];
    let glob = version.is_some() && pf.ends_with('*');
    let fits = match operator {
        "" => version.is_none(),
        "=" => version.is_some(),
        "<" | ">" | "<=" | ">=" | "~" => version.is_some() && !glob,
        _ => false,
    };
    fits && is_word(name, '-') && !name.match_indices('-').any(|(at, _)| is_version(&name[at + 1..]))
}

/// PMS 3.2, with `*` behind it.
fn is_version(text: &str) -> bool {
    let text = text.strip_suffix('*').unwrap_or(text);
    let (text, revision) = text.rsplit_once("-r").map_or((text, None), |(text, number)| (text, Some(number)));
    let mut parts = text.split('_');
    let numbers = parts.next().unwrap_or_default();
    let numbers = numbers.strip_suffix(|c: char| c.is_ascii_lowercase()).unwrap_or(numbers);
    let is_suffix = |part: &str| {
        ["alpha", "beta", "pre", "rc", "p"].iter().any(|kind| {
            part.strip_prefix(kind).is_some_and(|number| number.bytes().all(|b| b.is_ascii_digit()))
        })
    };
    numbers.split('.').all(is_number) && revision.is_none_or(is_number) && parts.all(is_suffix)
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// `0`, `0/2`, either with `=` behind it; `=` or `*` alone.
fn is_slot(text: &str) -> bool {
    if matches!(text, "=" | "*") {
        return true;
    }
    let slot = text.strip_suffix('=').unwrap_or(text);
    slot.splitn(2, '/').all(|part| is_word(part, '.'))
}

/// One USE dependency: `flag`, `-flag`, `flag?`, `!flag?`, `flag=`, `!flag=`, each with `(+)` or `(-)` behind the flag.
struct UseDep<'a> {
    whole: &'a str,
    prefix: &'a str,
    flag: &'a str,
    default: &'a str,
    suffix: &'a str,
}

impl<'a> UseDep<'a> {
    fn parse(whole: &'a str) -> Option<Self> {
        let rest = whole.trim_start_matches(['!', '-']);
        let prefix = &whole[..whole.len() - rest.len()];
        let body = rest.strip_suffix(['?', '=']).unwrap_or(rest);
        let suffix = &rest[body.len()..];
        let flag = body.strip_suffix("(+)").or_else(|| body.strip_suffix("(-)")).unwrap_or(body);
        let known = matches!((prefix, suffix), ("" | "!", "?" | "=") | ("" | "-", ""));
        (known && is_flag(flag)).then_some(Self { whole, prefix, flag, default: &body[flag.len()..], suffix })
    }

    fn evaluate(&self, enabled: &BTreeSet<&str>) -> Option<String> {
        let (flag, default) = (self.flag, self.default);
        let on = enabled.contains(flag);
        let wanted = match (self.prefix, self.suffix) {
            ("", "?") => on.then_some(true)?,
            ("!", "?") => (!on).then_some(false)?,
            ("", "=") => on,
            ("!", "=") => !on,
            _ => return Some(self.whole.to_owned()),
        };
        Some(format!("{}{flag}{default}", if wanted { "" } else { "-" }))
    }
}

/// A flag's default must be the same wherever it comes.
fn defaults_agree(flags: &[UseDep<'_>]) -> bool {
    let mut seen = BTreeMap::new();
    flags.iter().all(|flag| *seen.entry(flag.flag).or_insert(flag.default) == flag.default)
}
