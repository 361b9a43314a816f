//! The directory of keys: who may read it, which key signs, and what changes it.

use super::key::{Fingerprint, Key, Unfit};
use crate::clock::system_time;
use crate::durable::{self, TempFile};
use crate::error::{Doing, Error};
use rustix::fs::{FlockOperation, flock};
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

const LINK: &str = "signing";
const NEW_LINK: &str = ".signing.new";
const NEW_KEY: &str = ".key.new";
const DAY: i64 = 86_400;
/// How long a key that the daemon makes is valid.
pub(super) const DAYS: u32 = 730;

/// Why there is no key to sign with, or the keys cannot be changed. Messages name paths: for the log and the terminal.
#[derive(Debug, thiserror::Error)]
pub(crate) enum KeyError {
    #[error("there is no key in {}; `build-binhost key create` makes one", .0.display())]
    None(PathBuf),
    #[error("{} names no key beside it; restore the key, or choose one with `build-binhost key use`", .0.display())]
    Dangling(PathBuf),
    #[error("others may read {} (mode {mode:o}): chmod {wanted:o}", path.display())]
    Open { path: PathBuf, mode: u32, wanted: u32 },
    #[error("{} belongs to the account {owner}, and this runs as {own}", path.display())]
    Owner { path: PathBuf, owner: u32, own: u32 },
    #[error("{}: {fault}", path.display())]
    Unfit { path: PathBuf, fault: Unfit },
    #[error("{} is named by another fingerprint than its key's", .0.display())]
    Misnamed(PathBuf),
    #[error("the key {key} expired on {}: `build-binhost key extend {key}`", date(*on))]
    Expired { key: Fingerprint, on: i64 },
    #[error("the key {key} was made on {}, and this machine's clock stands before that", date(*on))]
    Early { key: Fingerprint, on: i64 },
    #[error("{count} keys end in {text:?}; one must")]
    Ambiguous { text: String, count: usize },
    #[error("{0} signs: first let another key do that, with `build-binhost key use`")]
    Signs(Fingerprint),
    #[error("no key can be valid for {0} days from now")]
    Validity(u32),
    #[error("OpenPGP: {0}")]
    OpenPgp(#[from] pgp::errors::Error),
    #[error("there are no random bytes: {0}")]
    Randomness(#[from] getrandom::Error),
    #[error(transparent)]
    Io(Box<Error>),
}

type Result<T, E = KeyError> = std::result::Result<T, E>;

impl From<Error> for KeyError {
    fn from(error: Error) -> Self {
        Self::Io(Box::new(error))
    }
}

/// A moment as people read it.
pub(super) fn date(seconds: i64) -> String {
    httpdate::fmt_http_date(system_time(seconds))
}

/// Where the keys are.
#[derive(Clone, Debug)]
pub(crate) struct Keyring {
    directory: PathBuf,
}

/// The keys as they stand, the oldest first.
pub(crate) struct Keys {
    pub(super) all: Vec<Key>,
    /// The one that signs.
    pub(super) signing: Fingerprint,
}

impl Keyring {
    /// Of the binhost whose directory is `root`.
    pub(crate) fn of(root: &Path) -> Self {
        Self { directory: root.join("keys") }
    }

    /// Reads and checks all keys; where there never was one, makes it.
    pub(crate) fn open(&self, now: i64) -> Result<Keys> {
        match self.load() {
            Err(KeyError::None(_)) => {
                let key = self.create(now, DAYS)?;
                tracing::info!(key.fingerprint = %key.fingerprint(), "made a key to sign packages with");
                self.load()
            }
            loaded => loaded,
        }
    }

    /// The key to sign with now.
    pub(crate) fn signer(&self, now: i64) -> Result<Key> {
        let Keys { all, signing } = self.load()?;
        let key = one(all, signing.as_str())?;
        usable(&key, now)?;
        Ok(key)
    }

    /// Reads and checks all keys.
    pub(crate) fn load(&self) -> Result<Keys> {
        let mut all = self.read_all()?;
        all.sort_by_key(|key| (key.created(), key.fingerprint()));
        let link = self.directory.join(LINK);
        let target = match fs::read_link(&link) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => match &all[..] {
                [] => return Err(KeyError::None(self.directory.clone())),
                // A crash between the first key and its link.
                [only] => PathBuf::from(file_name(&only.fingerprint())),
                _ => return Err(KeyError::Dangling(link)),
            },
            target => target.doing("read", &link)?,
        };
        let mut fingerprints = all.iter().map(Key::fingerprint);
        let signing = fingerprints.find(|key| target == Path::new(&file_name(key)));
        let signing = signing.ok_or(KeyError::Dangling(link))?;
        Ok(Keys { all, signing })
    }

    fn read_all(&self) -> Result<Vec<Key>> {
        if !self.directory.try_exists().doing("look for", &self.directory)? {
            return Ok(Vec::new());
        }
        private(&self.directory, 0o700)?;
        let mut keys = Vec::new();
        for entry in self.directory.read_dir().doing("list", &self.directory)? {
            let path = entry.doing("list", &self.directory)?.path();
            let file = path.file_name().and_then(|file| file.to_str()).unwrap_or_default();
            // What begins with a dot is on its way, or was when the power went.
            if file != LINK && !file.starts_with('.') {
                keys.push(read(&path)?);
            }
        }
        Ok(keys)
    }

    /// Makes a key that is valid for `days`. It signs if no other does.
    pub(crate) fn create(&self, now: i64, days: u32) -> Result<Key> {
        let _lock = self.lock()?;
        let mut seed = [0; 32];
        getrandom::fill(&mut seed)?;
        let key = Key::generate(seed, &user(), now, expiry(now, days)?)?;
        let signing = match self.load() {
            Ok(keys) => keys.signing,
            Err(KeyError::None(_) | KeyError::Dangling(_)) => key.fingerprint(),
            Err(error) => return Err(error),
        };
        self.write(&key)?;
        self.point(&signing)?;
        Ok(key)
    }

    /// Signs with another key from now on.
    pub(crate) fn switch(&self, key: &str, now: i64) -> Result<Key> {
        let _lock = self.lock()?;
        let key = one(self.read_all()?, key)?;
        usable(&key, now)?;
        self.point(&key.fingerprint())?;
        Ok(key)
    }

    /// Lets a key be valid for `days` from now. Clients need its public half anew.
    pub(crate) fn extend(&self, key: &str, now: i64, days: u32) -> Result<Key> {
        let _lock = self.lock()?;
        let key = one(self.read_all()?, key)?.expiring(now, expiry(now, days)?)?;
        self.write(&key)?;
        Ok(key)
    }

    /// Forgets a key that does not sign; it is no longer published.
    pub(crate) fn remove(&self, key: &str) -> Result<Fingerprint> {
        let _lock = self.lock()?;
        let Keys { all, signing } = self.load()?;
        let key = one(all, key)?.fingerprint();
        if key == signing {
            return Err(KeyError::Signs(key));
        }
        let path = self.directory.join(file_name(&key));
        fs::remove_file(&path).doing("remove", &path)?;
        durable::sync_dir(&self.directory)?;
        Ok(key)
    }

    /// One change at a time, between processes. Readers need no lock: every change is one rename.
    fn lock(&self) -> Result<File> {
        let parent = self.directory.parent().unwrap_or(&self.directory);
        owned(parent)?;
        match fs::DirBuilder::new().mode(0o700).create(&self.directory) {
            Ok(()) => durable::sync_dir(parent)?,
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => Err(error).doing("create", &self.directory)?,
        }
        let directory = File::open(&self.directory).doing("open", &self.directory)?;
        flock(&directory, FlockOperation::LockExclusive).doing("lock", &self.directory)?;
        Ok(directory)
    }

    fn write(&self, key: &Key) -> Result<()> {
        let new = self.directory.join(NEW_KEY);
        durable::remove_leftover(&new)?;
        let mut file = TempFile::create_private(new)?;
        file.write(&key.armored_secret()?)?;
        Ok(file.persist(&self.directory.join(file_name(&key.fingerprint())))?)
    }

    fn point(&self, key: &Fingerprint) -> Result<()> {
        let new = self.directory.join(NEW_LINK);
        durable::remove_leftover(&new)?;
        std::os::unix::fs::symlink(file_name(key), &new).doing("create", &new)?;
        Ok(durable::rename(&new, &self.directory.join(LINK))?)
    }
}

impl Keys {
    /// The public halves of all keys, as `gpg --import` takes them, and when that last changed, in Unix seconds.
    pub(crate) fn public(&self) -> Result<(String, i64)> {
        let armored: String = self.all.iter().map(Key::armored_public).collect::<Result<_, _>>()?;
        Ok((armored, self.all.iter().map(Key::changed).max().unwrap_or(0)))
    }
}

fn file_name(key: &Fingerprint) -> String {
    format!("{key}.asc")
}

fn read(path: &Path) -> Result<Key> {
    private(path, 0o600)?;
    let bytes = fs::read(path).doing("read", path)?;
    let key = Key::parse(&bytes).map_err(|fault| KeyError::Unfit { path: path.to_owned(), fault })?;
    if path.file_name() == Some(file_name(&key.fingerprint()).as_ref()) {
        Ok(key)
    } else {
        Err(KeyError::Misnamed(path.to_owned()))
    }
}

/// Refuses what other accounts can read, or could have written.
fn private(path: &Path, wanted: u32) -> Result<()> {
    let mode = owned(path)? & 0o7777;
    match mode & 0o077 {
        0 => Ok(()),
        _ => Err(KeyError::Open { path: path.to_owned(), mode, wanted }),
    }
}

/// Refuses what belongs to another account; gives the mode of the rest.
fn owned(path: &Path) -> Result<u32> {
    let metadata = fs::metadata(path).doing("look at", path)?;
    let (owner, own) = (metadata.uid(), rustix::process::geteuid().as_raw());
    if owner == own {
        Ok(metadata.mode())
    } else {
        Err(KeyError::Owner { path: path.to_owned(), owner, own })
    }
}

/// The key whose fingerprint ends in `text`.
fn one(keys: Vec<Key>, text: &str) -> Result<Key> {
    let text = text.to_ascii_uppercase();
    let mut found: Vec<_> =
        keys.into_iter().filter(|key| key.fingerprint().as_str().ends_with(&text)).collect();
    match (found.pop(), found.len()) {
        (Some(key), 0) => Ok(key),
        (found, more) => Err(KeyError::Ambiguous { text, count: more + usize::from(found.is_some()) }),
    }
}

/// A client would refuse what a key signs outside its time.
pub(super) fn usable(key: &Key, now: i64) -> Result<()> {
    if now >= key.expires() {
        return Err(KeyError::Expired { key: key.fingerprint(), on: key.expires() });
    }
    if now < key.created() {
        return Err(KeyError::Early { key: key.fingerprint(), on: key.created() });
    }
    Ok(())
}

fn expiry(now: i64, days: u32) -> Result<i64> {
    let expires = now + i64::from(days) * DAY;
    if days > 0 && expires < i64::from(u32::MAX) { Ok(expires) } else { Err(KeyError::Validity(days)) }
}

/// The user ID of a new key: clients' keyrings show whose it is.
fn user() -> String {
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let host: String = host.chars().filter(char::is_ascii_graphic).collect();
    format!("Build Swarm binhost {host}")
}
