//! The keyring that Portage verifies packages with (`BINPKG_GPG_VERIFY_GPG_HOME`).
//!
//! Portage runs gpg as `nobody`, with `--no-auto-check-trustdb`: what it reads must be readable, and a good signature of a
//! key whose trust was not computed yet counts as untrusted. getuto, which keeps Gentoo's release keys in the same place,
//! leaves ours alone, and we leave its.

use super::{unread, unwritten};
use crate::failure::Failure;
use serde::Serialize;
use std::fs::{self, Permissions};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// What Portage reads of it.
const READ: [&str; 3] = ["pubring.kbx", "pubring.gpg", "trustdb.gpg"];

/// A keyring.
#[derive(Debug)]
pub(crate) struct Keyring {
    home: PathBuf,
}

/// A public key, as gpg lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Key {
    /// 40 hexadecimal digits, in capitals.
    pub(crate) fingerprint: String,
    /// gpg's letter for how far it is trusted (`doc/DETAILS`, field 2).
    validity: char,
    /// When it expires, in seconds since 1970.
    expires: Option<i64>,
}

/// What becomes of a key that the swarm announces.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Step {
    /// It was not there.
    Import,
    /// It was there with another expiry.
    Renew,
    /// It was there, and not trusted.
    Trust,
    /// All is as it should be.
    Nothing,
}

impl Key {
    /// Whether Portage takes what it signed.
    pub(crate) fn is_trusted(&self) -> bool {
        matches!(self.validity, 'u' | 'f')
    }

    /// What has to be done to have it in a ring of these.
    pub(crate) fn step(&self, ring: &[Self]) -> Step {
        match ring.iter().find(|key| key.fingerprint == self.fingerprint) {
            None => Step::Import,
            Some(there) if there.expires != self.expires => Step::Renew,
            // What has expired is never trusted; the binhost may announce it for what it has signed before.
            Some(there) if !there.is_trusted() && there.validity != 'e' => Step::Trust,
            Some(_) => Step::Nothing,
        }
    }
}

impl Keyring {
    /// The one in this directory, which need not be there.
    pub(crate) fn new(home: &Path) -> Self {
        Self { home: home.to_owned() }
    }

    /// Its keys; changes nothing.
    pub(crate) fn keys(&self) -> Result<Vec<Key>, Failure> {
        // gpg would make a keyring where there is none.
        if !self.home.join(READ[0]).exists() && !self.home.join(READ[1]).exists() {
            return Ok(Vec::new());
        }
        let said = gpg(&self.home, &["--no-auto-check-trustdb", "--with-colons", "--list-keys"], "")?;
        Ok(listed(&said))
    }

    /// Imports these keys, trusts them, and lets Portage's user read them. May be repeated.
    pub(crate) fn trust(&self, armored: &str, keys: &[Key]) -> Result<(), Failure> {
        let home = &self.home;
        let allow = |path: &Path, mode| {
            fs::set_permissions(path, Permissions::from_mode(mode)).map_err(|error| unread(path, &error))
        };
        fs::create_dir_all(home).map_err(|error| unread(home, &error))?;
        gpg(home, &["--import"], armored)?;
        // 6 is gpg's number for ultimate trust, which needs no other key's word.
        let owners: String = keys.iter().flat_map(|key| [key.fingerprint.as_str(), ":6:\n"]).collect();
        gpg(home, &["--import-ownertrust"], &owners)?;
        gpg(home, &["--check-trustdb"], "")?;
        allow(home, 0o755)?;
        READ.iter()
            .map(|name| home.join(name))
            .filter(|file| file.exists())
            .try_for_each(|file| allow(&file, 0o644))
    }
}

/// The keys in an armored text.
pub(crate) fn announced(armored: &str) -> Result<Vec<Key>, Failure> {
    let home = tempfile::tempdir().map_err(|error| unwritten(&error))?;
    let keys = listed(&gpg(home.path(), &["--with-colons", "--show-keys"], armored)?);
    if keys.is_empty() {
        return Err(Failure::internal("the swarm announces signed packages, and no key that gpg can read"));
    }
    Ok(keys)
}

/// Runs gpg with something on its standard input, and gives what it printed.
fn gpg(home: &Path, arguments: &[&str], input: &str) -> Result<String, Failure> {
    let failed = |why: String| Failure::usage(format!("gpg {} failed: {}", arguments.join(" "), why.trim()));
    let mut command = Command::new("gpg");
    command.arg("--homedir").arg(home).args(["--batch", "--quiet", "--no-tty", "--no-permission-warning"]);
    command.args(arguments).env("LC_ALL", "C");
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child =
        command.spawn().map_err(|error| failed(format!("{error}; is app-crypt/gnupg installed?")))?;
    if let Some(mut stdin) = child.stdin.take() {
        // A gpg that ends before it has read all says why by its status.
        let _ = stdin.write_all(input.as_bytes());
    }
    let output = child.wait_with_output().map_err(|error| failed(error.to_string()))?;
    if !output.status.success() {
        return Err(failed(String::from_utf8_lossy(&output.stderr).into_owned()));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// The primary keys in gpg's `--with-colons` (`doc/DETAILS`): a record `pub`, and the first `fpr` after it.
fn listed(text: &str) -> Vec<Key> {
    let (mut keys, mut begun) = (Vec::new(), None);
    for line in text.lines() {
        let fields: Vec<_> = line.split(':').collect();
        let field = |number: usize| fields.get(number - 1).copied().unwrap_or_default();
        match field(1) {
            "pub" => begun = Some((field(2).chars().next().unwrap_or('-'), field(7).parse().ok())),
            "fpr" => {
                if let Some((validity, expires)) = begun.take() {
                    keys.push(Key { fingerprint: field(10).to_owned(), validity, expires });
                }
            }
            _ => {}
        }
    }
    keys
}

#[cfg(test)]
mod tests {
    use super::*;

    const LISTED: &str = "tru:t:1:1795329000:0:3:1:5\n\
        pub:u:255:22:1111111111111111:1795329000:1858401000::u:::scSC::::::23::0:\n\
        fpr:::::::::AAAA:\nuid:u::::1795329000::X::Swarm::::::::::0:\nsub:u:255:18:2:1795329000:::::e::::::23:\nfpr:::::::::BBBB:\n\
        pub:-:255:22:3333333333333333:1795329000:::-:::scSC::::::23::0:\nfpr:::::::::CCCC:\n\
        pub:e:255:22:4444444444444444:1795329000:1795329001::-:::scSC::::::23::0:\nfpr:::::::::DDDD:\n";

    #[test]
    fn primary_keys_and_what_is_to_be_done_for_them() {
        let ring = listed(LISTED);
        let key =
            |fingerprint: &str, expires| Key { fingerprint: fingerprint.to_owned(), validity: '-', expires };
        assert_eq!(ring.len(), 3, "{ring:?}");
        assert_eq!(ring.iter().map(Key::is_trusted).collect::<Vec<_>>(), [true, false, false]);
        let steps = [
            key("AAAA", Some(1_858_401_000)),
            key("AAAA", Some(1)),
            key("CCCC", None),
            key("DDDD", Some(1_795_329_001)),
            key("BBBB", None),
        ];
        let steps = steps.map(|key| key.step(&ring));
        assert_eq!(steps, [Step::Nothing, Step::Renew, Step::Trust, Step::Nothing, Step::Import]);
    }

    #[test]
    fn a_keyring_that_is_not_there_is_empty_and_is_not_made() {
        let root = tempfile::tempdir().unwrap();
        let home = root.path().join("gnupg");
        assert_eq!(Keyring::new(&home).keys().unwrap(), []);
        assert!(!home.exists());
    }
}
