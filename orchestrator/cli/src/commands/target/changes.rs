//! What differs between two definitions of a target, or between one and a workstation. Pure but for reading two trees.

use crate::failure::Failure;
use crate::table::indented;
use serde::Serialize;
use similar::TextDiff;
use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use swarm_bundle::compare::{Change, compare};
use swarm_protocol::epoch::Repository;
use swarm_protocol::gentoo::{RepoName, WorldAtom};

/// All that differs.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct Changes {
    /// Of `/etc/portage`.
    pub(super) files: Vec<File>,
    /// Of the repositories.
    pub(super) repositories: Vec<Moved>,
}

/// A file that differs.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(super) struct File {
    path: PathBuf,
    change: &'static str,
    /// Line by line; none of a directory.
    #[serde(skip_serializing_if = "String::is_empty")]
    diff: String,
}

/// A repository that is at another revision, or in one of the two only.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(super) struct Moved {
    name: RepoName,
    from: Option<String>,
    to: Option<String>,
}

/// What differs between two world sets.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct WorldChanges {
    /// How many entries there are now.
    pub(super) entries: usize,
    /// New ones.
    pub(super) added: Vec<WorldAtom>,
    /// Those that are gone.
    pub(super) removed: Vec<WorldAtom>,
}

impl WorldChanges {
    /// From one set to another.
    pub(super) fn between(from: &[WorldAtom], to: &[WorldAtom]) -> Self {
        let without = |these: &[WorldAtom], those: &[WorldAtom]| {
            these.iter().filter(|atom| !those.contains(atom)).cloned().collect()
        };
        Self { entries: to.len(), added: without(to, from), removed: without(from, to) }
    }

    /// Each on a line.
    pub(super) fn lines(&self) -> Vec<String> {
        let removed = self.removed.iter().map(|atom| format!("−{atom}"));
        removed.chain(self.added.iter().map(|atom| format!("+{atom}"))).collect()
    }
}

/// What differs between two trees of configuration, with the text of the difference.
pub(super) fn files(from: &Path, to: &Path) -> Result<Vec<File>, Failure> {
    let unread = |error: io::Error| Failure::internal(format!("cannot compare configurations: {error}"));
    let mut files = Vec::new();
    for (path, change) in compare(from, to).map_err(unread)? {
        let (old, new) = (shown(&from.join(&path)).map_err(unread)?, shown(&to.join(&path)).map_err(unread)?);
        let change = match change {
            Change::Added => "added",
            Change::Removed => "removed",
            Change::Changed => "changed",
        };
        files.push(File { diff: unified(&path, old, new), path, change });
    }
    Ok(files)
}

/// A file as it is compared: its mode where it is not the usual one, then its text. A directory is its mode.
fn shown(path: &Path) -> io::Result<Vec<u8>> {
    let metadata = match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        metadata => metadata?,
    };
    if metadata.is_symlink() {
        return Ok(format!("(a symlink to {})\n", fs::read_link(path)?.display()).into_bytes());
    }
    let (mode, usual) =
        (metadata.permissions().mode() & 0o7777, if metadata.is_dir() { 0o755 } else { 0o644 });
    let mut text = if mode == usual { Vec::new() } else { format!("(mode {mode:o})\n").into_bytes() };
    if !metadata.is_dir() {
        text.extend(fs::read(path)?);
    }
    Ok(text)
}

fn unified(path: &Path, old: Vec<u8>, new: Vec<u8>) -> String {
    let (Ok(old), Ok(new)) = (String::from_utf8(old), String::from_utf8(new)) else {
        return format!("{} differs, and is no text\n", path.display());
    };
    let (from, to) = (format!("a/{}", path.display()), format!("b/{}", path.display()));
    TextDiff::from_lines(&old, &new).unified_diff().header(&from, &to).to_string()
}

/// What differs between two sets of repositories.
pub(super) fn repositories(from: &[Repository], to: &[Repository]) -> Vec<Moved> {
    let mut moved: BTreeMap<&RepoName, (Option<&String>, Option<&String>)> = BTreeMap::new();
    for repository in from {
        moved.entry(&repository.name).or_default().0 = Some(&repository.revision);
    }
    for repository in to {
        moved.entry(&repository.name).or_default().1 = Some(&repository.revision);
    }
    let moved = moved.into_iter().filter(|(_, (from, to))| from != to);
    moved
        .map(|(name, (from, to))| Moved { name: name.clone(), from: from.cloned(), to: to.cloned() })
        .collect()
}

/// A revision in a few characters.
pub(super) fn short(revision: &str) -> String {
    match revision.split_once(':') {
        Some((kind, id)) => format!("{kind}:{}", id.chars().take(12).collect::<String>()),
        None => revision.to_owned(),
    }
}

impl Changes {
    /// Whether nothing differs.
    pub(super) fn is_empty(&self) -> bool {
        self.files.is_empty() && self.repositories.is_empty()
    }

    /// What is where, a line each.
    pub(super) fn summary(&self) -> String {
        let sign = |file: &File| match file.change {
            "added" => '+',
            "removed" => '−',
            _ => '~',
        };
        let files = self.files.iter().map(|file| format!("{}{}", sign(file), file.path.display()));
        section("/etc/portage", files) + &section("repositories", self.repositories.iter().map(Moved::line))
    }

    /// The same with every changed line.
    pub(super) fn in_full(&self) -> String {
        let diffs: String = self.files.iter().map(|file| file.diff.as_str()).collect();
        let empty = self.files.iter().filter(|file| file.diff.is_empty());
        let empty = empty.map(|file| format!("{} {}", file.change, file.path.display()));
        let repositories = section("repositories", self.repositories.iter().map(Moved::line));
        let directories = section("directories and empty files", empty);
        format!("{diffs}{}{repositories}", if directories.is_empty() { "" } else { directories.as_str() })
    }
}

impl Moved {
    fn line(&self) -> String {
        let revision = |side: &Option<String>| side.as_deref().map_or_else(|| "—".to_owned(), short);
        format!("{}  {} → {}", self.name, revision(&self.from), revision(&self.to))
    }
}

/// A heading and lines below it; nothing without lines.
pub(super) fn section(title: &str, lines: impl IntoIterator<Item = String>) -> String {
    let mut lines = lines.into_iter().peekable();
    if lines.peek().is_none() { String::new() } else { format!("\n{title}:{}\n", indented(lines, 2)) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::Permissions;
    use std::os::unix::fs::symlink;

    #[test]
    fn line_by_line() {
        let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        for (root, text, mode) in [(&from, "USE=\"a b\"\n", 0o644), (&to, "USE=\"a\"\n", 0o600)] {
            fs::write(root.path().join("make.conf"), format!("CFLAGS=-O2\n{text}")).unwrap();
            fs::write(root.path().join("bashrc"), "true\n").unwrap();
            fs::set_permissions(root.path().join("bashrc"), Permissions::from_mode(mode)).unwrap();
            symlink(text.trim(), root.path().join("make.profile")).unwrap();
        }
        fs::create_dir(to.path().join("env")).unwrap();
        fs::write(to.path().join("env/blob"), b"\xff").unwrap();
        fs::write(from.path().join("package.mask"), "a/b\n").unwrap();
        let revision = |name: &str, revision: &str| Repository {
            name: name.parse().unwrap(),
            revision: revision.to_owned(),
        };
        let changes = Changes {
            files: files(from.path(), to.path()).unwrap(),
            repositories: repositories(
                &[
                    revision("gentoo", "git:1111111111111111"),
                    revision("guru", "git:2"),
                    revision("same", "git:3"),
                ],
                &[
                    revision("gentoo", "git:4444444444444444"),
                    revision("local", "tree:5"),
                    revision("same", "git:3"),
                ],
            ),
        };
        insta::assert_snapshot!("changes_in_few_lines", changes.summary());
        insta::assert_snapshot!("changes_in_full", changes.in_full());
        assert!(files(to.path(), to.path()).unwrap().is_empty());
    }
}
