//! Evaluates the USE conditionals of a package's values by the USE it was built with, as Portage does before it writes
//! them into an index (`bintree.py`, `_eval_use_flags`; `portage.dep`, `use_reduce` and `paren_enclose`).
//!
//! ```text
//! USE="ssl"   ssl? ( dev-libs/openssl:= ) !ssl? ( a/b ) || ( x/y ( z/w ) ) x/y[ssl?,test=]
//!             dev-libs/openssl:= || ( x/y z/w ) x/y[ssl,-test]
//! ```
//!
//! Portage has two implementations of this, and both decide what an index holds: the native parser for dependencies
//! ([`dependencies`], `src/dep_parser_core.c`), the one in Python for the rest ([`words`]). They differ in what they
//! accept and in how they drop brackets, so each is followed for its own keys. Neither knows the package's EAPI here.

mod atom;
mod dependencies;
mod words;

use std::collections::BTreeSet;

/// The keys whose values are dependencies.
const DEPENDENCIES: &[&str] = &["BDEPEND", "DEPEND", "IDEPEND", "PDEPEND", "RDEPEND"];
/// The other keys with USE conditionals.
const WORDS: &[&str] = &["LICENSE", "PROPERTIES", "RESTRICT"];

/// Groups within groups; nobody writes more than a dozen. What walks them calls itself.
const DEEPEST: usize = 200;

/// What Portage says where a group ends up empty: an any-of that nothing can satisfy.
const EMPTY_ANY_OF: &str = "__const__/empty-any-of";

/// Why a value cannot be evaluated; Portage leaves such a package out of the index.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EvaluateError {
    /// Something else should stand here.
    #[error("{found:?} stands where {expected} should")]
    Unexpected {
        /// What is there.
        found: String,
        /// What may be there.
        expected: &'static str,
    },
    /// It ends within a group or before one.
    #[error("it ends where {0} should come")]
    End(&'static str),
    /// Too many groups within groups.
    #[error("its groups are nested more than {DEEPEST} deep")]
    Depth,
}

impl EvaluateError {
    fn unexpected(found: &str, expected: &'static str) -> Self {
        Self::Unexpected { found: found.chars().take(100).collect(), expected }
    }
}

/// A word or a group.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Node {
    Word(String),
    Group(Vec<Node>),
}

/// The value of `key`, evaluated by the enabled flags. The words of `value` are joined by single spaces.
pub fn evaluate(key: &str, value: &str, enabled: &BTreeSet<&str>) -> Result<String, EvaluateError> {
    let nodes = if DEPENDENCIES.contains(&key) {
        dependencies::reduce(value, enabled)?
    } else if WORDS.contains(&key) {
        words::reduce(value, enabled)?
    } else {
        return Ok(value.to_owned());
    };
    let mut text = String::new();
    enclose(&nodes, &mut text);
    Ok(text)
}

fn enclose(nodes: &[Node], text: &mut String) {
    for node in nodes {
        if !text.is_empty() && !text.ends_with("( ") {
            text.push(' ');
        }
        match node {
            Node::Word(word) => text.push_str(word),
            Node::Group(nodes) => {
                text.push_str("( ");
                enclose(nodes, text);
                text.push_str(" )");
            }
        }
    }
}

/// Whether a conditional, without its question mark, is met.
fn is_met(conditional: &str, enabled: &BTreeSet<&str>) -> bool {
    match conditional.strip_prefix('!') {
        Some(flag) => !enabled.contains(flag),
        None => enabled.contains(conditional),
    }
}

fn tokens(value: &str) -> impl Iterator<Item = &str> {
    value.split(' ').filter(|token| !token.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn evaluated(key: &str, value: &str) -> Result<String, String> {
        evaluate(key, value, &["a", "b", "c"].into()).map_err(|error| error.to_string())
    }

    /// What Portage 3.0.83 made of the same values with `USE="a b c"`.
    #[test]
    fn dependencies_are_evaluated_as_by_portage() {
        for (value, expected) in [
            ("", ""),
            ("x/y", "x/y"),
            ("a? ( x/y ) !a? ( x/z ) d? ( x/w ) !d? ( x/v )", "x/y x/v"),
            ("( ( x/y ) ( x/z x/w ) )", "x/y x/z x/w"),
            ("|| ( x/y )", "x/y"),
            ("|| ( ( x/y x/z ) )", "x/y x/z"),
            ("|| ( a? ( x/y x/z ) x/w )", "|| ( ( x/y x/z ) x/w )"),
            ("|| ( d? ( x/y ) !a? ( x/z ) )", "__const__/empty-any-of"),
            ("|| ( x/y || ( x/z x/w ) )", "|| ( x/y x/z x/w )"),
            ("|| ( x/y ( || ( x/z x/w ) ) )", "|| ( x/y x/z x/w )"),
            ("|| ( x/y ( x/v || ( x/z x/w ) ) )", "|| ( x/y ( x/v || ( x/z x/w ) ) )"),
            ("|| ( x/y ( ( x/v x/u ) x/w ) )", "|| ( x/y ( x/v x/u x/w ) )"),
            ("^^ ( x/y x/z )", "|| ( x/y x/z )"),
            ("x/y[a?,d?,!a?,!d?,a=,d=,!a=,!d=]", "x/y[a,-d,a,-d,-a,d]"),
            (">=x/y-1.2_rc3-r4:0/5=[d?]", ">=x/y-1.2_rc3-r4:0/5="),
            ("!!<x/y-1*a x/y", "error"),
            ("!!=x/y-1* ~x/y-2:= x/y:*", "!!=x/y-1* ~x/y-2:= x/y:*"),
            ("x/y:2/2=[a(+)?,d(-)=]", "x/y:2/2=[a(+),-d(-)]"),
        ] {
            let expected = (expected != "error").then(|| expected.to_owned());
            assert_eq!(evaluated("RDEPEND", value).ok(), expected, "{value}");
        }
    }

    #[test]
    fn broken_dependencies_are_refused() {
        for value in [
            "(",
            ")",
            "( )",
            "|| ( )",
            "||",
            "|| x/y",
            "a?",
            "a? x/y",
            "a? ( x/y",
            "x/y )",
            "( x/y) x/z",
            "x",
            "x/y::repo",
            "x/y-1",
            "=x/y",
            ">x/y-1*",
            "x/y[]",
            "x/y[!a]",
            "x/y[-a?]",
            "x/y[a(+),a]",
            "d? ( x )",
            "a?( x/y )",
            "x/y:",
            "x/y:0/",
            "x/y[a",
            "x/y-1-r1:0",
            "+x/y",
            "x/+y",
            "<x/bar-2-0",
            "-> x/y",
        ] {
            assert!(evaluated("DEPEND", value).is_err(), "{value}: {:?}", evaluated("DEPEND", value));
        }
        let deep = format!("{}x/y{}", "( ".repeat(201), " )".repeat(201));
        assert!(evaluated("DEPEND", &deep).unwrap_err().contains("deep"));
        assert!(evaluated("LICENSE", &deep).unwrap_err().contains("deep"));
    }

    #[test]
    fn other_keys_are_evaluated_as_by_portage() {
        for (value, expected) in [
            ("GPL-2 a? ( MIT ) d? ( BSD )", "GPL-2 MIT"),
            ("|| ( GPL-2 MIT )", "|| ( GPL-2 MIT )"),
            ("|| ( GPL-2 )", "GPL-2"),
            ("|| ( d? ( GPL-2 ) )", "__const__/empty-any-of"),
            ("|| ( d? ( GPL-2 ) MIT )", "MIT"),
            ("|| ( a? ( GPL-2 BSD ) MIT )", "|| ( ( GPL-2 BSD ) MIT )"),
            ("|| ( GPL-2 || ( MIT BSD ) )", "|| ( GPL-2 MIT BSD )"),
            ("!d? ( test )", "test"),
            ("( ( GPL-2 ) )", "GPL-2"),
        ] {
            assert_eq!(evaluated("LICENSE", value).as_deref(), Ok(expected), "{value}");
        }
        for value in ["(", ")", "( )", "||", "a? GPL-2", "|| -> x", "a?( MIT )", "_? ( x )"] {
            assert!(evaluated("RESTRICT", value).is_err(), "{value}");
        }
        assert_eq!(evaluated("USE", "a? ( b").as_deref(), Ok("a? ( b"));
    }

    proptest! {
        #[test]
        fn any_text_is_survived(tokens in proptest::collection::vec(prop::sample::select(vec![
            "(", ")", "||", "^^", "a?", "!a?", "d?", "x/y", "=x/y-1:0/1=[a?]", "GPL-2", "->", "?", "!", "[", "x/y[a(+)=",
        ]), 0..24)) {
            for key in ["RDEPEND", "LICENSE"] {
                if let Ok(once) = evaluated(key, &tokens.join(" ")) {
                    // What is evaluated has nothing left to evaluate.
                    prop_assert_eq!(evaluated(key, &once), Ok(once));
                }
            }
        }
    }
}
