//! The example configurations of the orchestrator and the binhost show every default, and have every field.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "that is how a test fails")]

/// What an example sets, with what has a default, and with what else there can be.
fn fields(example: &str, defaults: bool, optional: bool) -> String {
    let field = |line: &str, commented: bool| {
        let line = if commented { line.trim_start_matches('#') } else { line };
        let is_field = line.starts_with(|first: char| first == '[' || first.is_ascii_lowercase());
        is_field.then(|| format!("{line}\n"))
    };
    let (first, second) = example.split_once("# ----").unwrap();
    let first = first.lines().filter_map(|line| field(line, defaults));
    first.chain(second.lines().skip(1).filter_map(|line| field(line, optional))).collect()
}

/// `load` gives the configuration as `Debug` shows it, or what is wrong. A section of a section stands behind its own.
fn is_whole(example: &str, sections: &[&str], load: impl Fn(&str) -> Result<String, String>) {
    let set = fields(example, false, false);
    assert_eq!(load(&fields(example, true, false)).unwrap(), load(&set).unwrap());
    load(&fields(example, false, true)).unwrap();
    for section in sections {
        let nonsense = if section.is_empty() {
            format!("nonsense = 1\n{set}")
        } else {
            format!("{set}{section}\nnonsense = 1\n")
        };
        let error = load(&nonsense).unwrap_err();
        let expected = error.split_once("expected ").unwrap().1;
        for field in expected.split('`').skip(1).step_by(2) {
            let there = |line: &str| {
                let name = line.trim_start_matches(['#', ' ', '[']).trim_start_matches("notify.");
                name.strip_prefix(field).is_some_and(|rest| rest.starts_with([' ', ']']))
            };
            assert!(example.lines().any(there), "{section} {field}");
        }
    }
}

#[test]
fn the_orchestrators() {
    let sections = [
        "",
        "[database]",
        "[redis]",
        "[embedded]",
        "[times]",
        "[retries]",
        "[limits]",
        "[gate]",
        "[scheduler]",
        "[repair]",
        "[[rules]]",
        "[[notify]]",
        "[[notify]]\nname = \"x\"\n[notify.mail]",
        "[[notify]]\nname = \"x\"\n[notify.ntfy]",
        "[[notify]]\nname = \"x\"\n[notify.webhook]",
    ];
    is_whole(include_str!("../../orchestrator/orchestrator.example.toml"), &sections, |text| {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        let config = build_orchestrator::config::Config::load(file.path());
        config.map(|config| format!("{config:?}")).map_err(|error| format!("{error:#}"))
    });
}

#[test]
fn the_binhosts() {
    let sections = ["", "[signing]", "[limits]", "[retention]", "[upkeep]", "[tls]", "[access]"];
    is_whole(include_str!("../../binhost/binhost.example.toml"), &sections, |text| {
        let config = build_binhost::config::Config::parse(text, |_| None);
        config.map(|config| format!("{config:?}")).map_err(|error| format!("{error:#}"))
    });
}
