//! The copy of `/etc/portage` that is sent.
//!
//! | left out | since |
//! |---|---|
//! | `binrepos.conf`, `gnupg` | they say where a client installs from, and whom it trusts; drones have the run's own view |
//! | backups of editors, `._cfg…`, `.git` and its like | Portage does not read them |
//! | files that hold a private key, or are named like one and for their owner's eyes only | every drone would have them |
//! | variables named `…TOKEN…`, `…PASSWORD…`, `…SECRET…`, or with a user or password in a URI | likewise, and every package ([`settings`]) |
//!
//! | changed | to |
//! |---|---|
//! | `make.profile` | an absolute symlink into its repository, else the directory that it leads to ([`profile`]) |
//! | `-march=native`, `-mtune=native` | what they mean on the workstation ([`native`]) |
//! | an absolute symlink within `/etc/portage` | a relative one |
//!
//! Every other symlink that leads out, and whatever is neither file, directory nor symlink, is refused.

use super::native::Expand;
use super::profile::{self, Profile};
use super::settings;
use super::{Packed, Remark, below, native, packed, refused, unread, unwritten};
use crate::failure::Failure;
use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Component, Path, PathBuf};
use swarm_bundle::repos::Repo;
use swarm_bundle::{Limits, pack, tree};
use tempfile::TempDir;

const DIRECTORY: &str = "/etc/portage";
const SKIPPED: &[&str] = &["binrepos.conf", "gnupg", "make.profile"];
const VERSION_CONTROL: [&str; 7] = [".git", ".hg", ".svn", ".bzr", "CVS", "RCS", "SCCS"];
/// How the names of files with keys end, or begin.
const KEY_ENDINGS: [&str; 6] = [".key", ".pem", ".gpg", ".p12", ".pfx", ".jks"];

/// A configuration as it is sent.
#[derive(Debug)]
pub(crate) struct Configuration {
    copy: TempDir,
    /// Where it differs from the workstation's.
    pub(crate) remarks: Vec<Remark>,
}

impl Configuration {
    /// Copies the configuration of the workstation at `root`, which has these repositories.
    pub(crate) fn read(root: &Path, repos: &[Repo]) -> Result<Self, Failure> {
        Self::read_with(root, repos, &|flag| native::ask(root, flag))
    }

    fn read_with(root: &Path, repos: &[Repo], expand: Expand<'_>) -> Result<Self, Failure> {
        let from = below(root, DIRECTORY);
        if !from.is_dir() {
            return Err(Failure::usage(format!(
                "there is no {}: is {} a workstation's root? (--world FILE pushes a world set alone)",
                from.display(),
                root.display()
            )));
        }
        let profile = profile::of(root, repos)?;
        // Whatever cannot be sent is named by its own path, before anything is copied.
        let is_fine = |relative: &Path| is_backup(relative) || leads_within(&from, relative).is_some();
        pack::check(&from, SKIPPED, is_fine, Limits::CONFIGURATION).map_err(|error| refused(&error))?;
        let copy = TempDir::new().map_err(|error| unwritten(&error))?;
        let mut copying = Copying { from: &from, to: copy.path(), expand, remarks: Vec::new() };
        copying.tree(Path::new(""), SKIPPED)?;
        copying.profile(&profile)?;
        let remarks = copying.remarks;
        Ok(Self { copy, remarks })
    }

    /// The copy.
    pub(crate) fn path(&self) -> &Path {
        self.copy.path()
    }

    /// Packs it.
    pub(crate) fn pack(&self) -> Result<Packed, Failure> {
        packed(self.path(), &[], |relative| relative == Path::new("make.profile"), Limits::CONFIGURATION)
    }
}

struct Copying<'a> {
    from: &'a Path,
    to: &'a Path,
    expand: Expand<'a>,
    remarks: Vec<Remark>,
}

impl Copying<'_> {
    fn remark(&mut self, relative: &Path, what: impl Into<String>) {
        self.remarks.push(Remark { path: relative.to_owned(), what: what.into() });
    }

    /// Copies `from` to the directory `into` of the copy.
    fn tree(&mut self, into: &Path, skipped: &[&str]) -> Result<(), Failure> {
        let mut directories = Vec::new();
        for relative in tree::paths(self.from, skipped).map_err(|error| unread(self.from, &error))? {
            let (path, at) = (self.from.join(&relative), into.join(&relative));
            if is_backup(&relative) {
                let within = relative.parent().is_some_and(is_backup);
                if !within {
                    self.remark(&at, "is a backup or version control, and left out");
                }
                continue;
            }
            let metadata = fs::symlink_metadata(&path).map_err(|error| unread(&path, &error))?;
            let (to, mode) = (self.to.join(&at), metadata.permissions().mode() & 0o7777);
            if metadata.is_symlink() {
                let target = leads_within(self.from, &relative)
                    .map_or_else(|| fs::read_link(&path).map_err(|error| unread(&path, &error)), Ok)?;
                symlink(target, &to).map_err(|error| unwritten(&error))?;
            } else if metadata.is_dir() {
                fs::create_dir(&to).map_err(|error| unwritten(&error))?;
                directories.push((to, mode));
            } else if let Some(bytes) = self.file(&path, &at, mode)? {
                write(&to, &bytes, mode).map_err(|error| unwritten(&error))?;
            }
        }
        for (path, mode) in directories {
            fs::set_permissions(path, Permissions::from_mode(mode)).map_err(|error| unwritten(&error))?;
        }
        Ok(())
    }

    /// What is sent of a file; nothing of a key.
    fn file(&mut self, path: &Path, at: &Path, mode: u32) -> Result<Option<Vec<u8>>, Failure> {
        let bytes = fs::read(path).map_err(|error| unread(path, &error))?;
        if is_key(at, &bytes, mode) {
            self.remark(at, "looks like a private key, and is left out");
            return Ok(None);
        }
        let (Some(kind), Ok(text)) = (settings::kind(at), std::str::from_utf8(&bytes)) else {
            return Ok(Some(bytes));
        };
        let refused =
            |(number, why): (usize, String)| Failure::usage(format!("{}:{number}: {why}", path.display()));
        let edited = settings::edited(kind, text, self.expand).map_err(refused)?;
        edited.remarks.into_iter().for_each(|what| self.remark(at, what));
        Ok(Some(edited.text.into_bytes()))
    }

    fn profile(&mut self, profile: &Profile) -> Result<(), Failure> {
        let (name, to) = (Path::new("make.profile"), self.to.join("make.profile"));
        match profile {
            Profile::Repository(target) => symlink(target, to).map_err(|error| unwritten(&error)),
            Profile::Directory { path, is_link } => {
                let (mode, limits) = (0o755, Limits::CONFIGURATION);
                pack::check(path, &[], is_backup, limits).map_err(|error| refused(&error))?;
                fs::create_dir(&to).map_err(|error| unwritten(&error))?;
                fs::set_permissions(&to, Permissions::from_mode(mode)).map_err(|error| unwritten(&error))?;
                let mut copying = Copying { from: path, to: self.to, expand: self.expand, remarks: vec![] };
                copying.tree(name, &[])?;
                self.remarks.append(&mut copying.remarks);
                if *is_link {
                    self.remark(
                        name,
                        format!("leads out of the repositories, and becomes {}", path.display()),
                    );
                }
                Ok(())
            }
        }
    }
}

fn write(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    fs::write(path, bytes)?;
    fs::set_permissions(path, Permissions::from_mode(mode))
}

/// What editors, `etc-update` and version control leave, which Portage does not read either.
fn is_backup(relative: &Path) -> bool {
    relative.iter().any(|name| {
        let name = name.to_string_lossy();
        name.ends_with('~')
            || name.starts_with("._cfg")
            || name.starts_with(".#")
            || (name.starts_with('#') && name.ends_with('#'))
            || (name.starts_with('.') && (name.ends_with(".swp") || name.ends_with(".swo")))
            || VERSION_CONTROL.contains(&name.as_ref())
    })
}

/// The relative target of an absolute symlink that leads to something within `/etc/portage`.
fn leads_within(from: &Path, relative: &Path) -> Option<PathBuf> {
    let target = fs::read_link(from.join(relative)).ok()?;
    let within = target.strip_prefix(DIRECTORY).ok()?;
    let plain = within.components().all(|part| matches!(part, Component::Normal(_)));
    let up = relative.components().skip(1).map(|_| "..").collect::<PathBuf>();
    (plain && from.join(within).exists()).then(|| up.join(within))
}

/// A file that holds a private key; or one whose name says so and that only its owner may read.
fn is_key(relative: &Path, bytes: &[u8], mode: u32) -> bool {
    let name = relative.file_name().unwrap_or_default().to_string_lossy().to_lowercase();
    let private = mode.trailing_zeros() >= 6;
    let named = KEY_ENDINGS.iter().any(|ending| name.ends_with(ending)) || name.starts_with("id_");
    (private && named)
        || String::from_utf8_lossy(bytes)
            .lines()
            .any(|line| line.starts_with("-----BEGIN ") && line.contains("PRIVATE KEY"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{detail, workstation};
    use std::collections::BTreeMap;

    fn read(root: &Path) -> Result<Configuration, String> {
        let repos = swarm_bundle::repos::configured(root).unwrap();
        let native = |flag: &str| Ok(vec![flag.replace("native", "znver3"), "-mavx2".to_owned()]);
        Configuration::read_with(root, &repos, &native).map_err(detail)
    }

    /// Every file with its text, every symlink with its target.
    fn contents(root: &Path) -> BTreeMap<String, String> {
        let text = |path: &Path| match fs::read_link(path) {
            Ok(target) => format!("-> {}", target.display()),
            Err(_) => fs::read_to_string(path).unwrap(),
        };
        let paths = tree::paths(root, &[]).unwrap().into_iter();
        let files = paths
            .filter(|path| path.is_symlink() || !root.join(path).is_dir() || root.join(path).is_symlink());
        files.map(|path| (path.display().to_string(), text(&root.join(&path)))).collect()
    }

    #[test]
    fn what_is_sent_and_what_is_not() {
        let root = workstation();
        let portage = root.path().join("etc/portage");
        let write = |path: &str, text: &str| {
            fs::create_dir_all(portage.join(path).parent().unwrap()).unwrap();
            fs::write(portage.join(path), text).unwrap();
        };
        write("make.conf", "CFLAGS=\"-O2 -march=native\"\nGITHUB_TOKEN=\"x\" # mine\nUSE=\"ssl\"\n");
        write("package.use/zlib", "sys-libs/zlib static\n");
        write("package.use/zlib~", "old\n");
        write("package.use/._cfg0000_zlib", "new\n");
        write(".git/config", "[remote]\n");
        write("savedconfig/sys-kernel/linux", "y\n");
        write("sets/tools", "app-misc/jq\n");
        write("gnupg/pubring.kbx", "x");
        write("binrepos.conf/one.conf", "[one]\n");
        write("signing.pem", "x");
        write("env/key", "-----BEGIN OPENSSH PRIVATE KEY-----\n");
        write("bashrc", "true\n");
        for (path, mode) in [("signing.pem", 0o600), ("bashrc", 0o750), ("package.use", 0o700)] {
            fs::set_permissions(portage.join(path), Permissions::from_mode(mode)).unwrap();
        }
        symlink("me@host.1234", portage.join(".#make.conf")).unwrap();
        symlink("/etc/portage/package.use/zlib", portage.join("sets/link")).unwrap();
        let configuration = read(root.path()).unwrap();
        let sent = contents(configuration.path());
        let expected = [
            ("bashrc", "true\n"),
            ("make.conf", "CFLAGS=\"-O2 -march=znver3 -mavx2\"\n # mine\nUSE=\"ssl\"\n"),
            ("make.profile", "-> /var/db/repos/gentoo/profiles/default"),
            ("package.use/zlib", "sys-libs/zlib static\n"),
            ("repos.conf", "[gentoo]\nlocation = /var/db/repos/gentoo\n"),
            ("savedconfig/sys-kernel/linux", "y\n"),
            ("sets/link", "-> ../package.use/zlib"),
            ("sets/tools", "app-misc/jq\n"),
        ];
        assert_eq!(sent, expected.map(|(path, text)| (path.to_owned(), text.to_owned())).into());
        let mode =
            |path: &str| fs::metadata(configuration.path().join(path)).unwrap().permissions().mode() & 0o7777;
        assert_eq!((mode("bashrc"), mode("package.use")), (0o750, 0o700));
        let remarks: Vec<_> =
            configuration.remarks.iter().map(|it| format!("{} {}", it.path.display(), it.what)).collect();
        insta::assert_snapshot!(remarks.join("\n"));
        let (one, two) = (configuration.pack().unwrap(), read(root.path()).unwrap().pack().unwrap());
        assert_eq!(one.bundle, two.bundle, "one configuration is one bundle");
    }

    #[test]
    fn a_profile_of_ones_own_becomes_a_directory() {
        let root = workstation();
        let link = root.path().join("etc/portage/make.profile");
        let own = root.path().join("srv/profile");
        fs::create_dir_all(&own).unwrap();
        fs::write(own.join("parent"), "gentoo:default\n").unwrap();
        fs::write(own.join("make.defaults"), "CFLAGS=-march=native\n").unwrap();
        fs::remove_file(&link).unwrap();
        symlink("../../srv/profile", &link).unwrap();
        let sent = contents(read(root.path()).unwrap().path());
        assert_eq!(sent["make.profile/parent"], "gentoo:default\n");
        assert_eq!(sent["make.profile/make.defaults"], "CFLAGS='-march=znver3 -mavx2'\n");
        fs::write(own.join("parent"), "../other\n").unwrap();
        assert!(read(root.path()).unwrap_err().contains("REPOSITORY:PATH"));
        fs::remove_file(&link).unwrap();
        assert!(read(root.path()).unwrap_err().contains("eselect profile set"));
        symlink("../../srv/nowhere", &link).unwrap();
        assert!(read(root.path()).unwrap_err().contains("leads to nothing"));
    }

    #[test]
    fn what_cannot_be_sent_is_named_by_its_own_path() {
        type Spoil = fn(&Path);
        let cases: [(Spoil, &str); 5] = [
            (
                |portage| symlink("nowhere", portage.join("env")).unwrap(),
                "/etc/portage/env is a symlink to nowhere, which does not exist",
            ),
            (
                |portage| symlink("/etc/passwd", portage.join("users")).unwrap(),
                "/etc/portage/users is a symlink to /etc/passwd, which is not within",
            ),
            (
                |portage| symlink("../../etc", portage.join("up")).unwrap(),
                "/etc/portage/up is a symlink to ../../etc, which is not within",
            ),
            (
                |portage| drop(std::os::unix::net::UnixListener::bind(portage.join("socket")).unwrap()),
                "/etc/portage/socket is a socket",
            ),
            (
                // Sparse: two gigabytes that nobody has to write.
                |portage| fs::File::create(portage.join("junk")).unwrap().set_len(2 << 30).unwrap(),
                "/etc/portage holds more than 268435456 bytes; the largest file is",
            ),
        ];
        for (spoil, fault) in cases {
            let root = workstation();
            spoil(&root.path().join("etc/portage"));
            let said = read(root.path()).unwrap_err();
            assert!(said.contains(fault), "{said}");
        }
        let empty = tempfile::tempdir().unwrap();
        assert!(read(empty.path()).unwrap_err().contains("--world FILE pushes a world set alone"));
    }
}
