//! The options that decide which machine the code is for.
//!
//! Portage stores CFLAGS as the ebuild left them: filtered, replaced, appended to (PORTAGE.md 6). Most of that is
//! the ebuild's business. But code for another processor or ABI crashes on the workstation, so of these options the
//! last one given must be the one asked for; an ebuild may have taken it out. `native` is whatever the drone is.

use super::Mismatch;
use crate::gpkg::Metadata;

const KEYS: [&str; 2] = ["CFLAGS", "CXXFLAGS"];
const OPTIONS: [&str; 4] = ["-march=", "-mcpu=", "-mabi=", "-mfloat-abi="];

/// `asked` are lines `CFLAGS=…`; a variable without one is compared with nothing.
pub(super) fn check(metadata: &Metadata, asked: &[String]) -> Result<(), Mismatch> {
    for key in KEYS {
        let mut asked = asked.iter().filter_map(|line| line.strip_prefix(key)?.strip_prefix('='));
        let Some(asked) = asked.next() else { continue };
        for option in OPTIONS {
            let Some(found) = last(metadata.get(key), option) else { continue };
            match last(asked, option) {
                Some(expected) if expected != found => {
                    return Err(mismatch(key, option, expected, found));
                }
                None if found == "native" => return Err(mismatch(key, option, "none", found)),
                _ => {}
            }
        }
    }
    Ok(())
}

fn last<'f>(flags: &'f str, option: &str) -> Option<&'f str> {
    flags.split_whitespace().filter_map(|flag| flag.strip_prefix(option)).next_back()
}

fn mismatch(key: &'static str, option: &'static str, expected: &str, found: &str) -> Mismatch {
    Mismatch::Flag { key, option, expected: expected.to_owned(), found: super::shorten(found) }
}
