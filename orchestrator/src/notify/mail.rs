//! Mail (RFC 5322) for the system's sendmail, which reads whom to send to from the headers (`-t`).

use super::SendError;
use super::message::Message;
use super::program;
use crate::config;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// RFC 2047 2: an encoded word has 75 characters at most, 63 of them its text. Base64 makes four of three bytes.
const WORD_BYTES: usize = 45;
/// RFC 5322 2.1.1: the longest line, in bytes, without its end.
const LINE_BYTES: usize = 998;

/// Sends it.
pub(super) async fn send(config: &config::Mail, message: &Message) -> Result<(), SendError> {
    // `-i`: a line with only a dot is a line.
    let argv = [config.sendmail.display().to_string(), "-t".to_owned(), "-i".to_owned()];
    program::run(&argv, mail(config, message).as_bytes()).await
}

fn mail(config: &config::Mail, message: &Message) -> String {
    let from = config.from.as_ref().map(|from| format!("From: {from}\n")).unwrap_or_default();
    // The same id makes the same message of what is sent again. Its letters are those of a destination's name.
    let headers = format!(
        "{from}To: {}\nSubject: {}\nMessage-ID: <{}@build-swarm.invalid>\nAuto-Submitted: auto-generated\n\
         MIME-Version: 1.0\nContent-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: 8bit\n",
        config.to.join(", "),
        unstructured(&message.title),
        message.id
    );
    let lines = message.text.lines().map(|line| &line[..line.floor_char_boundary(LINE_BYTES)]);
    let body = lines.fold(String::new(), |body, line| body + line + "\n");
    format!("{headers}\n{body}")
}

/// A text as the value of a header: as it is, or in encoded words (RFC 2047), of which each is on a line of its own.
fn unstructured(text: &str) -> String {
    if text.bytes().all(|byte| (b' '..=b'~').contains(&byte)) {
        return text.to_owned();
    }
    let mut words = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let (word, left) = rest.split_at(rest.floor_char_boundary(WORD_BYTES));
        words.push(format!("=?UTF-8?B?{}?=", STANDARD.encode(word)));
        rest = left;
    }
    words.join("\n ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::db::destinations::Batch;
    use crate::notify::message::tests::event;
    use serde_json::json;

    #[test]
    fn no_text_becomes_a_header() {
        let said = "gcc said\r\nBcc: all@example.org\n\n.\nquit — é";
        let batch = Batch { events: vec![event("alarm.raised", json!({ "text": said }))], count: 1, old: 0 };
        let config = config::Mail {
            to: vec!["root".to_owned(), "Ada <ada@example.org>".to_owned()],
            from: Some("swarm@example.org".to_owned()),
            sendmail: "/usr/sbin/sendmail".into(),
        };
        insta::assert_snapshot!(mail(&config, &Message::new("post", 812, batch, 0)));
    }

    #[test]
    fn a_long_title_is_folded() {
        let folded = unstructured(&"é".repeat(60));
        assert!(
            folded.lines().count() == 3 && folded.lines().all(|line| line.trim().len() <= 75),
            "{folded}"
        );
        let decoded = folded.lines().flat_map(|line| {
            let word = line.trim().strip_prefix("=?UTF-8?B?").and_then(|word| word.strip_suffix("?="));
            STANDARD.decode(word.unwrap()).unwrap()
        });
        assert_eq!(String::from_utf8(decoded.collect()).unwrap(), "é".repeat(60));
    }
}
