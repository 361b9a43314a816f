//! `[[notify]]`.

use crate::alarms::Kind;
use crate::notify::{http, ntfy, webhook};
use anyhow::{Context, Result, ensure};
use serde::Deserialize;
use std::collections::BTreeSet;
use std::path::PathBuf;

/// What a destination may be told, in the event log's own words.
const EVENTS: &[&str] = &[
    "alarm.raised",
    "alarm.ended",
    "drone.distrusted",
    "drone.draining",
    "drone.enrolled",
    "drone.grounded",
    "drone.offline",
    "drone.online",
    "drone.resumed",
    "drone.two_sessions",
    "drone.ungrounded",
    "generation.current",
    "generation.refused",
    "invariant.broken",
    "nightly.ended",
    "nightly.started",
    "package.quarantined",
    "package.released",
    "repair.asked",
    "repair.begun",
    "repair.confirmed",
    "repair.ended",
    "repair.suspended",
    "run.cancelled",
    "run.failed",
    "run.frozen",
    "run.promoted",
    "run.started",
    "run.superseded",
    "run.thawed",
    "run.unchanged",
    "target.pushed",
    "target.toolchain_moved",
];

/// `[[notify]]`: where people are told what happened. Exactly one of `webhook`, `ntfy`, `mail` and `command`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Notify {
    /// What it is called, in alarms and by `swarm notify test`. How far it has been told is kept under this name.
    pub name: String,
    /// The kinds of events that it is told. A frozen run, a nightly update that did not come, a disk that is nearly full, a
    /// reboot that waits for a person and whatever else works less well are alarms.
    #[serde(default = "events")]
    pub events: Vec<String>,
    /// Of alarms only these; all, where absent.
    pub alarms: Option<Vec<Kind>>,
    /// Between two messages, in seconds; what happens meanwhile is in the next one.
    #[serde(default = "interval")]
    pub interval_seconds: u32,
    /// A web server that gets a JSON document.
    pub webhook: Option<Webhook>,
    /// A topic of an ntfy server.
    pub ntfy: Option<Ntfy>,
    /// Mail, by the system's sendmail.
    pub mail: Option<Mail>,
    /// A program and its arguments. It gets the JSON document on its standard input.
    pub command: Option<Vec<String>>,
}

/// `notify.webhook`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Webhook {
    /// The URL, where it is no secret.
    pub url: Option<String>,
    /// A file that holds the URL.
    pub url_file: Option<PathBuf>,
    /// A file that holds a bearer token.
    pub token_file: Option<PathBuf>,
    /// The body as a Jinja template, whose values are written as JSON: `{"text": {{ text }}}`. Without it, the whole
    /// document.
    pub template: Option<String>,
}

/// `notify.ntfy`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ntfy {
    /// The topic's URL, as in `https://ntfy.sh/topic`, where it is no secret.
    pub url: Option<String>,
    /// A file that holds the URL.
    pub url_file: Option<PathBuf>,
    /// A file that holds an access token.
    pub token_file: Option<PathBuf>,
    /// From 1 to 5; where absent, 4 for messages with an alarm that was raised, and 3 for others.
    pub priority: Option<u8>,
    /// Words or names of emojis that ntfy shows.
    #[serde(default)]
    pub tags: Vec<String>,
}

/// `notify.mail`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mail {
    /// To whom.
    pub to: Vec<String>,
    /// From whom; sendmail's own idea, where absent.
    pub from: Option<String>,
    /// The program, which gets `-t -i` and the mail.
    #[serde(default = "sendmail")]
    pub sendmail: PathBuf,
}

fn events() -> Vec<String> {
    ["alarm.raised", "alarm.ended", "drone.grounded", "package.quarantined", "run.promoted"]
        .map(str::to_owned)
        .to_vec()
}

const fn interval() -> u32 {
    60
}

fn sendmail() -> PathBuf {
    PathBuf::from("/usr/sbin/sendmail")
}

/// Checks all of them.
pub(super) fn check(all: &[Notify]) -> Result<()> {
    let mut names = BTreeSet::new();
    for one in all {
        let (name, letters) =
            (&one.name, |letter: char| letter.is_ascii_alphanumeric() || "._-".contains(letter));
        ensure!(
            (1..=64).contains(&name.len()) && name.chars().all(letters),
            "notify.name {name:?} must be 1 to 64 letters, digits, dots, hyphens and underscores"
        );
        ensure!(names.insert(name), "notify {name}: there are two of this name");
        one.check().with_context(|| format!("notify {name}"))?;
    }
    Ok(())
}

impl Notify {
    fn check(&self) -> Result<()> {
        let kinds =
            [self.webhook.is_some(), self.ntfy.is_some(), self.mail.is_some(), self.command.is_some()];
        ensure!(
            kinds.iter().filter(|is| **is).count() == 1,
            "exactly one of webhook, ntfy, mail and command says where to"
        );
        for event in &self.events {
            ensure!(EVENTS.contains(&event.as_str()), "events: {event:?} is none of {}", EVENTS.join(", "));
        }
        if let Some(webhook) = &self.webhook {
            url(webhook.url.as_deref(), webhook.url_file.as_ref())?;
            if let Some(template) = &webhook.template {
                webhook::Template::new(template)?;
            }
        }
        if let Some(ntfy) = &self.ntfy {
            url(ntfy.url.as_deref(), ntfy.url_file.as_ref())?;
            if let Some(url) = &ntfy.url {
                ntfy::topic(&http::address(url)?)?;
            }
            let fits = ntfy.priority.is_none_or(|priority| (1..=5).contains(&priority));
            ensure!(fits, "ntfy.priority must be 1 to 5");
        }
        if let Some(mail) = &self.mail {
            ensure!(!mail.to.is_empty(), "mail.to must not be empty");
            for address in mail.to.iter().chain(&mail.from) {
                // What a header may hold as it is; a list of several is written as a list.
                let plain = address.bytes().all(|byte| (b' '..=b'~').contains(&byte) && byte != b',');
                ensure!(plain && !address.trim().is_empty(), "mail: {address:?} is no address");
            }
            ensure!(mail.sendmail.is_absolute(), "mail.sendmail must be an absolute path");
        }
        if let Some(argv) = &self.command {
            let absolute = argv.first().is_some_and(|program| program.starts_with('/'));
            ensure!(absolute, "command must begin with the absolute path of a program");
            ensure!(!argv.iter().any(|argument| argument.contains('\0')), "command holds a NUL");
        }
        Ok(())
    }
}

fn url(url: Option<&str>, file: Option<&PathBuf>) -> Result<()> {
    ensure!(url.is_some() != file.is_some(), "either url or url_file says where to");
    if let Some(url) = url {
        http::address(url)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Notify, String> {
        let notify: Notify = toml::from_str(text).map_err(|error| error.to_string())?;
        check(std::slice::from_ref(&notify)).map_err(|error| format!("{error:#}"))?;
        Ok(notify)
    }

    #[test]
    fn a_name_and_a_place_are_enough() {
        let phone = parse("name = 'phone'\nntfy = { url = 'https://ntfy.sh/swarm' }").unwrap();
        assert_eq!((phone.interval_seconds, phone.alarms.is_none()), (60, true));
        assert!(phone.events.iter().all(|event| EVENTS.contains(&event.as_str())));
        let chat = "name = 'chat'\nalarms = ['nightly', 'disk']\n[webhook]\nurl_file = '/run/url'\n\
                    template = '{\"content\": {{ text }}}'";
        assert_eq!(parse(chat).unwrap().alarms.unwrap(), [Kind::Nightly, Kind::Disk]);
        assert!(parse("name = 'm'\nmail = { to = ['root'], from = 'Swarm <swarm@example.org>' }").is_ok());
        assert!(parse("name = 'c'\ncommand = ['/usr/bin/logger', '-t', 'swarm']").is_ok());
    }

    #[test]
    fn nonsense_is_refused_with_a_word_on_what_is_meant() {
        for (text, said) in [
            ("name = 'a b'\ncommand = ['/x']", "notify.name \"a b\" must be"),
            ("name = 'a'", "notify a: exactly one of webhook, ntfy, mail and command"),
            ("name = 'a'\ncommand = ['/x']\nmail = { to = ['root'] }", "exactly one of"),
            (
                "name = 'a'\nevents = ['run.promotd']\ncommand = ['/x']",
                "\"run.promotd\" is none of alarm.raised",
            ),
            ("name = 'a'\nalarms = ['dsk']\ncommand = ['/x']", "unknown variant `dsk`"),
            ("name = 'a'\ncommand = ['logger']", "absolute path of a program"),
            ("name = 'a'\nmail = { to = [] }", "mail.to must not be empty"),
            ("name = 'a'\nmail = { to = [\"root\\nBcc: all\"] }", "is no address"),
            ("name = 'a'\nmail = { to = ['a, b'] }", "is no address"),
            ("name = 'a'\nwebhook = { }", "either url or url_file"),
            ("name = 'a'\nwebhook = { url = 'ftp://x/' }", "http://"),
            ("name = 'a'\nwebhook = { url = 'https://me:secret@x/' }", "user and password"),
            ("name = 'a'\nwebhook = { url = 'https://x/', template = '{{ txt }}' }", "template"),
            ("name = 'a'\nwebhook = { url = 'https://x/', template = 'hello' }", "template"),
            ("name = 'a'\nntfy = { url = 'https://ntfy.sh/t', priority = 6 }", "1 to 5"),
            ("name = 'a'\nntfy = { url = 'https://ntfy.sh/' }", "topic"),
            ("name = 'a'\nntfy = { url = 'https://ntfy.sh/t', titel = 'x' }", "unknown field `titel`"),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.contains(said), "{text}\n{error}");
        }
    }
}
