//! What must never be in a package: anybody may download it. Portage stores emerge's environment, make.conf included,
//! as `environment.bz2` (PORTAGE.md 3), so what leaks on a drone leaks there.
//!
//! Two degrees. A **key** has a form that nothing else has: a private key with its base64 (PEM, OpenPGP armour, SSH), a
//! ticket or token of this swarm. It is found in every value and the package is refused. A **suspect** is a variable of
//! the environment that is set and whose name says password, token or secret; ebuilds have harmless ones, so it is
//! only told to the log. Neither ever shows what was found.

use bzip2::read::MultiBzDecoder;
use std::io::Read;

/// The most of an environment that is looked at; real ones have some hundred KiB.
const LARGEST: u64 = 32 << 20;
const ENVIRONMENT: &str = "environment.bz2";
/// As much base64 as no example in a text has.
const SHORTEST_KEY: usize = 40;
const SUSPICIOUS: [&str; 7] =
    ["PASSWORD", "PASSWD", "PASSPHRASE", "SECRET", "TOKEN", "API_KEY", "ACCESS_KEY"];

/// What was found in a package's metadata.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Secrets {
    /// Where a key is and what it is, as in `environment.bz2 holds a private key`.
    pub keys: Vec<String>,
    /// Variables whose names promise a secret, or why the environment could not be read.
    pub suspects: Vec<String>,
}

impl Secrets {
    /// Looks at one value as it is stored.
    pub(super) fn scan(&mut self, key: &str, bytes: &[u8]) {
        if key != ENVIRONMENT {
            self.keys_of(key, &String::from_utf8_lossy(bytes));
            return;
        }
        let mut environment = Vec::new();
        let read = MultiBzDecoder::new(bytes).take(LARGEST).read_to_end(&mut environment);
        if read.is_err() {
            self.suspects.push(format!("{ENVIRONMENT} is no bzip2 file"));
        }
        let text = String::from_utf8_lossy(&environment);
        self.keys_of(key, &text);
        self.suspects.extend(text.lines().filter_map(suspicious).map(str::to_owned));
    }

    fn keys_of(&mut self, key: &str, text: &str) {
        for (kind, is_there) in
            [("a private key", has_private_key(text)), ("a ticket or token of this swarm", has_token(text))]
        {
            if is_there {
                self.keys.push(format!("{key} holds {kind}"));
            }
        }
    }
}

/// The texts behind each place of `mark`.
fn behind<'t>(text: &'t str, mark: &'static str) -> impl Iterator<Item = &'t str> {
    text.match_indices(mark).map(move |(at, _)| &text[at + mark.len()..])
}

fn is_base64(c: char) -> bool {
    c.is_ascii_alphanumeric() || "+/=-_".contains(c)
}

fn base64_length(text: &str) -> usize {
    text.find(|c| !is_base64(c)).unwrap_or(text.len())
}

/// `-----BEGIN … PRIVATE KEY-----` or `… PRIVATE KEY BLOCK-----`, and a line of base64 soon after it. A shell may have
/// written the line breaks as `\n`.
fn has_private_key(text: &str) -> bool {
    behind(text, "-----BEGIN ").any(|rest| {
        let Some((label, rest)) = rest.split_once("-----") else { return false };
        let near: String = rest.chars().take(400).collect();
        let lines = near.replace("\\n", "\n");
        (label.ends_with("PRIVATE KEY") || label.ends_with("PRIVATE KEY BLOCK"))
            && lines.split(['\n', ' ']).any(|line| base64_length(line.trim()) >= SHORTEST_KEY)
    })
}

/// `swt1.PAYLOAD.SIGNATURE`, or `swarm-KIND-` and 256 bits.
fn has_token(text: &str) -> bool {
    let ticket = behind(text, "swt1.").any(|rest| {
        let payload = base64_length(rest);
        let signature = rest[payload..].strip_prefix('.').map_or(0, base64_length);
        payload >= SHORTEST_KEY && signature >= SHORTEST_KEY
    });
    let token = |kind| behind(text, kind).any(|rest| base64_length(rest) >= 43);
    ticket || ["swarm-admin-", "swarm-viewer-", "swarm-drone-", "swarm-join-"].into_iter().any(token)
}

/// The variable that a line of `declare -p` sets, if its name is one of a secret.
fn suspicious(line: &str) -> Option<&str> {
    let (_, assignment) = line.strip_prefix("declare -")?.split_once(' ')?;
    let (name, value) = assignment.split_once('=')?;
    let is_set = !matches!(value, "" | "\"\"" | "''");
    (is_set && SUSPICIOUS.iter().any(|word| name.to_ascii_uppercase().contains(word))).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn in_environment(text: &str) -> Secrets {
        let mut encoder = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::default());
        encoder.write_all(text.as_bytes()).unwrap();
        let mut secrets = Secrets::default();
        secrets.scan(ENVIRONMENT, &encoder.finish().unwrap());
        secrets
    }

    #[test]
    fn keys_are_found() {
        let base64 = "MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQ";
        for (text, kind) in [
            (format!("declare -x KEY=\"-----BEGIN PRIVATE KEY-----\n{base64}\n"), "a private key"),
            (format!("declare -x KEY=$'-----BEGIN RSA PRIVATE KEY-----\\n{base64}\\n'"), "a private key"),
            (format!("-----BEGIN OPENSSH PRIVATE KEY-----\r\n{base64}"), "a private key"),
            (format!("-----BEGIN PGP PRIVATE KEY BLOCK-----\n\n{base64}"), "a private key"),
            (format!("A=swt1.{base64}.{base64}"), "a ticket or token of this swarm"),
            (format!("A=swarm-drone-{base64}"), "a ticket or token of this swarm"),
        ] {
            assert_eq!(in_environment(&text).keys, [format!("{ENVIRONMENT} holds {kind}")], "{text}");
            let mut plain = Secrets::default();
            plain.scan("LICENSE", text.as_bytes());
            assert_eq!(plain.keys, [format!("LICENSE holds {kind}")]);
        }
    }

    #[test]
    fn what_ebuilds_say_is_no_key() {
        for text in [
            "grep -q -- '-----BEGIN RSA PRIVATE KEY-----' server.pem || die",
            "-----BEGIN CERTIFICATE-----\nMIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQ",
            "-----BEGIN PUBLIC KEY-----\nMIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQ",
            "http://example.org/swarm-join-us and swt1.2",
            "-----BEGIN PRIVATE KEY-----",
        ] {
            assert_eq!(in_environment(text), Secrets::default(), "{text}");
        }
    }

    #[test]
    fn suspects_are_variables_that_are_set() {
        let environment = "declare -x GITHUB_TOKEN=\"abc\"\ndeclare -- db_password=\"x\"\ndeclare -x A_SECRET=\"\"\n\
                           declare -x PATH=\"/bin\"\nuse_token () { TOKEN=1; }\n";
        assert_eq!(in_environment(environment).suspects, ["GITHUB_TOKEN", "db_password"]);
        let mut broken = Secrets::default();
        broken.scan(ENVIRONMENT, b"not of interest");
        assert_eq!(broken.suspects, ["environment.bz2 is no bzip2 file"]);
    }
}
