//! Evaluates a dependency value (PMS 8.2): all of it must hold, of a `|| ( )` one branch. No recursion, so depth costs
//! nothing. Parentheses match and USE conditionals are gone: staging refuses the rest.

struct Group {
    any_of: bool,
    holds: bool,
    is_empty: bool,
    /// Where its text begins.
    begin: usize,
}

impl Group {
    fn take(&mut self, holds: bool) {
        self.is_empty = false;
        self.holds = if self.any_of { self.holds || holds } else { self.holds && holds };
    }
}

/// Asks `holds` of every atom and gives `fails` what does not hold: an atom, or a whole outermost `|| ( … )`.
pub(super) fn walk<'v>(
    value: &'v str,
    mut holds: impl FnMut(&'v str) -> bool,
    mut fails: impl FnMut(&'v str),
) {
    let mut groups: Vec<Group> = Vec::new();
    let (mut any_of_groups, mut end, mut bars) = (0_usize, 0, None);
    for word in value.split(' ') {
        let begin = end;
        end = begin + word.len() + 1;
        match word {
            "" => {}
            "||" => bars = Some(begin),
            "(" => {
                let any_of = bars.is_some();
                any_of_groups += usize::from(any_of);
                groups.push(Group {
                    any_of,
                    holds: !any_of,
                    is_empty: true,
                    begin: bars.take().unwrap_or(begin),
                });
            }
            ")" => {
                let Some(group) = groups.pop() else { return };
                any_of_groups -= usize::from(group.any_of);
                // An empty group asks for nothing.
                let holds = group.holds || group.is_empty;
                if group.any_of && any_of_groups == 0 && !holds {
                    fails(&value[group.begin..end - 1]);
                }
                groups.iter_mut().rev().take(1).for_each(|outer| outer.take(holds));
            }
            atom => {
                let holds = holds(atom);
                if any_of_groups == 0 && !holds {
                    fails(atom);
                }
                groups.iter_mut().rev().take(1).for_each(|outer| outer.take(holds));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::walk;

    #[test]
    fn one_branch_is_enough_and_must_hold_whole() {
        for (value, fails) in [
            ("", ""),
            ("yes no yes1", "no"),
            ("|| ( no yes )", ""),
            ("|| ( no no2 ) no3", "|| ( no no2 ), no3"),
            ("|| ( ( yes no ) no2 )", "|| ( ( yes no ) no2 )"),
            ("|| ( ( yes no ) ( yes yes1 ) )", ""),
            ("|| ( no || ( no2 yes ) )", ""),
            ("yes ( no ( no2 ) )", "no, no2"),
            ("|| ( ) ( )", ""),
            ("|| ( no ( || ( no2 no3 ) yes ) )", "|| ( no ( || ( no2 no3 ) yes ) )"),
        ] {
            let mut failed = Vec::new();
            walk(value, |atom| atom.starts_with("yes"), |text| failed.push(text));
            assert_eq!(failed.join(", "), fails, "{value}");
        }
        let deep = format!("{} no {}", "|| ( ".repeat(100_000), ") ".repeat(100_000));
        let mut failed = 0;
        walk(&deep, |_| false, |_| failed += 1);
        assert_eq!(failed, 1);
    }
}
