//! The binhost's section in `binrepos.conf` (portage(5)), a file or a directory of files, among whatever else is there.
//!
//! Only `sync-uri` and `verify-signature` of the section are ours. Every other line stays as somebody wrote it, a
//! `priority` that was changed among them.

use super::unread;
use crate::failure::Failure;
use std::fs::{self, Permissions};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use swarm_bundle::repos;
use swarm_protocol::binhost::{BINREPO, BINREPO_PRIORITY};
use tempfile::NamedTempFile;

/// In a directory of files, the one that is made.
const FILE: &str = "build-swarm.conf";
const ORIGIN: &str = "# Made by `swarm setup workstation`. What you add or change stays, but for sync-uri and verify-signature.";

/// What the section shall say.
#[derive(Debug)]
pub(crate) struct Wanted {
    /// Where the generation is, without credentials.
    pub(crate) sync_uri: String,
    /// `NAME:TOKEN` of a reader, where only known readers install.
    pub(crate) reader: Option<String>,
    /// Whether packages are signed.
    pub(crate) verify: bool,
}

/// A file as it is, and as it shall be.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Edit {
    /// Which file.
    pub(crate) path: PathBuf,
    /// Its text; none where it is not there.
    pub(crate) before: Option<String>,
    /// What it becomes.
    pub(crate) after: String,
    /// What a person should know, and may want to change.
    pub(crate) remarks: Vec<String>,
}

/// What is to be done to the files at `place`.
pub(crate) fn plan(place: &Path, wanted: &Wanted) -> Result<Edit, Failure> {
    let files = files(place)?;
    let holders: Vec<_> = files.iter().filter(|(_, text)| section(text, BINREPO).is_some()).collect();
    let (path, before) = match holders.as_slice() {
        [] if place.is_file() => (place.to_owned(), files.first().map(|(_, text)| text.clone())),
        [] => {
            let path = place.join(FILE);
            let before = files.iter().find(|(file, _)| *file == path).map(|(_, text)| text.clone());
            (path, before)
        }
        [(path, text)] => (path.clone(), Some(text.clone())),
        [(one, _), (other, _), ..] => {
            return Err(Failure::usage(format!(
                "{} and {} both have a section [{BINREPO}], which Portage reads as one: remove it from one of them",
                one.display(),
                other.display()
            )));
        }
    };
    let mut remarks = Vec::new();
    for (path, text) in &files {
        let others = sections(text).into_iter().filter(|name| *name != BINREPO);
        let same = |name: &&str| {
            let uri = value(text, name, "sync-uri");
            uri.is_some_and(|uri| without_credentials(uri).trim_end_matches('/') == wanted.sync_uri)
        };
        remarks.extend(others.filter(same).map(|name| {
            format!("{} has the same binhost a second time, as [{name}]: remove that section", path.display())
        }));
    }
    let after = edited(before.as_deref().unwrap_or_default(), wanted);
    Ok(Edit { path, before, after, remarks })
}

/// The `sync-uri` of the binhost's section, without credentials.
pub(crate) fn configured(place: &Path) -> Result<Option<String>, Failure> {
    let files = files(place)?;
    let found = files.iter().find_map(|(_, text)| value(text, BINREPO, "sync-uri"));
    Ok(found.map(|uri| without_credentials(uri).trim_end_matches('/').to_owned()))
}

/// Whether packages from the binhost must be signed. Since 3.0.78 that is what Portage takes silence for.
pub(crate) fn verifies(place: &Path) -> Result<bool, Failure> {
    let files = files(place)?;
    let found = files.iter().find_map(|(_, text)| value(text, BINREPO, "verify-signature"));
    Ok(found.is_none_or(|value| matches!(value.to_lowercase().as_str(), "true" | "yes")))
}

impl Edit {
    /// Whether there is anything to do.
    pub(crate) fn changes(&self) -> bool {
        self.before.as_ref() != Some(&self.after)
    }

    /// The difference, line by line, without anybody's credentials.
    pub(crate) fn diff(&self) -> String {
        let [before, after] =
            [self.before.as_deref().unwrap_or_default(), &self.after].map(hidden_credentials);
        let path = self.path.display().to_string();
        similar::TextDiff::from_lines(&before, &after).unified_diff().header(&path, &path).to_string()
    }

    /// Writes the file, whole or not at all.
    pub(crate) fn write(&self) -> Result<(), Failure> {
        // Through a symlink, to the file that it leads to.
        let path = self.path.canonicalize().unwrap_or_else(|_| self.path.clone());
        let directory = path.parent().unwrap_or(Path::new("/"));
        let mode = match fs::metadata(&path) {
            Ok(there) => there.permissions().mode() & 0o777,
            Err(_) => 0o644,
        };
        // A reader's token is for root alone; wget and Portage read it before they drop anything.
        let mode = if hidden_credentials(&self.after) == self.after { mode } else { 0o600 };
        let write = || {
            fs::create_dir_all(directory)?;
            // Portage passes over names that begin with a dot.
            let mut file = NamedTempFile::new_in(directory)?;
            file.write_all(self.after.as_bytes())?;
            file.as_file().set_permissions(Permissions::from_mode(mode))?;
            file.as_file().sync_all()?;
            file.persist(&path)?;
            Ok::<_, std::io::Error>(())
        };
        write().map_err(|error| Failure::usage(format!("cannot write {}: {error}", path.display())))
    }
}

/// The files that Portage reads there, in its order.
fn files(place: &Path) -> Result<Vec<(PathBuf, String)>, Failure> {
    let mut paths = Vec::new();
    repos::files(place, &mut paths).map_err(|error| Failure::usage(error.to_string()))?;
    let read = |path: PathBuf| {
        let text = fs::read_to_string(&path).map_err(|error| unread(&path, &error))?;
        Ok((path, text))
    };
    paths.into_iter().map(read).collect()
}

fn heading(line: &str) -> Option<&str> {
    line.trim_end().strip_prefix('[')?.strip_suffix(']')
}

fn sections(text: &str) -> Vec<&str> {
    text.lines().filter_map(heading).collect()
}

/// The lines of a section, without its heading: where they begin, and where they end.
fn section(text: &str, name: &str) -> Option<(usize, usize)> {
    let lines: Vec<_> = text.lines().collect();
    let start = lines.iter().position(|line| heading(line) == Some(name))? + 1;
    let length = lines[start..].iter().position(|line| heading(line).is_some());
    Some((start, length.map_or(lines.len(), |length| start + length)))
}

/// `name = value` or `name: value`, as Python's configparser has it.
fn setting(line: &str) -> Option<(&str, &str)> {
    let (name, value) = line.split_once(['=', ':'])?;
    (!name.starts_with([' ', '\t', '#', ';'])).then_some((name.trim(), value.trim()))
}

fn value<'a>(text: &'a str, section_name: &str, name: &str) -> Option<&'a str> {
    let (start, end) = section(text, section_name)?;
    let lines = text.lines().skip(start).take(end - start);
    lines.filter_map(setting).find(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value)
}

fn edited(text: &str, wanted: &Wanted) -> String {
    let uri = match (&wanted.reader, value(text, BINREPO, "sync-uri")) {
        (Some(reader), _) => wanted.sync_uri.replacen("://", &format!("://{reader}@"), 1),
        // Credentials that are there are the user's; they are kept for the same place, and sent to no other.
        (None, Some(there)) if without_credentials(there).trim_end_matches('/') == wanted.sync_uri => {
            there.to_owned()
        }
        (None, _) => wanted.sync_uri.clone(),
    };
    let ours = [("sync-uri", uri), ("verify-signature", wanted.verify.to_string())];
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    if section(text, BINREPO).is_none() {
        if !lines.is_empty() {
            lines.push(String::new());
        }
        lines.extend([ORIGIN.to_owned(), format!("[{BINREPO}]"), format!("priority = {BINREPO_PRIORITY}")]);
        lines.extend(ours.map(|(name, value)| format!("{name} = {value}")));
    } else if let Some((start, end)) = section(text, BINREPO) {
        for (name, value) in ours {
            let is_it =
                |line: &String| setting(line).is_some_and(|(found, _)| found.eq_ignore_ascii_case(name));
            match lines[start..end].iter().position(is_it) {
                Some(at) if setting(&lines[start + at]).is_some_and(|(_, there)| there == value) => {}
                Some(at) => lines[start + at] = format!("{name} = {value}"),
                // Right below the heading: the other lines keep their order, and `end` is looked up no more.
                None => lines.insert(start, format!("{name} = {value}")),
            }
        }
    }
    lines.join("\n") + "\n"
}

/// `scheme://`, what stands before an `@`, and the rest.
fn parts(uri: &str) -> Option<(&str, Option<&str>, &str)> {
    let (scheme, rest) = uri.split_once("://")?;
    let authority = rest.split('/').next().unwrap_or_default();
    match authority.rsplit_once('@') {
        Some((user, _)) => Some((scheme, Some(user), &rest[user.len() + 1..])),
        None => Some((scheme, None, rest)),
    }
}

fn without_credentials(uri: &str) -> String {
    match parts(uri) {
        Some((scheme, _, rest)) => format!("{scheme}://{rest}"),
        None => uri.to_owned(),
    }
}

fn hidden_credentials(text: &str) -> String {
    let line = |line: &str| match setting(line).and_then(|(name, value)| Some((name, parts(value)?))) {
        Some((name, (scheme, Some(_), rest))) => format!("{name} = {scheme}://…@{rest}\n"),
        _ => format!("{line}\n"),
    };
    text.lines().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::detail;

    const URI: &str = "http://binhost:8410/binhost/desktop";

    fn wanted() -> Wanted {
        Wanted { sync_uri: URI.to_owned(), reader: None, verify: true }
    }

    #[test]
    fn a_new_directory_of_files_gets_one_and_a_second_time_nothing_changes() {
        let root = tempfile::tempdir().unwrap();
        let place = root.path().join("binrepos.conf");
        assert_eq!(configured(&place).unwrap(), None);
        let edit = plan(&place, &wanted()).unwrap();
        assert_eq!((edit.path.as_path(), edit.changes()), (place.join(FILE).as_path(), true));
        insta::assert_snapshot!(edit.after);
        edit.write().unwrap();
        let again = plan(&place, &wanted()).unwrap();
        assert!(!again.changes(), "{}", again.diff());
        assert_eq!(configured(&place).unwrap().as_deref(), Some(URI));
        assert!(verifies(&place).unwrap());
    }

    #[test]
    fn what_the_user_wrote_stays() {
        let root = tempfile::tempdir().unwrap();
        let place = root.path().join("binrepos.conf");
        let theirs = "# mine\n[gentoo]\nsync-uri = https://example.org/x\n\n[swarm]\n# low\npriority = 3\n\
                      sync-uri: http://old/binhost/desktop\ngetbinpkg-exclude = dev-lang/rust\n\n[other]\nsync-uri = http://o/\n";
        fs::write(&place, theirs).unwrap();
        let edit = plan(&place, &wanted()).unwrap();
        assert_eq!(edit.path, place);
        insta::assert_snapshot!(edit.diff().replace(&place.display().to_string(), "binrepos.conf"));
        fs::write(&place, "[gentoo]\nsync-uri = https://example.org/x").unwrap();
        let added = plan(&place, &wanted()).unwrap().after;
        assert!(added.starts_with("[gentoo]\nsync-uri = https://example.org/x\n\n# Made by"), "{added}");
    }

    #[test]
    fn the_section_is_edited_where_it_is_and_a_second_one_is_told() {
        let place = tempfile::tempdir().unwrap();
        let path = |name: &str| place.path().join(name);
        fs::write(path("swarm.conf"), "[swarm]\nsync-uri = http://old\n").unwrap();
        fs::write(path("mine.conf"), format!("[mine]\nsync-uri = {URI}/\n")).unwrap();
        fs::write(path("swarm.conf~"), "[swarm]\n").unwrap();
        let edit = plan(place.path(), &wanted()).unwrap();
        assert_eq!(edit.path, path("swarm.conf"));
        assert!(edit.remarks[0].contains("mine.conf") && edit.remarks[0].contains("[mine]"), "{edit:?}");
        fs::write(path("z.conf"), "[swarm]\n").unwrap();
        let said = detail(plan(place.path(), &wanted()).unwrap_err());
        assert!(said.contains("swarm.conf") && said.contains("z.conf"), "{said}");
    }

    #[test]
    fn a_readers_token_is_for_root_alone_and_shown_to_nobody() {
        let root = tempfile::tempdir().unwrap();
        let place = root.path().join("binrepos.conf");
        fs::write(&place, "[swarm]\n").unwrap();
        let reader = Wanted { reader: Some("desk:s3cret".to_owned()), ..wanted() };
        let edit = plan(&place, &reader).unwrap();
        assert!(edit.after.contains("sync-uri = http://desk:s3cret@binhost:8410/"), "{edit:?}");
        assert!(edit.diff().contains("http://…@binhost:8410/") && !edit.diff().contains("s3cret"));
        edit.write().unwrap();
        assert_eq!(fs::metadata(&place).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(!plan(&place, &wanted()).unwrap().changes(), "it is kept without being named again");
        let elsewhere = Wanted { sync_uri: "http://other/binhost/desktop".to_owned(), ..wanted() };
        assert!(!plan(&place, &elsewhere).unwrap().after.contains("s3cret"));
    }
}
