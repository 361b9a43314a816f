//! What `-march=native` is: gcc knows, on the machine itself. Written out, it means the same on every drone.

use std::path::Path;
use std::process::{Command, Stdio};

/// Gives the flags that stand for one with `native`, or says why there are none, and what to do.
pub(super) type Expand<'a> = &'a dyn Fn(&str) -> Result<Vec<String>, String>;

/// Asks the workstation's compiler, which is this machine's: what `native` is in another root, only that machine knows.
pub(super) fn ask(root: &Path, flag: &str) -> Result<Vec<String>, String> {
    let fix = format!("write what `gcc -### -E -x c {flag} /dev/null` says there in its place");
    if root != Path::new("/") {
        return Err(format!("{flag} is of the machine that runs {}: {fix}", root.display()));
    }
    let mut gcc = Command::new("gcc");
    gcc.args(["-###", "-E", "-x", "c", flag, "/dev/null"]).env("LC_ALL", "C").stdin(Stdio::null());
    let output = gcc.output().map_err(|error| {
        format!("{flag} means another CPU on each drone, and gcc cannot be asked here ({error}): {fix}")
    })?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    flags(&said, flag).ok_or_else(|| {
        let last = said.trim().lines().last().unwrap_or_default();
        format!("{flag} means another CPU on each drone, and gcc does not say which ({last}): {fix}")
    })
}

/// The flags of the machine in the command that `gcc -###` would have run, with double quotes where it sets them.
fn flags(said: &str, flag: &str) -> Option<Vec<String>> {
    let command = said
        .lines()
        .find(|line| line.split_whitespace().next().is_some_and(|word| word.ends_with("/cc1")))?;
    let mut words = command.split_whitespace().map(|word| word.trim_matches('"'));
    let mut flags = Vec::new();
    while let Some(word) = words.next() {
        if word == "--param" {
            flags.push(format!("--param={}", words.next()?));
        } else if word.starts_with("-m") || word.starts_with("--param=") {
            flags.push(word.to_owned());
        }
    }
    // Asked for one of them, gcc names the others as well, which are then as they would be without it.
    let name = flag.split('=').next()?;
    if name != "-march" {
        flags.retain(|found| found.split('=').next() == Some(name));
    }
    (flags.iter().any(|found| found.starts_with(name))
        && !flags.iter().any(|found| found.ends_with("=native")))
    .then_some(flags)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAID: &str = "Using built-in specs.\nCOLLECT_GCC=gcc\n /usr/libexec/gcc/x86_64-pc-linux-gnu/15/cc1 -E -quiet \
        -imultiarch x86_64 /dev/null \"-march=znver3\" -mmmx -mno-fma4 --param \"l1-cache-size=32\" \
        \"--param=l2-cache-size=512\" \"-mtune=znver3\"\nCOMPILER_PATH=/usr\n";

    #[test]
    fn the_flags_of_the_machine() {
        let march = [
            "-march=znver3",
            "-mmmx",
            "-mno-fma4",
            "--param=l1-cache-size=32",
            "--param=l2-cache-size=512",
            "-mtune=znver3",
        ];
        assert_eq!(flags(SAID, "-march=native").unwrap(), march);
        assert_eq!(flags(SAID, "-mtune=native").unwrap(), ["-mtune=znver3"]);
        for said in ["", "gcc: error: unrecognized", "/x/cc1 -E", "/x/cc1 -march=native"] {
            assert_eq!(flags(said, "-march=native"), None, "{said}");
        }
    }

    #[test]
    fn the_compiler_of_this_machine() {
        let flags = ask(Path::new("/"), "-march=native").unwrap();
        assert!(
            flags.iter().any(|flag| flag.starts_with("-march=") && !flag.ends_with("native")),
            "{flags:?}"
        );
        let other = ask(Path::new("/mnt"), "-march=native").unwrap_err();
        assert!(other.contains("of the machine that runs /mnt"), "{other}");
    }
}
