//! The file of the token.

use super::Check;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// Whether others may read it. Whether it is good for anything, the orchestrator says.
pub(super) fn check(file: &Path) -> Option<Check> {
    let mode = fs::metadata(file).ok()?.mode();
    Some(of_mode(&file.display().to_string(), mode & 0o7777))
}

fn of_mode(file: &str, mode: u32) -> Check {
    let found = format!("{file} has mode {mode:04o}");
    // The six lowest bits are the group's and the others'.
    if mode.trailing_zeros() >= 6 {
        return Check::good("token", format!("{found}: only its owner reads it"));
    }
    let found = format!("{found}: other accounts of this machine can use the token");
    Check::look("token", found, format!("chmod 600 {file}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::doctor::Verdict;

    #[test]
    fn a_secret_is_for_its_owner() {
        assert_eq!(of_mode("/t", 0o600).verdict, Verdict::Good);
        assert_eq!(of_mode("/t", 0o400).verdict, Verdict::Good);
        for mode in [0o640, 0o604, 0o620] {
            assert_eq!(of_mode("/t", mode).verdict, Verdict::Look);
        }
        assert_eq!(of_mode("/t", 0o644).advice.unwrap(), "chmod 600 /t");
    }
}
