//! Words for a remote shell.

/// `text` as one word of a POSIX shell.
#[must_use]
pub fn quote(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::quote;
    use std::process::Command;

    #[test]
    fn a_shell_reads_it_back() {
        for text in ["", "plain", "two words", "it's", "a\nb", "$(reboot)", "`x`", "\\'\"", "*", "-n"] {
            let line = format!("printf %s {}", quote(text));
            let output = Command::new("sh").args(["-c", &line]).output().unwrap();
            assert_eq!(String::from_utf8(output.stdout).unwrap(), text);
        }
    }
}
