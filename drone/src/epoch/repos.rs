//! The ebuild repositories that the base root's Portage knows, and the revision of each.
//!
//! `repos.conf` is a file or a directory of files in INI form (portage(5)):
//!
//! ```text
//! [DEFAULT]
//! main-repo = gentoo
//! [gentoo]
//! location = /var/db/repos/gentoo
//! ```

use anyhow::{Context, bail};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use swarm_bundle::tree;
use swarm_protocol::gentoo::RepoName;

/// A repository of `repos.conf`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Repo {
    /// Its name.
    pub name: RepoName,
    /// Its directory in the root.
    pub location: String,
}

/// The repositories of the base root at `root`, sorted by name.
pub fn configured(root: &Path) -> anyhow::Result<Vec<Repo>> {
    let mut sections = BTreeMap::new();
    for file in files(&root.join("etc/portage/repos.conf"))? {
        let text = fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
        locations(&text, &mut sections);
    }
    if sections.is_empty() {
        bail!("{} names no repository with a location", root.join("etc/portage/repos.conf").display());
    }
    let repo = |(name, location): (String, String)| Ok(Repo { name: name.parse()?, location });
    sections.into_iter().map(repo).collect()
}

/// The file itself, or those in the directory that Portage would read, sorted.
fn files(path: &Path) -> anyhow::Result<Vec<PathBuf>> {
    if !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let mut files = Vec::new();
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if !name.starts_with('.') && !name.ends_with('~') {
            files.push(entry.path());
        }
    }
    files.sort();
    Ok(files)
}

/// Adds the sections of `text` that have a location.
fn locations(text: &str, sections: &mut BTreeMap<String, String>) {
    let mut section = "";
    for line in text.lines().map(str::trim) {
        if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            section = name;
        } else if let Some((key, value)) = line.split_once('=')
            && key.trim() == "location"
            && section != "DEFAULT"
        {
            sections.insert(section.to_owned(), value.trim().to_owned());
        }
    }
}

/// The commit of a clean git checkout, as `git:COMMIT`, else the content of the tree, as `tree:BLAKE3`.
pub fn revision(location: &Path) -> anyhow::Result<String> {
    if location.join(".git").exists()
        && let Some(commit) = clean_commit(location)
    {
        return Ok(format!("git:{commit}"));
    }
    Ok(format!("tree:{}", tree::content(location, &[".git"])?))
}

/// The commit of a checkout in which nothing differs from it, ignored files included: Portage does not ignore those.
fn clean_commit(location: &Path) -> Option<String> {
    let changes = git(location, &["status", "--porcelain", "--ignored", "--untracked-files=normal"])?;
    changes.is_empty().then(|| git(location, &["rev-parse", "--verify", "HEAD"]))?
}

fn git(location: &Path, arguments: &[&str]) -> Option<String> {
    // A repository often belongs to the user portage; as root we may read it all the same.
    let mut git = Command::new("git");
    git.args(["-c", "safe.directory=*", "-c", "core.fsmonitor=false", "-C"]).arg(location).args(arguments);
    let output = git.env("GIT_OPTIONAL_LOCKS", "0").stdin(Stdio::null()).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_locations() {
        let mut sections = BTreeMap::new();
        locations(
            "[DEFAULT]\nmain-repo = box\nlocation = /no\n# [x]\n[box]\nlocation = /var/db/repos/box\n[guru]\n location=/g\n",
            &mut sections,
        );
        let expected = [("box", "/var/db/repos/box"), ("guru", "/g")];
        assert_eq!(sections, expected.map(|(k, v)| (k.to_owned(), v.to_owned())).into());
    }

    #[test]
    fn a_directory_or_a_file() {
        let root = tempfile::tempdir().unwrap();
        let dir = root.path().join("etc/portage/repos.conf");
        fs::create_dir_all(&dir).unwrap();
        assert!(configured(root.path()).is_err());
        fs::write(dir.join("b.conf"), "[b]\nlocation=/b\n").unwrap();
        fs::write(dir.join("a.conf~"), "[a]\nlocation=/a\n").unwrap();
        assert_eq!(
            configured(root.path()).unwrap(),
            [Repo { name: "b".parse().unwrap(), location: "/b".into() }]
        );
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
