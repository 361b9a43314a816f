//! What `emerge --pretend` says it would do. Its exit status says nothing (PORTAGE.md 1); its list does:
//!
//! ```text
//! [ebuild  N     ] app-arch/pigz-2.8::box  USE="-static"
//! [binary  N     ] sys-libs/zlib-1.3.1-2::box
//! [blocks B      ] <sys-libs/foo-2 ("<sys-libs/foo-2" is blocking …)
//! ```
//!
//! A binary's version carries its BUILD_ID (`-2`) under `binpkg-multi-instance`.

use swarm_protocol::drone::Claim;
use swarm_protocol::gentoo::Cpv;

/// One line of the list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The word in the brackets: `ebuild`, `binary`, `blocks`, `uninstall`, …
    pub kind: String,
    /// The package, with a binary's BUILD_ID taken off; an entry of another form keeps its text.
    pub package: Result<Cpv, String>,
    /// A binary's BUILD_ID.
    pub build_id: Option<i32>,
    /// Whether it takes the place of what is installed: an update, a downgrade or the same version again.
    pub replaces: bool,
}

/// The entries of a list, in its order.
#[must_use]
pub fn entries(output: &str) -> Vec<Entry> {
    output.lines().filter_map(entry).collect()
}

fn entry(line: &str) -> Option<Entry> {
    let (head, rest) = line.trim_start().strip_prefix('[')?.split_once("] ")?;
    let kind = head.split_whitespace().next()?;
    let flags = head.trim_start().strip_prefix(kind)?;
    let word = rest.split_whitespace().next()?;
    if !word.contains('/') {
        return None;
    }
    let text = word.split("::").next().unwrap_or(word);
    let (package, build_id) = match text.parse() {
        Ok(cpv) => (Ok(cpv), None),
        Err(_) => numbered(text).map_or((Err(word.to_owned()), None), |(cpv, id)| (Ok(cpv), Some(id))),
    };
    Some(Entry { kind: kind.to_owned(), package, build_id, replaces: flags.contains(['U', 'D', 'R']) })
}

/// `cat/pn-1.0-2` → (`cat/pn-1.0`, 2)
fn numbered(text: &str) -> Option<(Cpv, i32)> {
    let (cpv, id) = text.rsplit_once('-')?;
    Some((cpv.parse().ok()?, id.parse().ok()?))
}

fn shown(entry: &Entry) -> String {
    let package = entry.package.as_ref().map_or_else(Clone::clone, ToString::to_string);
    format!("[{}] {package}", entry.kind)
}

/// What Portage finds missing before it would build `claim`, a line each.
///
/// The package itself may be in the list, and so may packages tied to a dependency by PDEPEND only (`post`, their atoms):
/// a tool whose plugin build-depends on it (PORTAGE.md 3). Such a plugin brings dependencies of its own, which cannot be
/// told from missing ones; the list then proves nothing and is empty here. The comparison of the VDB stays.
///
/// So it is in an early stage where Portage would replace what is installed: an earlier build stands for it on purpose.
#[must_use]
pub fn missing(entries: &[Entry], claim: &Claim, post: &[String]) -> Vec<String> {
    let is_itself = |cpv: &Cpv| cpv.cp() == claim.cpv.cp();
    let is_post = |cpv: &Cpv| post.iter().any(|atom| names(atom, &cpv.cp()));
    let installs = |kind: &str| kind == "ebuild" || kind == "binary";
    let is = |entry: &Entry, what: &dyn Fn(&Cpv) -> bool| entry.package.as_ref().is_ok_and(what);
    let listed: Vec<_> = entries.iter().filter(|entry| !is(entry, &is_itself)).collect();
    let stands_in = |entry: &Entry| claim.stage > 0 && entry.replaces;
    if listed.iter().any(|entry| installs(&entry.kind) && (is(entry, &is_post) || stands_in(entry))) {
        return Vec::new();
    }
    listed.into_iter().map(shown).collect()
}

/// True when `atom`, whatever its operator, version and slot, may name the package `cp`.
fn names(atom: &str, cp: &str) -> bool {
    let bare = atom.trim_start_matches(['>', '<', '=', '~', '!']);
    bare.strip_prefix(cp).is_some_and(|rest| {
        rest.is_empty()
            || rest.starts_with([':', '['])
            || rest.strip_prefix('-').is_some_and(|version| version.starts_with(|c: char| c.is_ascii_digit()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::claim;

    const LIST: &str = "\nThese are the packages that would be merged, in order:\n\n\
        Calculating dependencies... done!\n\
        [binary  N     ] sys-libs/zlib-1.3.1-1::box  USE=\"-x\" 0 KiB\n\
        [ebuild     U  ] app-arch/pigz-2.8 [2.7]\n\
        [blocks B      ] <sys-libs/foo-2 (\"<sys-libs/foo-2\" is blocking sys-libs/bar-1)\n\
        [uninstall     ] a/b-1\n\n\
        Total: 1 package (1 new, 1 binary)\n";

    #[test]
    fn reads_the_list() {
        let found: Vec<_> = entries(LIST).iter().map(|entry| (shown(entry), entry.build_id)).collect();
        let text = |text: &str| text.to_owned();
        assert_eq!(
            found,
            [
                (text("[binary] sys-libs/zlib-1.3.1"), Some(1)),
                (text("[ebuild] app-arch/pigz-2.8"), None),
                (text("[blocks] <sys-libs/foo-2"), None),
                (text("[uninstall] a/b-1"), None),
            ]
        );
    }

    #[test]
    fn missing_is_what_is_neither_the_package_nor_post() {
        let claim = claim("app-arch/pigz-2.8", &[]);
        assert_eq!(missing(&entries(LIST), &claim, &[]).len(), 3);
        assert_eq!(missing(&entries(LIST), &claim, &[">=sys-libs/zlib-1:0".into()]).len(), 0);
        let itself = entries("[ebuild  N ] app-arch/pigz-2.8\n");
        assert!(missing(&itself, &claim, &[]).is_empty());
    }

    #[test]
    fn in_an_early_stage_an_earlier_build_may_stand_for_a_package() {
        let list = entries("[ebuild     U  ] a/b-2 [1]\n[ebuild  N     ] a/new-1\n");
        let early = Claim { stage: 1, ..claim("a/x-1", &[]) };
        assert_eq!(missing(&list, &claim("a/x-1", &[]), &[]).len(), 2);
        assert!(missing(&list, &early, &[]).is_empty());
        assert_eq!(missing(&list[1..], &early, &[]), ["[ebuild] a/new-1"]);
    }

    #[test]
    fn atoms_name_their_package_only() {
        assert!(names(">=a/b-1.2:3=", "a/b") && names("a/b[x]", "a/b") && names("a/b", "a/b"));
        assert!(!names("a/b-c", "a/b") && !names("a/bc", "a/b"));
    }
}
