//! The ebuild repositories that a root's Portage knows, and the revision of each.
//!
//! Portage reads `/usr/share/portage/config/repos.conf` and then `/etc/portage/repos.conf`, each a file or a directory of
//! files (portage(5)), with Python's `ConfigParser` (`portage/repository/config.py`): a later file overrides single
//! options, `[DEFAULT]` holds for all sections, names are compared in lower case, `%(ROOT)s` and the like stand for
//! values, and a section or an option that is twice in one file spoils everything.
//!
//! ```text
//! [DEFAULT]
//! main-repo = gentoo
//! [gentoo]
//! location = /var/db/repos/gentoo
//! ```

use crate::tree;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use swarm_protocol::gentoo::{InvalidName, RepoName};

/// Where Portage's files are, in the order in which it reads them.
const FILES: [&str; 2] = ["usr/share/portage/config/repos.conf", "etc/portage/repos.conf"];
/// Directories that Portage passes over (`VCS_DIRS` in `portage/const.py`); those with a dot it passes over anyway.
const VERSION_CONTROL: [&str; 3] = ["CVS", "RCS", "SCCS"];
const DEFAULT: &str = "DEFAULT";
/// How deep values may stand for values (`MAX_INTERPOLATION_DEPTH` of Python's configparser).
const DEEPEST: usize = 10;

/// A repository of `repos.conf`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Repo {
    /// Its name.
    pub name: RepoName,
    /// Its directory in the root.
    pub location: String,
}

/// Why `repos.conf` cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ReposError {
    /// A file cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Portage would not understand a line, and then reads nothing at all.
    #[error("{}:{number}: {what}", path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// Counts from 1.
        number: usize,
        /// What is wrong.
        what: &'static str,
    },
    /// A value stands for one that there is not.
    #[error("repos.conf: the value {value:?} stands for what is not there")]
    Value {
        /// The value.
        value: String,
    },
    /// A section's name is no repository's.
    #[error("repos.conf: {0}")]
    Name(#[from] InvalidName),
}

/// The repositories of the root at `root`, sorted by name, whether or not they are there.
pub fn configured(root: &Path) -> Result<Vec<Repo>, ReposError> {
    let mut sections = Sections::new();
    for path in FILES {
        let mut found = Vec::new();
        files(&root.join(path), &mut found)?;
        for path in found {
            let bytes = fs::read(&path).map_err(|source| ReposError::Io { path: path.clone(), source })?;
            read(&String::from_utf8_lossy(&bytes), &mut sections)
                .map_err(|(number, what)| ReposError::Line { path, number, what })?;
        }
    }
    let defaults = sections.remove(DEFAULT).unwrap_or_default();
    let mut repos = Vec::new();
    for (name, options) in sections {
        let value = |key: &str| options.get(key).or_else(|| defaults.get(key)).map(String::as_str);
        let Some(location) = value("location") else { continue };
        let location = expanded(location, &value, 0)?;
        if !location.is_empty() {
            repos.push(Repo { name: name.parse()?, location });
        }
    }
    Ok(repos)
}

/// A file, or those below a directory, sorted, as `_recursive_file_list` (`portage/util/__init__.py`) has them.
pub fn files(path: &Path, found: &mut Vec<PathBuf>) -> Result<(), ReposError> {
    let at = |source| ReposError::Io { path: path.to_owned(), source };
    if !path.is_dir() {
        found.extend(path.is_file().then(|| path.to_owned()));
        return Ok(());
    }
    let mut entries = Vec::new();
    for entry in fs::read_dir(path).map_err(at)? {
        entries.push(entry.map_err(at)?.file_name());
    }
    entries.sort();
    for entry in entries {
        let name = entry.to_string_lossy();
        if !name.starts_with('.') && !name.ends_with('~') && !VERSION_CONTROL.contains(&name.as_ref()) {
            files(&path.join(&entry), found)?;
        }
    }
    Ok(())
}

type Sections = BTreeMap<String, BTreeMap<String, String>>;

/// Reads one file as `ConfigParser._read` does; an error has its line.
fn read(text: &str, sections: &mut Sections) -> Result<(), (usize, &'static str)> {
    let mut section: Option<String> = None;
    let mut option: Option<String> = None;
    let (mut indentation, mut seen) = (0, BTreeSet::new());
    for (number, line) in text.lines().enumerate().map(|(index, line)| (index + 1, line)) {
        let content = line.trim();
        if content.is_empty() || content.starts_with(['#', ';']) {
            continue;
        }
        let indented = line.len() - line.trim_start().len();
        if let (Some(section), Some(option)) = (&section, &option)
            && indented > indentation
        {
            // It goes on with the value before.
            let value = sections.get_mut(section).and_then(|options| options.get_mut(option));
            if let Some(value) = value {
                *value = format!("{value}\n{content}");
            }
            continue;
        }
        indentation = indented;
        if let Some(name) = content.strip_prefix('[').and_then(|rest| Some(&rest[..rest.rfind(']')?])) {
            if name != DEFAULT && !seen.insert((name.to_owned(), None)) {
                return Err((number, "the section is there twice, so Portage reads none of them"));
            }
            sections.entry(name.to_owned()).or_default();
            (section, option) = (Some(name.to_owned()), None);
            continue;
        }
        let Some(section) = &section else { return Err((number, "it stands before any [section]")) };
        let Some((key, value)) = content.split_once(['=', ':']) else {
            return Err((number, "it is neither a [section] nor NAME = VALUE"));
        };
        let key = key.trim().to_lowercase();
        if !seen.insert((section.clone(), Some(key.clone()))) {
            return Err((number, "the option is there twice, so Portage reads none of them"));
        }
        sections.entry(section.clone()).or_default().insert(key.clone(), value.trim().to_owned());
        option = Some(key);
    }
    Ok(())
}

/// A value with what stands in it for others (`configparser.BasicInterpolation`).
fn expanded<'a>(
    value: &str,
    option: &impl Fn(&str) -> Option<&'a str>,
    depth: usize,
) -> Result<String, ReposError> {
    let wrong = || ReposError::Value { value: value.to_owned() };
    let (mut text, mut rest) = (String::new(), value);
    while let Some((before, after)) = rest.split_once('%') {
        text.push_str(before);
        if let Some(after) = after.strip_prefix('%') {
            text.push('%');
            rest = after;
            continue;
        }
        let (name, after) =
            after.strip_prefix('(').and_then(|after| after.split_once(")s")).ok_or_else(wrong)?;
        let name = name.to_lowercase();
        match (name.as_str(), option(&name)) {
            (_, Some(other)) if depth < DEEPEST => text.push_str(&expanded(other, option, depth + 1)?),
            // What Portage itself gives: nothing is below a prefix here, and every root is seen from within.
            ("eprefix", None) => {}
            ("eroot" | "root" | "portage_configroot", None) => text.push('/'),
            _ => return Err(wrong()),
        }
        rest = after;
    }
    text.push_str(rest);
    Ok(text)
}

/// The commit of a clean git checkout, as `git:COMMIT`, else the content of the tree, as `tree:BLAKE3`.
pub fn revision(location: &Path) -> io::Result<String> {
    if let Some(commit) = clean_commit(location) {
        return Ok(format!("git:{commit}"));
    }
    Ok(format!("tree:{}", tree::content(location, &[".git"])?))
}

/// The commit of a checkout in which nothing differs from it, ignored files included: Portage does not ignore those.
#[must_use]
pub fn clean_commit(location: &Path) -> Option<String> {
    if !location.join(".git").exists() {
        return None;
    }
    let changes = git(location, &["status", "--porcelain", "--ignored", "--untracked-files=normal"])?;
    changes.is_empty().then(|| git(location, &["rev-parse", "--verify", "HEAD"]))?
}

/// What git says of a checkout, if it succeeds.
#[must_use]
pub fn git(location: &Path, arguments: &[&str]) -> Option<String> {
    // A repository often belongs to the user portage; as root we may read it all the same.
    let mut git = Command::new("git");
    git.args(["-c", "safe.directory=*", "-c", "core.fsmonitor=false", "-C"]).arg(location).args(arguments);
    let output = git.env("GIT_OPTIONAL_LOCKS", "0").stdin(Stdio::null()).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn repos(root: &Path) -> Result<Vec<(String, String)>, String> {
        let repos = configured(root).map_err(|error| error.to_string())?;
        Ok(repos.into_iter().map(|repo| (repo.name.to_string(), repo.location)).collect())
    }

    fn written(files: &[(&str, &str)]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        root
    }

    #[test]
    fn reads_the_locations() {
        let text = "[DEFAULT]\nmain-repo = box\nlocation = %(ROOT)svar/all\n; [x]\n[box]\n  Location : /var/db/repos/box\n\
                    [guru]\nbase=/g\nlocation=%(base)s%%/%(EPREFIX)sx\n[plain]\nsync-type = git\n   and more\n";
        let root = written(&[("etc/portage/repos.conf", text)]);
        let expected = [("box", "/var/db/repos/box"), ("guru", "/g%/x"), ("plain", "/var/all")];
        assert_eq!(repos(root.path()).unwrap(), expected.map(|(name, at)| (name.to_owned(), at.to_owned())));
    }

    #[test]
    fn portages_own_file_comes_first_and_backups_do_not_count() {
        let root = written(&[
            (
                "usr/share/portage/config/repos.conf",
                "[gentoo]\nlocation = /var/db/repos/gentoo\nauto-sync = yes\n",
            ),
            ("etc/portage/repos.conf/b.conf", "[b]\nlocation=/b\n[gentoo]\nauto-sync = no\n"),
            ("etc/portage/repos.conf/a.conf~", "[a]\nlocation=/a\n"),
            ("etc/portage/repos.conf/.git/c.conf", "[c]\nlocation=/c\n"),
            ("etc/portage/repos.conf/deep/d.conf", "[d]\nlocation=/d\n"),
        ]);
        let expected = [("b", "/b"), ("d", "/d"), ("gentoo", "/var/db/repos/gentoo")];
        assert_eq!(repos(root.path()).unwrap(), expected.map(|(name, at)| (name.to_owned(), at.to_owned())));
        assert_eq!(repos(tempfile::tempdir().unwrap().path()).unwrap(), []);
    }

    #[test]
    fn what_portage_would_not_read_is_named() {
        for (text, fault) in [
            ("location = /a\n", "repos.conf:1: it stands before"),
            ("[a]\nnonsense\n", "repos.conf:2: it is neither"),
            ("[a]\nlocation=/a\n[a]\n", "repos.conf:3: the section is there twice"),
            ("[a]\nlocation=/a\nLocation=/b\n", "repos.conf:3: the option is there twice"),
            ("[a]\nlocation=%(nowhere)s/a\n", "stands for what is not there"),
            ("[a]\nlocation=%(location)s/a\n", "stands for what is not there"),
            ("[a b]\nlocation=/a\n", "is no repository name"),
        ] {
            let said = repos(written(&[("etc/portage/repos.conf", text)]).path()).unwrap_err();
            assert!(said.contains(fault), "{text:?}: {said}");
        }
    }

    #[test]
    fn a_commit_only_while_clean() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("a"), "a").unwrap();
        let tree = revision(dir.path()).unwrap();
        assert!(tree.starts_with("tree:"));
        let identity = ["-c", "user.name=t", "-c", "user.email=t@t"];
        git(dir.path(), &["init", "-q"]).unwrap();
        git(dir.path(), &["add", "."]).unwrap();
        git(dir.path(), &[&identity[..], &["commit", "-q", "-m", "x"]].concat()).unwrap();
        assert!(revision(dir.path()).unwrap().starts_with("git:"));
        fs::write(dir.path().join("b"), "b").unwrap();
        let dirty = revision(dir.path()).unwrap();
        assert!(dirty.starts_with("tree:") && dirty != tree);
    }
}
