//! Repositories by commit: a bare mirror per URI, and a commit's tree taken out of it. There is never a checkout, so
//! nothing can differ from the commit, and a branch that moves on changes nothing.
//!
//! git talks to `https` and `ssh` only ([`swarm_protocol::definition::is_fetchable`] and `GIT_ALLOW_PROTOCOL`), reads
//! nobody's configuration, asks nobody for a password, and knows no credential helper. ssh is the machine's own, with
//! root's keys and known hosts: a host that is not known is refused. So is a certificate that the machine's authorities
//! have not signed, and a server of `https` that sends us on to `http`.
//!
//! The commit alone is fetched (`--depth 1`). A server that gives only what its branches lead to (`ssh` without protocol
//! 2, unless `uploadpack.allowReachableSHA1InWant` is set) is asked for its branches and tags.

use anyhow::{Context, bail};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;
use swarm_bundle::{Limits, unpack_tar};
use swarm_protocol::Digest;

/// How long a fetch may take. One that stands still ends within a minute or two by git's and ssh's own limits.
const LIMIT: Duration = Duration::from_hours(1);
/// Each fetch adds a pack. A mirror with more is made anew, which costs one fetch of a commit.
const PACKS: usize = 50;

/// Whatever the repository says, its files are taken out as they are. `working-tree-encoding` knows no `-`.
const ATTRIBUTES: &str = "* -export-ignore -export-subst -text -ident -filter !working-tree-encoding\n";

const SETTINGS: &[&str] = &[
    "-c",
    "credential.helper=",
    "-c",
    "gc.auto=0",
    "-c",
    "maintenance.auto=false",
    "-c",
    "http.lowSpeedLimit=1000",
    "-c",
    "http.lowSpeedTime=60",
    "-c",
    "tar.umask=0022",
];
const ENVIRONMENT: &[(&str, &str)] = &[
    ("GIT_ALLOW_PROTOCOL", "https:ssh"),
    ("GIT_CONFIG_GLOBAL", "/dev/null"),
    ("GIT_CONFIG_NOSYSTEM", "1"),
    ("GIT_TERMINAL_PROMPT", "0"),
    (
        "GIT_SSH_COMMAND",
        "ssh -oBatchMode=yes -oConnectTimeout=20 -oServerAliveInterval=15 -oServerAliveCountMax=4",
    ),
    ("LC_ALL", "C"),
];
/// What of the drone's own environment git has: the way out.
const INHERITED: &[&str] = &["PATH", "https_proxy", "HTTPS_PROXY", "no_proxy", "NO_PROXY"];

/// The mirror's name: objects of SHA-1 and of SHA-256 do not share one.
#[must_use]
pub fn mirror_id(uri: &str, commit: &str) -> Digest {
    Digest::of(format!("{uri}\0{}", commit.len()).as_bytes())
}

/// A mirror. Nobody else may use it meanwhile.
pub struct Mirror<'a> {
    /// Its directory, made where it is not there.
    pub dir: PathBuf,
    /// Where it fetches from, which is fetchable.
    pub uri: &'a str,
}

impl Mirror<'_> {
    /// Has the commit, and says whether it was fetched.
    pub async fn bring(&self, commit: &str) -> anyhow::Result<bool> {
        let sha256 = commit.len() == 64;
        let dir = self.dir.clone();
        tokio::task::spawn_blocking(move || prepare(&dir)).await??;
        let mut init = vec!["init", "--quiet", "--bare", "--template="];
        init.extend(sha256.then_some("--object-format=sha256"));
        self.git(&init).await?;
        fs::create_dir_all(self.dir.join("info"))?;
        fs::write(self.dir.join("info/attributes"), ATTRIBUTES)?;
        if self.has(commit).await {
            return Ok(false);
        }
        // The reference tells the server what we have, so that the next commit comes as what differs.
        let reference = format!("{commit}:refs/swarm/{commit}");
        let exactly = self.fetch(&["--depth=1", self.uri, &reference]).await;
        if let Err(error) = exactly {
            tracing::debug!(
                uri = self.uri,
                commit,
                error = format!("{error:#}"),
                "the commit alone cannot be had"
            );
            let branches = ["+refs/heads/*:refs/swarm/heads/*", "+refs/tags/*:refs/swarm/tags/*"];
            // A depth without end also fetches what a former `--depth=1` left out.
            let arguments = ["--depth=2147483647", self.uri, branches[0], branches[1]];
            self.fetch(&arguments).await.with_context(|| format!("cannot fetch from {}", self.uri))?;
        }
        if !self.has(commit).await {
            bail!("{} has no commit {commit}", self.uri);
        }
        Ok(true)
    }

    /// Writes the commit's tree into the new directory `into`, and gives its content.
    pub async fn export(&self, commit: &str, into: &Path, limits: Limits) -> anyhow::Result<Digest> {
        let mut git = self.command(&["archive", "--format=tar"]).into_std();
        git.arg(format!("{commit}^{{tree}}"));
        let into = into.to_owned();
        let work = move || unpacked(git, &into, limits);
        let content = tokio::task::spawn_blocking(work).await?;
        content.with_context(|| format!("commit {commit} cannot be taken out"))
    }

    /// Whether the mirror has the commit, as a commit and not as a tag or a tree of that name.
    async fn has(&self, commit: &str) -> bool {
        let found = self.git(&["rev-parse", "--verify", "--quiet", &format!("{commit}^{{commit}}")]).await;
        found.is_ok_and(|found| found.trim() == commit)
    }

    async fn fetch(&self, arguments: &[&str]) -> anyhow::Result<String> {
        let options = ["fetch", "--quiet", "--no-tags", "--no-recurse-submodules", "--no-write-fetch-head"];
        self.git(&[&options[..], arguments].concat()).await
    }

    async fn git(&self, arguments: &[&str]) -> anyhow::Result<String> {
        let mut command = self.command(arguments);
        let output = tokio::time::timeout(LIMIT, command.output()).await;
        let output =
            output.with_context(|| format!("git took longer than {LIMIT:?}"))?.context("cannot run git")?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            bail!("git {}: {}", arguments[0], said.trim());
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    fn command(&self, arguments: &[&str]) -> tokio::process::Command {
        let mut command = tokio::process::Command::new("git");
        command.arg("--git-dir").arg(&self.dir).args(SETTINGS).args(arguments).env_clear();
        command.envs(ENVIRONMENT.iter().copied());
        command.envs(INHERITED.iter().filter_map(|name| Some((name, std::env::var_os(name)?))));
        command.stdin(Stdio::null()).kill_on_drop(true);
        command
    }
}

/// Unpacks the tar that git writes.
fn unpacked(mut git: std::process::Command, into: &Path, limits: Limits) -> anyhow::Result<Digest> {
    let mut git = git.stdout(Stdio::piped()).spawn().context("cannot run git")?;
    let mut archive = git.stdout.take().context("git has no output")?;
    let mut content = unpack_tar(&mut archive, into, limits).map_err(anyhow::Error::from);
    if content.is_ok() {
        // A tar is padded behind its end. git, whose padding nobody reads, would be ended by SIGPIPE.
        content = io::copy(&mut archive, &mut io::sink()).map_err(Into::into).and(content);
    }
    // Whatever became of its archive, git ends now.
    drop(archive);
    let status = git.wait()?;
    let content = content?;
    if !status.success() {
        bail!("git archive ended with {status}");
    }
    Ok(content)
}

/// Removes a mirror that has grown, and what a killed fetch left in one.
fn prepare(dir: &Path) -> io::Result<()> {
    let Ok(entries) = fs::read_dir(dir.join("objects/pack")) else { return Ok(()) };
    let files = entries.map(|entry| Ok(entry?.path())).collect::<io::Result<Vec<_>>>()?;
    if files.iter().filter(|file| file.extension().is_some_and(|end| end == "pack")).count() > PACKS {
        return fs::remove_dir_all(dir);
    }
    let is_left =
        |file: &&PathBuf| file.file_name().is_some_and(|name| name.to_string_lossy().starts_with("tmp_"));
    let locks = ["shallow.lock", "packed-refs.lock", "config.lock"].map(|name| dir.join(name));
    for file in files.iter().filter(is_left).chain(locks.iter().filter(|lock| lock.exists())) {
        fs::remove_file(file)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;
    use swarm_bundle::tree;

    const LIMITS: Limits = Limits { entries: 100, bytes: 10_000 };

    fn git(dir: &Path, arguments: &[&str]) -> String {
        let identity = ["-c", "user.name=t", "-c", "user.email=t@t", "-c", "init.defaultBranch=main"];
        let output = Command::new("git").args(identity).args(arguments).current_dir(dir).output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    /// A work tree whose attributes would change what a checkout and an archive are, and its commit.
    fn repository(work: &Path) -> String {
        let attributes = "left-out export-ignore\nfilled export-subst\n*.bat text eol=crlf\n*.id ident\n";
        fs::create_dir(work.join("profiles")).unwrap();
        for (file, text) in [
            (".gitattributes", attributes),
            ("left-out", "x"),
            ("filled", "$Format:%H$\n"),
            ("a.bat", "one\ntwo\n"),
            ("a.id", "$Id$\n"),
            ("profiles/repo_name", "box\n"),
        ] {
            fs::write(work.join(file), text).unwrap();
        }
        std::os::unix::fs::symlink("filled", work.join("link")).unwrap();
        git(work, &["init", "--quiet"]);
        git(work, &["add", "."]);
        git(work, &["commit", "--quiet", "--message=x"]);
        git(work, &["rev-parse", "HEAD"])
    }

    #[tokio::test]
    async fn a_commit_comes_out_as_it_was_put_in() {
        let place = tempfile::tempdir().unwrap();
        let work = place.path().join("work");
        fs::create_dir(&work).unwrap();
        let commit = repository(&work);
        git(place.path(), &["clone", "--quiet", "--bare", "work", "mirror"]);
        let mirror = Mirror { dir: place.path().join("mirror"), uri: "https://127.0.0.1:1/none" };
        assert!(!mirror.bring(&commit).await.unwrap(), "it is there: nobody is asked");
        let out = place.path().join("out");
        let content = mirror.export(&commit, &out, LIMITS).await.unwrap();
        assert_eq!(content, tree::content(&out, &[]).unwrap());
        fs::remove_dir_all(work.join(".git")).unwrap();
        assert_eq!(swarm_bundle::compare::compare(&work, &out).unwrap(), []);
        let small = Limits { bytes: 10, ..LIMITS };
        let error = mirror.export(&commit, &place.path().join("small"), small).await.unwrap_err();
        assert!(format!("{error:#}").contains("more than 10 bytes"), "{error:#}");
        // The name of a tree, or of a commit that nobody has, is none.
        let tree = git(place.path(), &["-C", "mirror", "rev-parse", &format!("{commit}^{{tree}}")]);
        for wrong in [tree, "1".repeat(40)] {
            let error = mirror.bring(&wrong).await.unwrap_err();
            assert!(format!("{error:#}").contains("cannot fetch from https://127.0.0.1:1/none"), "{error:#}");
        }
    }

    #[test]
    fn what_is_padded_late_is_read_to_its_end() {
        let place = tempfile::tempdir().unwrap();
        let (work, tar) = (place.path().join("work"), place.path().join("tar"));
        fs::create_dir(&work).unwrap();
        let commit = repository(&work);
        let tree = format!("{commit}^{{tree}}");
        git(&work, &["archive", "--format=tar", "--output", tar.to_str().unwrap(), &tree]);
        let script = |pause: &str, end: &str| {
            let mut slow = Command::new("sh");
            slow.args(["-ec", &format!("head -c -512 $0; {pause}; tail -c 512 $0; {end}")]).arg(&tar);
            slow
        };
        // The reader is at the tar's end when the rest is written: it has made all directories.
        let out = place.path().join("out");
        let read = format!(
            "for try in $(seq 500); do [ ! -e '{}' ] || break; sleep 0.02; done; sleep 0.2",
            out.join("profiles/repo_name").display()
        );
        unpacked(script(&read, ":"), &out, LIMITS).unwrap();
        let error = unpacked(script(":", "exit 3"), &place.path().join("other"), LIMITS).unwrap_err();
        assert!(error.to_string().contains("exit status: 3"), "{error}");
    }

    #[tokio::test]
    async fn nothing_but_https_and_ssh_is_spoken() {
        let place = tempfile::tempdir().unwrap();
        let work = place.path().join("work");
        fs::create_dir(&work).unwrap();
        let commit = repository(&work);
        let ran = place.path().join("ran");
        let helper = format!("ext::sh -c 'touch {}'", ran.display());
        for uri in [work.to_str().unwrap(), &format!("file://{}", work.display()), &helper] {
            let mirror = Mirror { dir: place.path().join("mirror"), uri };
            let error = format!("{:#}", mirror.bring(&commit).await.unwrap_err());
            assert!(error.contains("not allowed"), "{uri}: {error}");
        }
        assert!(!ran.exists());
    }

    #[test]
    fn what_a_killed_fetch_left_is_no_obstacle_and_a_grown_mirror_goes() {
        let place = tempfile::tempdir().unwrap();
        let dir = place.path().join("mirror");
        prepare(&dir).unwrap();
        let packs = dir.join("objects/pack");
        fs::create_dir_all(&packs).unwrap();
        fs::write(dir.join("shallow.lock"), "").unwrap();
        fs::write(packs.join("tmp_pack_x"), "").unwrap();
        for number in 0..PACKS {
            fs::write(packs.join(format!("pack-{number}.pack")), "").unwrap();
        }
        prepare(&dir).unwrap();
        assert!(!dir.join("shallow.lock").exists());
        assert_eq!(fs::read_dir(&packs).unwrap().count(), PACKS);
        fs::write(packs.join("pack-more.pack"), "").unwrap();
        prepare(&dir).unwrap();
        assert!(!dir.exists());
    }
}
