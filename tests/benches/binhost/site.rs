//! A real binhost with one promoted generation: an index of a few hundred KB, and files from small to large.

use crate::noise;
use reqwest::Client;
use std::net::Ipv4Addr;
use swarm_tests::binhost::{Binhost, expected};
use swarm_tests::gpkg::{self, hex};

/// Packages that only fill the index: together their licences make a `Packages.gz` of 300 KB.
const FILLERS: i64 = 60;
const LICENSE: usize = 8800;

/// A running binhost.
pub(crate) struct Site {
    pub(crate) binhost: Binhost,
    /// Of the index.
    pub(crate) last_modified: String,
    /// What a case calls a file, and its path below the target.
    pub(crate) files: Vec<(&'static str, String)>,
}

impl Site {
    pub(crate) async fn start() -> Self {
        let binhost = Binhost::start(Ipv4Addr::LOCALHOST.into(), "amd64").await;
        let files = publish(&binhost).await;
        let index = Client::new().head(binhost.public("Packages.gz")).send().await.unwrap();
        let last_modified = index.headers()["last-modified"].to_str().unwrap().to_owned();
        Self { binhost, last_modified, files }
    }
}

async fn publish(binhost: &Binhost) -> Vec<(&'static str, String)> {
    let (mut artifacts, mut files) = (Vec::new(), Vec::new());
    let sizes = [("20 KB", 17_000), ("1 MB", 1_000_000), ("50 MB", 50_000_000)];
    let fillers = (0..FILLERS).map(|_| ("", 0));
    for (number, (name, size)) in (1_i64..).zip(sizes.into_iter().chain(fillers)) {
        let expected = expected(&format!("bench/file{number}-1"), 1);
        let license =
            if size == 0 { hex(noise::bytes(number.unsigned_abs(), LICENSE / 2)) } else { "MIT".to_owned() };
        let metadata = [("LICENSE", license.as_str())];
        let bytes = gpkg::package_of(
            &expected.cpv,
            expected.build_id,
            &metadata,
            &noise::bytes(number.unsigned_abs(), size),
        );
        let staged = binhost.stage(&binhost.upload_bytes(number, expected, bytes).await).await;
        artifacts.push(staged.published);
        if size > 0 {
            files.push((name, staged.path));
        }
    }
    binhost.publish_generation(1, &artifacts).await;
    files
}
