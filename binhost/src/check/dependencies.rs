//! The shape of a built package's dependencies (PMS 8.2): no recursion, so depth costs nothing.

/// What is wrong with a dependency value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// `flag? ( … )` is left.
    #[error("the USE conditional {0:?} is not evaluated")]
    Conditional(String),
    /// `:=` or `:SLOT=` without a sub-slot.
    #[error("{0:?} is not bound to a slot and sub-slot")]
    Unbound(String),
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
            _ if bound && any_of.last() != Some(&true) && is_unbound(word) => {
                return Err(Fault::Unbound(shorten(word)));
            }
            _ => {}
        }
        before = word;
    }
    if any_of.is_empty() { Ok(()) } else { Err(Fault::Parentheses) }
}

/// `:=` waits for a slot, `:0=` for a sub-slot, `:0/1=` is bound (PMS 8.3.3; the last is Portage's own form).
fn is_unbound(atom: &str) -> bool {
    let atom = atom.split('[').next().unwrap_or_default();
    let slot = atom.split_once(':').map_or("", |(_, slot)| slot.split("::").next().unwrap_or_default());
    slot.ends_with('=') && !slot.contains('/')
}

fn shorten(word: &str) -> String {
    word.chars().take(100).collect()
}
