//! The shape of a built package's dependencies (PMS 8.2): no recursion, so depth costs nothing.

use swarm_protocol::gentoo::{Atom, InvalidDependency, SlotOperator};

/// What is wrong with a dependency value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// `flag? ( … )` is left.
    #[error("the USE conditional {0:?} is not evaluated")]
    Conditional(String),
    /// `:=` or `:SLOT=` without a sub-slot.
    #[error("{0:?} is not bound to a slot and sub-slot")]
    Unbound(String),
    /// A word that is no package dependency specification.
    #[error(transparent)]
    Atom(#[from] InvalidDependency),
    /// A parenthesis too many or too few.
    #[error("its parentheses do not match")]
    Parentheses,
}

/// Checks a value whose words are joined by single spaces; `bound` says whether slot operators must be bound.
pub(super) fn check(value: &str, bound: bool) -> Result<(), Fault> {
    let mut any_of = Vec::new();
    let mut before = "";
    for word in value.split(' ').filter(|word| !word.is_empty()) {
        match word {
            "(" => any_of.push(before == "||" || any_of.last() == Some(&true)),
            ")" => drop(any_of.pop().ok_or(Fault::Parentheses)?),
            _ if word.ends_with('?') => return Err(Fault::Conditional(shorten(word))),
            "||" => {}
            _ => {
                let atom = word.parse()?;
                if bound && any_of.last() != Some(&true) && is_unbound(&atom) {
                    return Err(Fault::Unbound(shorten(word)));
                }
            }
        }
        before = word;
    }
    if any_of.is_empty() { Ok(()) } else { Err(Fault::Parentheses) }
}

/// `:=` waits for a slot, `:0=` for a sub-slot, `:0/1=` is bound (PMS 8.3.3; the last is Portage's own form).
fn is_unbound(atom: &Atom) -> bool {
    atom.slot_operator() == Some(SlotOperator::Equal) && !atom.is_bound()
}

/// The slot-bound atoms of a value.
pub(super) fn bound(value: &str) -> impl Iterator<Item = Atom> {
    value.split(' ').filter_map(|word| word.parse::<Atom>().ok()).filter(Atom::is_bound)
}

fn shorten(word: &str) -> String {
    word.chars().take(100).collect()
}
