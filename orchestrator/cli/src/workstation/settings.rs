//! Files of variables, as Portage's `getconfig` (`portage/util/__init__.py`) reads them: `NAME=VALUE` in the words of a
//! shell, comments, `source FILE`. What is edited is cut out or replaced where it stands; everything else stays as it is.

use super::native::Expand;
use std::ops::Range;
use std::path::Path;

/// Parts of the names of variables that no package's environment should hold.
const SECRET: [&str; 3] = ["TOKEN", "PASSWORD", "SECRET"];
const NATIVE: [&str; 3] = ["-march=native", "-mtune=native", "-mcpu=native"];

/// How a file below `/etc/portage` is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// As `make.conf` is.
    Variables,
    /// As `repos.conf` is.
    Repositories,
}

/// The kind of a file that is edited; the others are sent as they are.
pub(super) fn kind(relative: &Path) -> Option<Kind> {
    let first = relative.iter().next()?.to_str()?;
    match first {
        "make.conf" | "env" => Some(Kind::Variables),
        "repos.conf" => Some(Kind::Repositories),
        "profile" | "make.profile" if relative.ends_with("make.defaults") => Some(Kind::Variables),
        _ => None,
    }
}

/// A text after its edition, and what was done to it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Edited {
    pub(super) text: String,
    pub(super) remarks: Vec<String>,
}

/// The text without secrets, and with `native` expanded; or the line that cannot be sent, and why.
pub(super) fn edited(kind: Kind, text: &str, expand: Expand<'_>) -> Result<Edited, (usize, String)> {
    match kind {
        Kind::Variables => variables(text, expand),
        Kind::Repositories => Ok(repositories(text)),
    }
}

fn repositories(text: &str) -> Edited {
    let mut edited = Edited { text: String::new(), remarks: Vec::new() };
    for line in text.split_inclusive('\n') {
        if has_credentials(line) {
            let name = line.split(['=', ':']).next().unwrap_or_default().trim();
            edited.remarks.push(format!("{name} holds a URI with credentials, and is left out"));
        } else {
            edited.text.push_str(line);
        }
    }
    edited
}

fn variables(text: &str, expand: Expand<'_>) -> Result<Edited, (usize, String)> {
    let mut edited = Edited { text: String::new(), remarks: Vec::new() };
    let mut done = 0;
    for word in statements(text) {
        let number = text[..word.whole.start].matches('\n').count() + 1;
        let (name, value) = (word.name, &text[word.value.clone()]);
        if name == "source" {
            let file = value.trim_matches(['"', '\'']);
            if file.starts_with('/') && !file.starts_with("/etc/portage/") || file.contains("..") {
                return Err((number, format!("it sources {file}, which is not within /etc/portage")));
            }
            continue;
        }
        if SECRET.iter().any(|part| name.to_uppercase().contains(part)) {
            edited.remarks.push(format!("{name} is named like a secret, and left out"));
        } else if has_credentials(value) {
            edited.remarks.push(format!("{name} holds a URI with credentials, and is left out"));
        } else if value.contains("target-cpu=native") {
            let fix = "write the CPU that `rustc --print target-cpus` marks as native";
            return Err((
                number,
                format!("{name} has target-cpu=native, which means another CPU on each drone: {fix}"),
            ));
        } else {
            if let Some(value) = expanded(value, expand).map_err(|why| (number, format!("{name}: {why}")))? {
                edited.text.push_str(&text[done..word.value.start]);
                edited.text.push_str(&value);
                edited.remarks.push(format!("{name} has \"native\" written out"));
                done = word.value.end;
            }
            continue;
        }
        edited.text.push_str(&text[done..word.whole.start]);
        done = word.whole.end;
    }
    edited.text.push_str(&text[done..]);
    Ok(edited)
}

/// A value with every `native` as the compiler means it; nothing where there is none.
fn expanded(value: &str, expand: Expand<'_>) -> Result<Option<String>, String> {
    let mut text = value.to_owned();
    for flag in NATIVE {
        if text.contains(flag) {
            text = text.replace(flag, &expand(flag)?.join(" "));
        }
    }
    let quoted = text.contains(['"', '\'']);
    Ok((text != value).then(|| if quoted { text } else { format!("'{text}'") }))
}

/// Whether a text has a URI of the form `scheme://user:password@host`. A user alone is a token as often as not, but for
/// ssh, which wants one and shows it to nobody.
fn has_credentials(text: &str) -> bool {
    let mut parts = text.split("://");
    let mut before = parts.next().unwrap_or_default();
    parts.any(|rest| {
        let scheme = std::mem::replace(&mut before, rest);
        let authority = rest.split(|c: char| c == '/' || c.is_whitespace() || "\"'".contains(c)).next();
        let user = authority.and_then(|authority| authority.rsplit_once('@')).map(|(user, _)| user);
        user.is_some_and(|user| user.contains(':') || !scheme.ends_with("ssh"))
    })
}

/// One assignment, or `source` with its file.
struct Statement<'a> {
    name: &'a str,
    value: Range<usize>,
    whole: Range<usize>,
}

/// The statements of a text; what is none is passed over, to the end of its line.
fn statements(text: &str) -> Vec<Statement<'_>> {
    let mut found = Vec::new();
    let (mut at, mut exported) = (0, None);
    while at < text.len() {
        let rest = &text[at..];
        let first = rest.chars().next().unwrap_or_default();
        if first.is_whitespace() {
            at += first.len_utf8();
            continue;
        }
        let name = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(rest.len());
        let blank = |text: &str| text.len() - text.trim_start_matches([' ', '\t']).len();
        let gap = blank(&rest[name..]);
        let after = &rest[name + gap..];
        let value = match &rest[..name] {
            "export" if gap > 0 => {
                exported = Some(at);
                at += name;
                continue;
            }
            "source" if gap > 0 => Some(at + name + gap),
            _ if name > 0 && after.starts_with('=') => Some(at + name + gap + 1 + blank(&after[1..])),
            _ => None,
        };
        let begin = exported.take().unwrap_or(at);
        let Some(start) = value else {
            at += rest.find('\n').map_or(rest.len(), |end| end + 1);
            continue;
        };
        let end = start + word(&text[start..]);
        found.push(Statement { name: &rest[..name], value: start..end, whole: begin..end });
        at = end.max(at + 1);
    }
    found
}

/// How long the word at the beginning of a text is, quotes and what they hold included.
fn word(text: &str) -> usize {
    let (mut quote, mut escaped) = (None, false);
    for (at, c) in text.char_indices() {
        match (quote, c) {
            _ if escaped => escaped = false,
            (None | Some('"'), '\\') => escaped = true,
            (Some(open), c) if c == open => quote = None,
            (None, '"' | '\'') => quote = Some(c),
            (None, c) if c.is_whitespace() || c == '#' => return at,
            _ => {}
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn native(flag: &str) -> Result<Vec<String>, String> {
        match flag {
            "-march=native" => Ok(vec!["-march=znver3".to_owned(), "-mavx2".to_owned()]),
            "-mtune=native" => Ok(vec!["-mtune=znver3".to_owned()]),
            _ => Err("there is no compiler".to_owned()),
        }
    }

    fn edit(text: &str) -> Result<(String, Vec<String>), (usize, String)> {
        edited(Kind::Variables, text, &native).map(|edited| (edited.text, edited.remarks))
    }

    #[test]
    fn what_has_nothing_to_hide_stays_to_the_byte() {
        for text in [
            "",
            "# -march=native, GITHUB_TOKEN=x\n\nUSE=\"a\n  -b\" # c\nexport CC = gcc\nMAKEOPTS='-j2'",
            "source /etc/portage/more.conf\nnonsense here\nA=1 B=2\nX=${Y}\\ z\n",
            "GENTOO_MIRRORS=\"https://host/a ssh://me@host/b\"\nEMPTY=\nLAST=é",
        ] {
            assert_eq!(edit(text), Ok((text.to_owned(), vec![])), "{text}");
        }
    }

    #[test]
    fn secrets_are_cut_out() {
        let text = "A=1\nexport GITHUB_TOKEN=\"one\n two\" B=2\nmy_password='x'#y\n\
                    MIRROR=\"http://ok https://me:secret@host/x\"\nURI=https://ghp_x@host\nSecretly=1\nC=3\n";
        let (text, remarks) = edit(text).unwrap();
        assert_eq!(text, "A=1\n B=2\n#y\n\n\n\nC=3\n");
        let said = remarks.join("; ");
        for name in ["GITHUB_TOKEN", "my_password", "MIRROR", "URI", "Secretly"] {
            assert!(said.contains(name), "{said}");
        }
        assert!(!said.contains("one") && !said.contains("me:"), "{said}");
    }

    #[test]
    fn native_is_written_out() {
        let (text, remarks) =
            edit("CFLAGS=\"-O2 -march=native -mtune=native\"\nCXXFLAGS=-march=native\n").unwrap();
        assert_eq!(
            text,
            "CFLAGS=\"-O2 -march=znver3 -mavx2 -mtune=znver3\"\nCXXFLAGS='-march=znver3 -mavx2'\n"
        );
        assert_eq!(remarks.len(), 2);
        assert_eq!(edit("\nA=1\nCFLAGS=-mcpu=native\n"), Err((3, "CFLAGS: there is no compiler".to_owned())));
        let (number, why) = edit("RUSTFLAGS=\"-C target-cpu=native\"").unwrap_err();
        assert!(number == 1 && why.contains("rustc --print target-cpus"), "{why}");
    }

    #[test]
    fn what_is_sourced_must_come_along() {
        let (number, why) = edit("A=1\nsource \"/root/secret.conf\"\n").unwrap_err();
        assert_eq!(
            (number, why.as_str()),
            (2, "it sources /root/secret.conf, which is not within /etc/portage")
        );
    }

    #[test]
    fn a_password_for_syncing_is_no_business_of_a_drone() {
        let text = "[a]\nlocation = /a\nsync-uri = https://me:secret@host/a\nsync-type = git\n";
        let edited = edited(Kind::Repositories, text, &native).unwrap();
        assert_eq!(edited.text, "[a]\nlocation = /a\nsync-type = git\n");
        assert_eq!(edited.remarks, ["sync-uri holds a URI with credentials, and is left out"]);
    }

    #[test]
    fn which_files_are_edited() {
        for (path, of) in [
            ("make.conf", Some(Kind::Variables)),
            ("make.conf/10-flags", Some(Kind::Variables)),
            ("env/deep/no-lto", Some(Kind::Variables)),
            ("profile/make.defaults", Some(Kind::Variables)),
            ("repos.conf/gentoo.conf", Some(Kind::Repositories)),
            ("profile/package.use", None),
            ("package.env", None),
        ] {
            assert_eq!(kind(Path::new(path)), of, "{path}");
        }
    }
}
