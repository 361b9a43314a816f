//! Whom a rule in a configuration file is for: a target, and packages by name and version.

use super::{Atom, Cpv, TargetName};
use serde::{Deserialize, Deserializer, de::Error};

/// Reads the atom of a rule; `whose` it is stands in the error, as in "a limit's".
pub fn atom<'de, D: Deserializer<'de>>(from: D, whose: &str) -> Result<Option<Atom>, D::Error> {
    let text = String::deserialize(from)?;
    let atom: Atom = text.parse().map_err(D::Error::custom)?;
    if atom.as_str().contains(['!', ':', '[']) {
        return Err(D::Error::custom(format!("{text:?}: {whose} atom names package and version only")));
    }
    Ok(Some(atom))
}

/// Whether a rule for that target and atom, or for all where they are absent, is for a package of a target.
#[must_use]
pub fn is_for(rule: (Option<&TargetName>, Option<&Atom>), target: &TargetName, cpv: &Cpv) -> bool {
    let (wanted, atom) = rule;
    wanted.is_none_or(|wanted| wanted == target) && atom.is_none_or(|atom| atom.matches_version(cpv))
}
