//! What a build has printed, made readable: lines without terminal codes, phases, errors. Pure.
//!
//! A log is any bytes at all. What is no UTF-8 becomes U+FFFD; escape sequences (ECMA-48) go; control characters are shown by
//! their pictures; characters that change the direction of text are named, since they make a line look like another one;
//! of a line that a program redrew, as progress bars do, the last state stays; a line is cut where nobody reads on.

use std::iter::Peekable;
use std::str::Chars;

/// Characters of a line that are shown.
const LONGEST: usize = 4000;

/// Signs of an error: those by which drones find a log's telling lines.
const SIGNS: [&str; 9] = [
    " error:",
    "error: ",
    "Error ",
    "ERROR:",
    "FAILED",
    "undefined reference",
    "fatal:",
    "No space left",
    "make: ***",
];

/// How the parts of a log begin that are folded: what Portage says as phases begin (`phase-functions.sh`), and what drones
/// say between them.
const BEGINNINGS: [&str; 9] = [
    ">>> Emerging ",
    ">>> Unpacking source",
    ">>> Preparing source in",
    ">>> Configuring source in",
    ">>> Compiling source in",
    ">>> Test phase",
    ">>> Install ",
    ">>> Installing ",
    ">>> swarm: ",
];

/// A line that can be shown.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Line {
    /// Without its end.
    pub text: String,
    /// Whether it looks like an error.
    pub error: bool,
    /// Whether its end has come.
    pub complete: bool,
}

/// Lines that belong together.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Section {
    /// What the first line announces; none before the first that announces anything.
    pub title: Option<String>,
    /// Its lines.
    pub lines: Vec<Line>,
}

/// The lines of a piece of a log.
pub(super) fn lines(bytes: &[u8]) -> Vec<Line> {
    let text = String::from_utf8_lossy(bytes);
    let lines = text.split_inclusive('\n').map(|line| {
        let complete = line.ends_with('\n');
        let text = clean(line.trim_end_matches(['\r', '\n']));
        let error = SIGNS.iter().any(|sign| text.contains(sign)) || text.starts_with("error");
        Line { text, error, complete }
    });
    lines.collect()
}

/// A text of several lines, without what could harm.
pub(crate) fn harmless(text: &str) -> String {
    text.lines().map(clean).collect::<Vec<_>>().join("\n")
}

/// Lines by what they belong to.
pub(super) fn sections(lines: Vec<Line>) -> Vec<Section> {
    let mut sections = Vec::<Section>::new();
    for line in lines {
        let begins = BEGINNINGS.iter().any(|beginning| line.text.starts_with(beginning));
        let title = begins.then(|| line.text.trim_start_matches(">>> ").to_owned());
        match sections.last_mut() {
            Some(section) if !begins => section.lines.push(line),
            _ => sections.push(Section { title, lines: vec![line] }),
        }
    }
    sections
}

fn clean(line: &str) -> String {
    // What a carriage return drew over is gone.
    let line = line.rsplit('\r').next().unwrap_or(line);
    let mut text = String::new();
    let mut shown = 0;
    let mut rest = line.chars().peekable();
    while let Some(letter) = rest.next() {
        if shown == LONGEST {
            return format!("{text} […{} more characters]", 1 + rest.count());
        }
        shown += 1;
        match letter {
            '\u{1b}' => skip_escape(&mut rest),
            '\u{9b}' => skip_control(&mut rest),
            '\t' => text.push('\t'),
            // U+2400 and on are the pictures of the control characters, in their order.
            '\0'..='\u{1f}' => text.extend(char::from_u32(0x2400 + u32::from(letter))),
            '\u{7f}' => text.push('␡'),
            '\u{80}'..='\u{9f}'
            | '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{2069}'
            | '\u{feff}' => text.extend(format!("<U+{:04X}>", u32::from(letter)).chars()),
            _ => text.push(letter),
        }
    }
    text
}

/// After ESC: a control sequence, a string up to its terminator, or a few letters.
fn skip_escape(rest: &mut Peekable<Chars<'_>>) {
    match rest.next() {
        Some('[') => skip_control(rest),
        Some(']' | 'P' | 'X' | '^' | '_') => {
            while let Some(letter) = rest.next() {
                if letter == '\u{7}' || (letter == '\u{1b}' && rest.next_if_eq(&'\\').is_some()) {
                    return;
                }
            }
        }
        Some(' '..='/') => {
            rest.next();
        }
        _ => {}
    }
}

/// Parameters and intermediates, and the final letter; what is none of these ends a sequence that is none.
fn skip_control(rest: &mut Peekable<Chars<'_>>) {
    while rest.next_if(|letter| matches!(letter, ' '..='?')).is_some() {}
    rest.next_if(|letter| matches!(letter, '@'..='~'));
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn shown(bytes: &[u8]) -> Vec<String> {
        lines(bytes).into_iter().map(|line| line.text).collect()
    }

    #[test]
    fn terminal_codes_go() {
        let text = b"\x1b[32;01m * \x1b[39;49;00mhello\x1b]0;evil title\x07!\x1b(B.\x9b31mred\n";
        assert_eq!(shown(text), [" * hello!.\u{fffd}31mred"], "a lone 0x9b is no UTF-8");
        assert_eq!(
            shown("\u{9b}31mred \x1b]8;;http://evil\x1b\\link\x1b]8;;\x1b\\".as_bytes()),
            ["red link"]
        );
        assert_eq!(shown(b"\x1b"), [""]);
        assert_eq!(shown(b"never ended \x1b]0;title"), ["never ended "]);
    }

    #[test]
    fn what_cannot_be_seen_is_shown() {
        assert_eq!(shown(b"a\0b\x08c\x7f\td\n"), ["a␀b␈c␡\td"]);
        assert_eq!(shown("if \u{202e}nimda\u{2069}".as_bytes()), ["if <U+202E>nimda<U+2069>"]);
        assert_eq!(shown(b"\xff\xfe!"), ["\u{fffd}\u{fffd}!"]);
    }

    #[test]
    fn progress_bars_end_as_they_ended() {
        assert_eq!(shown(b" 10 %\r 50 %\r100 %\nnext\r\n"), ["100 %", "next"]);
    }

    #[test]
    fn a_million_letters_are_cut() {
        let text = shown("y".repeat(1_000_000).as_bytes()).remove(0);
        assert!(text.len() < LONGEST + 40 && text.ends_with("y […996000 more characters]"), "{}", text.len());
    }

    #[test]
    fn phases_and_errors() {
        let log =
            b"chatter\n>>> Compiling source in /var/tmp ...\nx.c:1: error: no\n>>> Test phase: a/b-1\nok";
        let found = sections(lines(log));
        let titles: Vec<_> = found.iter().map(|section| section.title.as_deref()).collect();
        assert_eq!(titles, [None, Some("Compiling source in /var/tmp ..."), Some("Test phase: a/b-1")]);
        let errors: Vec<_> = found.iter().flat_map(|section| &section.lines).map(|line| line.error).collect();
        assert_eq!(errors, [false, false, true, false, false]);
        assert!(!found[2].lines[1].complete);
    }

    proptest! {
        #[test]
        fn whatever_comes_no_control_stays(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            for line in lines(&bytes) {
                prop_assert!(line.text.chars().all(|letter| letter == '\t' || !letter.is_control()));
            }
        }
    }
}
