//! Where the orchestrator is and which token is shown to it. A token is never an argument: every account of a machine
//! can read the arguments of its processes.

use crate::failure::Failure;
use crate::output::Output;
use clap::Args;
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;
use swarm_protocol::client::{AdminClient, ClientError};

/// How long an answer may take. The largest, a long log, takes seconds.
const ANSWER: Duration = Duration::from_mins(1);

/// The options by which the orchestrator is reached.
#[derive(Args, Debug)]
pub(crate) struct Options {
    /// The orchestrator's URL.
    #[arg(
        long,
        global = true,
        env = "SWARM_URL",
        default_value = "http://127.0.0.1:8400",
        value_parser = url,
        help_heading = "Connection"
    )]
    url: String,
    /// The file that holds the token.
    #[arg(long, global = true, env = "SWARM_TOKEN_FILE", value_name = "FILE", help_heading = "Connection")]
    token_file: Option<PathBuf>,
}

fn url(text: &str) -> Result<String, String> {
    let host = text.strip_prefix("http://").or_else(|| text.strip_prefix("https://"));
    match host {
        Some(host) if !host.is_empty() && !host.starts_with('/') => Ok(text.to_owned()),
        _ => Err("a URL begins with http:// and a host, as in http://127.0.0.1:8400".to_owned()),
    }
}

/// The section of `--help`.
pub(crate) const HELP: &str = "\
The token is read from the file that --token-file or SWARM_TOKEN_FILE names; else it is the value of
SWARM_TOKEN; else it is read from $XDG_CONFIG_HOME/build-swarm/token (~/.config/build-swarm/token).";

/// What every command needs.
pub(crate) struct Context {
    /// The orchestrator.
    pub(crate) client: AdminClient,
    /// Where it is.
    pub(crate) url: String,
    /// The file that the token was read from, if it was.
    pub(crate) token_file: Option<PathBuf>,
    /// Standard output.
    pub(crate) output: Output,
}

impl Context {
    /// Waits for an answer, but not for ever.
    pub(crate) async fn ask<T>(
        &self,
        call: impl Future<Output = Result<T, ClientError>>,
    ) -> Result<T, Failure> {
        match tokio::time::timeout(ANSWER, call).await {
            Ok(answer) => Ok(answer?),
            Err(_) => Err(Failure::unavailable(format!(
                "no answer within {} seconds; what was asked for may have been done: look before you repeat it",
                ANSWER.as_secs()
            ))),
        }
    }
}

/// Reads the token; nothing is connected before the first call.
pub(crate) fn open(
    options: &Options,
    output: Output,
    environment: impl Fn(&str) -> Option<OsString>,
) -> Result<Context, Failure> {
    let (token, token_file) = token(options.token_file.as_deref(), environment)?;
    Ok(Context {
        client: AdminClient::new(&options.url, token),
        url: options.url.clone(),
        token_file,
        output,
    })
}

/// The token, and the file that it stands in.
fn token(
    file: Option<&Path>,
    environment: impl Fn(&str) -> Option<OsString>,
) -> Result<(String, Option<PathBuf>), Failure> {
    let environment = |name: &str| environment(name).filter(|value| !value.is_empty());
    if let Some(file) = file {
        let text = std::fs::read_to_string(file).map_err(|error| unreadable(file, &error))?;
        return Ok((checked(&text, &file.display().to_string())?, Some(file.to_owned())));
    }
    if let Some(token) = environment("SWARM_TOKEN") {
        return Ok((checked(&token.to_string_lossy(), "SWARM_TOKEN")?, None));
    }
    let Some(file) = default_file(environment) else { return Err(missing("")) };
    match std::fs::read_to_string(&file) {
        Ok(text) => Ok((checked(&text, &file.display().to_string())?, Some(file))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            Err(missing(&format!(", or write the token to {}", file.display())))
        }
        Err(error) => Err(unreadable(&file, &error)),
    }
}

/// The XDG base directory specification: a relative `XDG_CONFIG_HOME` is ignored.
fn default_file(environment: impl Fn(&str) -> Option<OsString>) -> Option<PathBuf> {
    let configured = environment("XDG_CONFIG_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
    let directory = configured.or_else(|| Some(Path::new(&environment("HOME")?).join(".config")))?;
    Some(directory.join("build-swarm/token"))
}

fn missing(or_else: &str) -> Failure {
    Failure::no_token(format!(
        "there is no token: give --token-file, set SWARM_TOKEN_FILE or SWARM_TOKEN{or_else}"
    ))
}

fn unreadable(file: &Path, error: &io::Error) -> Failure {
    Failure::no_token(format!("cannot read the token in {}: {error}", file.display()))
}

/// What an HTTP header can carry; anything else is not a token of ours.
fn checked(text: &str, source: &str) -> Result<String, Failure> {
    let token = text.trim();
    if token.is_empty() || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(Failure::no_token(format!(
            "{source} holds no token: that is one line of plain characters"
        )));
    }
    Ok(token.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn read(file: Option<&Path>, variables: &[(&str, &str)]) -> Result<String, String> {
        let variable =
            |name: &str| variables.iter().find(|(key, _)| *key == name).map(|(_, value)| value.into());
        token(file, variable).map(|(token, _)| token).map_err(|failure| match failure {
            Failure::Problem { problem, .. } => problem.detail,
            Failure::ReaderGone => unreachable!("nothing was written"),
        })
    }

    #[test]
    fn the_file_goes_before_the_variable_goes_before_the_default() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().to_str().unwrap();
        let config = home.path().join(".config/build-swarm");
        fs::create_dir_all(&config).unwrap();
        fs::write(config.join("token"), "from-default\n").unwrap();
        fs::write(home.path().join("named"), "from-file\n").unwrap();
        let named = home.path().join("named");

        let variables = [("SWARM_TOKEN", "from-variable"), ("HOME", path)];
        assert_eq!(read(Some(&named), &variables).unwrap(), "from-file");
        assert_eq!(read(None, &variables).unwrap(), "from-variable");
        assert_eq!(read(None, &[("SWARM_TOKEN", ""), ("HOME", path)]).unwrap(), "from-default");
        let relative = [("XDG_CONFIG_HOME", "elsewhere"), ("HOME", path)];
        assert_eq!(read(None, &relative).unwrap(), "from-default");
    }

    #[test]
    fn a_token_that_is_none_is_refused_with_its_place() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("token");
        fs::write(&file, "two\nlines").unwrap();
        assert!(read(Some(&file), &[]).unwrap_err().starts_with(file.to_str().unwrap()));
        assert!(read(Some(Path::new("/nowhere")), &[]).unwrap_err().contains("/nowhere"));
        assert!(read(None, &[("SWARM_TOKEN", " \n")]).unwrap_err().starts_with("SWARM_TOKEN"));
        assert!(read(None, &[]).unwrap_err().starts_with("there is no token"));
        let empty = read(None, &[("XDG_CONFIG_HOME", "/nowhere")]).unwrap_err();
        assert!(empty.ends_with("/nowhere/build-swarm/token"), "{empty}");
    }

    #[test]
    fn urls() {
        assert!(url("http://swarm:8400").is_ok());
        for wrong in ["", "swarm:8400", "http://", "http:///x", "ftp://swarm"] {
            assert!(url(wrong).is_err(), "{wrong:?}");
        }
    }
}
