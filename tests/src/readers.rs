//! Clients that read a target's index and the files that it lists, in a loop, and compare them.
//!
//! What they look for is a *mixed set*: an index that does not hold what its header says, or a listed file that is
//! missing or is not what the index says of it.

use sha1::{Digest, Sha1};
use std::collections::BTreeSet;
use std::fmt::Write;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// How many of the listed files a client fetches for each index that it reads.
const FILES: usize = 4;

/// What clients have seen.
#[derive(Debug, Default)]
pub struct Seen {
    /// Indexes read.
    pub indexes: u64,
    /// Files read and compared.
    pub files: u64,
    /// The TIMESTAMPs of the indexes.
    pub timestamps: BTreeSet<String>,
    /// What did not fit together.
    pub mixed: Vec<String>,
}

impl Seen {
    fn with(mut self, other: Self) -> Self {
        self.indexes += other.indexes;
        self.files += other.files;
        self.timestamps.extend(other.timestamps);
        self.mixed.extend(other.mixed);
        self
    }
}

/// Clients at work.
pub struct Readers {
    stop: CancellationToken,
    tasks: JoinSet<Seen>,
}

impl Readers {
    /// Starts `count` clients of the target at `base`, a URL that ends with a slash.
    #[must_use]
    pub fn start(count: usize, base: &str) -> Self {
        let (stop, mut tasks) = (CancellationToken::new(), JoinSet::new());
        for number in 0..count {
            tasks.spawn(read(base.to_owned(), number, stop.clone()));
        }
        Self { stop, tasks }
    }

    /// Ends them, each after the round that it is in.
    pub async fn end(self) -> Seen {
        self.stop.cancel();
        self.tasks.join_all().await.into_iter().fold(Seen::default(), Seen::with)
    }
}

async fn read(base: String, number: usize, stop: CancellationToken) -> Seen {
    let client = reqwest::Client::new();
    let mut seen = Seen::default();
    // Each begins at another file, and goes on from there.
    let mut turn = number * 97;
    while !stop.is_cancelled() {
        let index = client.get(format!("{base}Packages")).send().await.unwrap();
        let found = index.status();
        if !found.is_success() {
            // Nothing was promoted yet.
            tokio::task::yield_now().await;
            continue;
        }
        let index = index.text().await.unwrap();
        let (timestamp, entries) = parse(&index);
        seen.indexes += 1;
        seen.timestamps.insert(timestamp.clone());
        if index.lines().find_map(|line| line.strip_prefix("PACKAGES: ")) != Some(&entries.len().to_string())
        {
            seen.mixed.push(format!("{} entries at {timestamp}", entries.len()));
        }
        for _ in 0..FILES.min(entries.len()) {
            turn += 61;
            let (path, sha1) = &entries[turn % entries.len()];
            let file = client.get(format!("{base}{path}")).send().await.unwrap();
            let status = file.status();
            let bytes = file.bytes().await.unwrap();
            seen.files += 1;
            if !status.is_success() || hex(&Sha1::digest(&bytes)) != *sha1 {
                seen.mixed.push(format!("{path} of {timestamp}: {status}, {} bytes", bytes.len()));
            }
        }
    }
    seen
}

/// The TIMESTAMP, and each entry's PATH and SHA1, which come in this order.
fn parse(index: &str) -> (String, Vec<(String, String)>) {
    let values =
        |key: &'static str| index.lines().filter_map(move |line| line.strip_prefix(key)).map(str::to_owned);
    let timestamp = values("TIMESTAMP: ").next().unwrap_or_default();
    (timestamp, values("PATH: ").zip(values("SHA1: ")).collect())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    })
}
