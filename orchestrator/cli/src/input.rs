//! Files that the command line names; `-` is standard input.

use crate::failure::Failure;
use std::io::Read;
use std::path::Path;

/// Whether it is standard input.
pub(crate) fn is_stdin(path: &Path) -> bool {
    path == Path::new("-")
}

/// The whole text.
pub(crate) fn read(path: &Path) -> Result<String, Failure> {
    let mut text = String::new();
    let read = if is_stdin(path) {
        std::io::stdin().lock().read_to_string(&mut text)
    } else {
        std::fs::File::open(path).and_then(|mut file| file.read_to_string(&mut text))
    };
    match read {
        Ok(_) => Ok(text),
        Err(error) => Err(Failure::usage(format!("cannot read {}: {error}", named(path)))),
    }
}

/// As messages name it.
pub(crate) fn named(path: &Path) -> String {
    if is_stdin(path) { "standard input".to_owned() } else { path.display().to_string() }
}

/// The entries of a file of Portage's with their line numbers, read as `grabfile` (`portage/util/__init__.py`) does:
/// one a line, its words joined by single spaces; a word that begins with `#` ends the line.
pub(crate) fn entries(text: &str) -> impl Iterator<Item = (usize, String)> {
    text.lines().enumerate().filter_map(|(index, line)| {
        let words: Vec<_> = line.split_whitespace().take_while(|word| !word.starts_with('#')).collect();
        (!words.is_empty()).then(|| (index + 1, words.join(" ")))
    })
}
