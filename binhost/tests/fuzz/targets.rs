//! What must hold of whatever a parser accepts.

use build_binhost::gpkg;
use build_binhost::packages::{self, Index, Values};
use build_binhost::reindex::Cache;
use build_binhost::xpak::Xpak;
use std::io::Cursor;

const KEYS: [&str; 4] = ["CATEGORY", "PF", "RDEPEND", "SLOT"];

/// What the strict reader takes, the one that reads like Portage takes as well, and finds the same in it.
pub(crate) fn gpkg(input: &[u8]) {
    let inspected = gpkg::inspect(input, &KEYS);
    let Ok(package) = gpkg::read(input) else { return };
    let (values, digests) = inspected.unwrap();
    assert_eq!((digests.size, digests.md5, digests.sha1), (package.size, package.md5, package.sha1));
    assert_eq!(package.size, input.len() as u64);
    for key in KEYS {
        let text =
            values.get(key).map(|bytes| String::from_utf8_lossy(bytes).into_owned()).unwrap_or_default();
        assert_eq!(text.split_whitespace().collect::<Vec<_>>().join(" "), package.metadata.get(key), "{key}");
    }
}

/// What is read and written again is read the same.
pub(crate) fn xpak(input: &[u8]) {
    let Ok(xpak) = Xpak::read(Cursor::new(input)) else { return };
    let mut written = b"an image".to_vec();
    xpak.write(&mut written).unwrap();
    assert_eq!(Xpak::read(Cursor::new(written)).unwrap(), xpak);
}

/// What is read and written again is read the same; nothing in a value can end a line or a block.
pub(crate) fn packages(input: &[u8]) {
    let (header, entries) = read(input);
    let mut text = String::new();
    packages::push_header(&mut text, &header);
    for entry in &entries {
        packages::push_entry(
            &mut text,
            &header,
            entry.iter().map(|(key, value)| (key.as_str(), value.as_str())),
        );
    }
    let (header_again, entries_again) = read(text.as_bytes());
    assert_eq!(without_empty(&header), header_again);
    assert_eq!(entries.len(), entries_again.len());
    for (entry, again) in entries.iter().zip(&entries_again) {
        // An empty value is the same as none, and then the default and the header count.
        for (key, value) in entry.iter().filter(|(_, value)| !value.is_empty()) {
            assert_eq!(again.get(key), Some(value), "{key}");
        }
    }
}

fn read(input: &[u8]) -> (Values, Vec<Values>) {
    let mut index = Index::read(input).unwrap();
    let entries = index.by_ref().map(Result::unwrap).collect();
    (index.header().clone(), entries)
}

fn without_empty(values: &Values) -> Values {
    values
        .iter()
        .filter(|(_, value)| !value.is_empty())
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect()
}

/// A cache is believed as it was written, or not at all.
pub(crate) fn cache(input: &[u8]) {
    let written = include_bytes!("corpus/cache/two-entries");
    assert_eq!(Cache::parse(input).is_ok(), input == written, "{}", String::from_utf8_lossy(input));
}
