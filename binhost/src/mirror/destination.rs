//! Where a mirror is. Credentials come from the environment or from a file, never from an argument, which every process
//! of the machine can read.

use super::http::Connector;
use anyhow::{Context, Result, bail, ensure};
use object_store::ObjectStore;
use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey};
use object_store::local::LocalFileSystem;
use object_store::path::Path as ObjectPath;
use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;
use url::Url;

/// A place in an object store.
pub(super) struct Destination {
    pub(super) store: Arc<dyn ObjectStore>,
    pub(super) prefix: ObjectPath,
}

/// Opens it. An S3 store is not asked anything yet.
pub(super) fn open(url: &Url, credentials: Option<&Path>) -> Result<Destination> {
    match url.scheme() {
        "file" => directory(url),
        "s3" => bucket(url, credentials),
        other => bail!("a mirror is at s3://BUCKET/PREFIX or file:///DIRECTORY, not at {other}://"),
    }
}

fn directory(url: &Url) -> Result<Destination> {
    ensure!(url.host_str().unwrap_or_default().is_empty(), "file:// takes three slashes: file:///DIRECTORY");
    let directory = url.to_file_path().map_err(|()| anyhow::anyhow!("{url} names no directory"))?;
    std::fs::create_dir_all(&directory).with_context(|| format!("cannot create {}", directory.display()))?;
    let store = LocalFileSystem::new_with_prefix(&directory)
        .with_context(|| format!("cannot open {}", directory.display()))?;
    Ok(Destination { store: Arc::new(store.with_fsync(true)), prefix: ObjectPath::default() })
}

fn bucket(url: &Url, credentials: Option<&Path>) -> Result<Destination> {
    ensure!(
        url.username().is_empty() && url.password().is_none(),
        "credentials belong in the environment or in a file, not in the destination"
    );
    let bucket = url.host_str().context("s3:// takes a bucket: s3://BUCKET/PREFIX")?;
    let mut builder = AmazonS3Builder::from_env().with_bucket_name(bucket).with_http_connector(Connector);
    if let Some(file) = credentials {
        for (key, value) in read(file)? {
            builder = builder.with_config(key, value);
        }
    }
    let store = builder.build().context("the S3 store's settings are not complete")?;
    let prefix = ObjectPath::from_url_path(url.path()).with_context(|| format!("{url} names no place"))?;
    Ok(Destination { store: Arc::new(store), prefix })
}

fn read(file: &Path) -> Result<Vec<(AmazonS3ConfigKey, String)>> {
    let metadata = std::fs::metadata(file).with_context(|| format!("cannot read {}", file.display()))?;
    // The six lowest bits are what group and others may do.
    ensure!(
        metadata.mode().trailing_zeros() >= 6,
        "{} can be read by others than its owner: chmod 600",
        file.display()
    );
    let text = std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    // The parser's message would show the line, and with it the secret.
    let values: BTreeMap<String, toml::Value> =
        toml::from_str(&text).map_err(|_| anyhow::anyhow!("{} is no TOML of KEY = VALUE", file.display()))?;
    let mut settings = Vec::new();
    for (key, value) in values {
        let parsed = key.parse().with_context(|| format!("{} has {key}", file.display()))?;
        let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        settings.push((parsed, value));
    }
    Ok(settings)
}
