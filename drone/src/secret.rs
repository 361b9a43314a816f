//! Files that hold a secret: read whole, written for their owner only.

use anyhow::{Context, bail};
use secrecy::{ExposeSecret, SecretString};
use std::fs::{OpenOptions, Permissions};
use std::io::{Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

/// Reads the one line of `path`.
pub fn read(path: &Path) -> anyhow::Result<SecretString> {
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    one_line(&text).with_context(|| format!("{} holds no token", path.display()))
}

/// Reads the one line of a stream, as from a pipe.
pub fn read_from(mut stream: impl Read) -> anyhow::Result<SecretString> {
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    one_line(&text)
}

fn one_line(text: &str) -> anyhow::Result<SecretString> {
    let token = text.trim();
    if token.is_empty() || token.contains(char::is_whitespace) {
        bail!("expected exactly one word");
    }
    Ok(SecretString::from(token.to_owned()))
}

/// Writes `secret` to `path` with mode 0600: to a temporary name first, so that no half a token is ever there.
pub fn write(path: &Path, secret: &SecretString) -> anyhow::Result<()> {
    let mut name = path.file_name().context("the token file has no name")?.to_owned();
    name.push(".new");
    let temporary = path.with_file_name(name);
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&temporary)?;
    // An older file of that name may be open to others.
    file.set_permissions(Permissions::from_mode(0o600))?;
    writeln!(file, "{}", secret.expose_secret())?;
    file.sync_all()?;
    std::fs::rename(&temporary, path)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn written_for_the_owner_and_read_back() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("token");
        write(&path, &"secret".to_owned().into()).unwrap();
        assert_eq!(read(&path).unwrap().expose_secret(), "secret");
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn refuses_what_is_no_token() {
        for wrong in ["", "\n", "two words", "two\nlines"] {
            assert!(read_from(wrong.as_bytes()).is_err(), "{wrong:?}");
        }
    }
}
