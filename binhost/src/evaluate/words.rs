//! LICENSE, PROPERTIES, RESTRICT: `use_reduce` in Python (`portage.dep`, `_use_reduce_cached`), which keeps a stack of
//! lists and decides about brackets as each group closes. The words themselves may be anything.

use super::{DEEPEST, EMPTY_ANY_OF, EvaluateError, Node, is_met, tokens};
use std::collections::BTreeSet;

pub(super) fn reduce(value: &str, enabled: &BTreeSet<&str>) -> Result<Vec<Node>, EvaluateError> {
    let mut stack: Vec<Vec<Node>> = vec![Vec::new()];
    let mut prefixed = false;
    let mut tokens = tokens(value).peekable();
    while let Some(token) = tokens.next() {
        if prefixed && token != "(" {
            return Err(EvaluateError::unexpected(token, "'('"));
        }
        match token {
            "(" if tokens.peek() == Some(&")") => {
                return Err(EvaluateError::unexpected(")", "a word or a group"));
            }
            "(" if stack.len() > DEEPEST => return Err(EvaluateError::Depth),
            "(" => {
                stack.push(Vec::new());
                prefixed = false;
            }
            ")" => {
                let group = stack.pop().filter(|_| !stack.is_empty());
                let group = group.ok_or_else(|| EvaluateError::unexpected(token, "no bracket"))?;
                close(&mut stack, group, enabled)?;
            }
            "->" => return Err(EvaluateError::unexpected(token, "a word or a group")),
            _ => {
                prefixed = token == "||" || token.ends_with('?');
                if let Some(top) = stack.last_mut() {
                    top.push(Node::Word(token.to_owned()));
                }
            }
        }
    }
    if stack.len() > 1 {
        return Err(EvaluateError::End("')'"));
    }
    if prefixed { Err(EvaluateError::End("'('")) } else { Ok(stack.pop().unwrap_or_default()) }
}

/// Puts a group that has ended into the one around it.
fn close(
    stack: &mut [Vec<Node>],
    mut group: Vec<Node>,
    enabled: &BTreeSet<&str>,
) -> Result<(), EvaluateError> {
    let [outer @ .., top] = stack else { return Ok(()) };
    let is_single = group.len() == 1 || group.len() == 2 && is_word(group.first(), "||");
    let mut ignored = false;
    match top.last() {
        Some(Node::Word(word)) if word == "||" && group.is_empty() => {
            group.push(Node::Word(EMPTY_ANY_OF.to_owned()));
            top.pop();
        }
        Some(Node::Word(word)) if word.ends_with('?') => {
            let conditional = &word[..word.len() - 1];
            if !is_flag(conditional.strip_prefix('!').unwrap_or(conditional)) {
                return Err(EvaluateError::unexpected(word, "a USE conditional"));
            }
            ignored = !is_met(conditional, enabled);
            top.pop();
        }
        _ => {}
    }
    if group.is_empty() || ignored {
        return Ok(());
    }
    let any_around = outer.last().is_some_and(|outer| is_word(outer.last(), "||"));
    let any_here = is_word(top.last(), "||");
    if !any_around && !any_here {
        top.extend(group);
    } else if top.is_empty() {
        append(outer, top, group, is_single);
    } else if is_single && any_here {
        top.pop();
        append(outer, top, group, is_single);
    } else if any_here && any_around {
        top.pop();
        top.extend(group);
    } else {
        append(outer, top, group, is_single);
    }
    Ok(())
}

/// Without brackets, where they say nothing.
fn append(outer: &[Vec<Node>], top: &mut Vec<Node>, mut group: Vec<Node>, is_single: bool) {
    let any_around = outer.last().is_some_and(|outer| is_word(outer.last(), "||"));
    if !is_single {
        top.push(Node::Group(group));
    } else if any_around && is_word(group.first(), "||") {
        match group.pop() {
            Some(Node::Group(choices)) => top.extend(choices),
            other => top.extend(other),
        }
    } else {
        match group.pop() {
            Some(Node::Group(only)) if group.is_empty() && !in_any_of(outer) => top.extend(only),
            last => {
                top.append(&mut group);
                top.extend(last);
            }
        }
    }
}

/// Whether an any-of is in effect around: above it come only conditionals and empty groups.
fn in_any_of(outer: &[Vec<Node>]) -> bool {
    for list in outer.iter().rev() {
        match list.last() {
            Some(Node::Word(word)) if word == "||" => return true,
            Some(Node::Word(word)) if !word.ends_with('?') => return false,
            _ => {}
        }
    }
    false
}

fn is_word(node: Option<&Node>, text: &str) -> bool {
    matches!(node, Some(Node::Word(word)) if word == text)
}

fn is_flag(flag: &str) -> bool {
    flag.starts_with(|c: char| c.is_ascii_alphanumeric())
        && flag.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '_' | '@' | '-'))
}
