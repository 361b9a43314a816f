//! Packages with less USE than the target's configuration gives them, as early stages have it (PORTAGE.md 4).
//!
//! The flags are off in `/etc/portage/package.use/zzz-swarm-stage`, in the root of every build that has such a package in it:
//! without that, Portage would find that the root's package has the wrong USE. Portage reads the directory's files in
//! the order of their names, so the last word is ours. Where `package.use` is one file, ours is that file with our lines
//! behind it.

use std::fs;
use std::io;
use std::path::Path;
use swarm_protocol::drone::ReducedUse;

const PACKAGE_USE: &str = "etc/portage/package.use";
const OURS: &str = "zzz-swarm-stage";

/// Writes the lines into the overlay's upper layer; `lower` is what `/etc/portage/package.use` is below it.
pub fn write(upper: &Path, lower: &Path, reduced: &[ReducedUse]) -> io::Result<()> {
    if reduced.is_empty() {
        return Ok(());
    }
    let place = upper.join(PACKAGE_USE);
    let (file, before) = if lower.is_file() {
        (place, fs::read_to_string(lower)? + "\n")
    } else {
        (place.join(OURS), String::new())
    };
    file.parent().map_or(Ok(()), fs::create_dir_all)?;
    fs::write(file, before + &lines(reduced))
}

fn lines(reduced: &[ReducedUse]) -> String {
    let line = |one: &ReducedUse| {
        let flags: Vec<_> = one.disabled.iter().map(|flag| format!("-{flag}")).collect();
        format!("={} {}\n", one.cpv, flags.join(" "))
    };
    reduced.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reduced() -> Vec<ReducedUse> {
        let disabled = ["harfbuzz", "png"].map(|flag| flag.parse().unwrap()).into();
        vec![ReducedUse { cpv: "media-libs/freetype-2.13".parse().unwrap(), disabled }]
    }

    #[test]
    fn a_file_of_our_own_or_more_lines() {
        let (upper, lower) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let lower = lower.path().join("package.use");
        let read = |path: &str| fs::read_to_string(upper.path().join(PACKAGE_USE).join(path)).unwrap();
        write(upper.path(), &lower, &[]).unwrap();
        assert!(!upper.path().join("etc").exists());
        write(upper.path(), &lower, &reduced()).unwrap();
        let ours = "=media-libs/freetype-2.13 -harfbuzz -png\n";
        assert_eq!(read(OURS), ours);
        fs::remove_dir_all(upper.path().join(PACKAGE_USE)).unwrap();
        fs::write(&lower, "*/* nls").unwrap();
        write(upper.path(), &lower, &reduced()).unwrap();
        assert_eq!(fs::read_to_string(upper.path().join(PACKAGE_USE)).unwrap(), format!("*/* nls\n{ours}"));
    }
}
