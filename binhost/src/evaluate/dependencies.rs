//! Dependencies: the native parser's grammar (`dep_parser_core.c`, `scan_item`), and how its tree loses its redundant
//! brackets (`portage.dep`, `_c_normalize_seq` and `_c_normalize_alts`).

use super::{DEEPEST, EMPTY_ANY_OF, EvaluateError, Node, atom, is_met, tokens};
use std::collections::BTreeSet;

/// What opened a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Opener {
    /// Nothing, or a USE conditional that is met.
    All,
    /// `||`. Portage reads `^^` and `??` here as well, and goes on as if they were `||`.
    Any,
    /// A conditional that is not met.
    Nothing,
}

/// A parsed item.
enum Item {
    Atom(String),
    All(Vec<Item>),
    Any(Vec<Item>),
}

pub(super) fn reduce(value: &str, enabled: &BTreeSet<&str>) -> Result<Vec<Node>, EvaluateError> {
    Ok(sequence(parse(value, enabled)?, false))
}

fn parse(value: &str, enabled: &BTreeSet<&str>) -> Result<Vec<Item>, EvaluateError> {
    // The groups that are open: what opened each, and what was in its parent before it.
    let mut open: Vec<(Opener, Vec<Item>)> = Vec::new();
    let mut items = Vec::new();
    // A prefix waits for its bracket; a bracket for its first item, for an empty group is no group.
    let mut prefix = None;
    let mut empty = false;
    for token in tokens(value) {
        match token {
            "(" => {
                if open.len() == DEEPEST {
                    return Err(EvaluateError::Depth);
                }
                open.push((prefix.take().unwrap_or(Opener::All), std::mem::take(&mut items)));
                empty = true;
                continue;
            }
            _ if prefix.is_some() => return Err(EvaluateError::unexpected(token, "'('")),
            ")" if empty => return Err(EvaluateError::unexpected(token, "an atom or a group")),
            ")" => {
                let (opener, parent) =
                    open.pop().ok_or_else(|| EvaluateError::unexpected(token, "no bracket"))?;
                let group = std::mem::replace(&mut items, parent);
                match opener {
                    Opener::All => items.push(Item::All(group)),
                    Opener::Any => items.push(Item::Any(group)),
                    Opener::Nothing => {}
                }
            }
            "||" | "^^" | "??" => prefix = Some(Opener::Any),
            _ => match conditional(token) {
                Some(flag) => {
                    prefix = Some(if is_met(flag, enabled) { Opener::All } else { Opener::Nothing });
                }
                None => items.push(Item::Atom(atom::evaluate(token, enabled)?)),
            },
        }
        empty = false;
    }
    if prefix.is_some() {
        return Err(EvaluateError::End("'('"));
    }
    if open.is_empty() { Ok(items) } else { Err(EvaluateError::End("')'")) }
}

/// `flag?` or `!flag?`, without the question mark.
fn conditional(token: &str) -> Option<&str> {
    let conditional = token.strip_suffix('?')?;
    let flag = conditional.strip_prefix('!').unwrap_or(conditional);
    atom::is_flag(flag).then_some(conditional)
}

/// Items that must all be met. Under an any-of, brackets stay.
fn sequence(items: Vec<Item>, under_any: bool) -> Vec<Node> {
    let mut out = Vec::new();
    for item in items {
        match item {
            Item::Atom(atom) => out.push(Node::Word(atom)),
            Item::All(items) => out.extend(sequence(items, under_any)),
            Item::Any(items) => {
                let mut choices = alternatives(items);
                match choices.pop() {
                    None => out.push(Node::Word(EMPTY_ANY_OF.to_owned())),
                    Some(Node::Group(only)) if choices.is_empty() && !under_any => out.extend(only),
                    Some(only) if choices.is_empty() => out.push(only),
                    Some(last) => {
                        choices.push(last);
                        out.extend([Node::Word("||".to_owned()), Node::Group(choices)]);
                    }
                }
            }
        }
    }
    out
}

/// The choices of an any-of; those of an any-of within are its own.
fn alternatives(items: Vec<Item>) -> Vec<Node> {
    let mut out = Vec::new();
    for item in items {
        match item {
            Item::Atom(atom) => out.push(Node::Word(atom)),
            Item::Any(items) => {
                let choices = alternatives(items);
                if choices.is_empty() {
                    out.push(Node::Group(vec![Node::Word(EMPTY_ANY_OF.to_owned())]));
                }
                out.extend(choices);
            }
            Item::All(items) => {
                let mut all = sequence(items, true);
                match (all.pop(), all.pop()) {
                    (None, _) => {}
                    (Some(only), None) => out.push(only),
                    (Some(Node::Group(choices)), Some(Node::Word(any))) if any == "||" && all.is_empty() => {
                        out.extend(choices);
                    }
                    (Some(last), Some(second)) => {
                        all.extend([second, last]);
                        out.push(Node::Group(all));
                    }
                }
            }
        }
    }
    out
}
