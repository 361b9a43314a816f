//! Small binary packages for scripted drones: a GPKG (GLEP 78) with true metadata, digests and an empty image.

use blake2::Blake2b512;
use sha2::{Digest as _, Sha512};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::io::Read;
use swarm_protocol::drone::Claim;
use swarm_protocol::gentoo::Cpv;
use swarm_protocol::id::BuildId;

/// The bytes of a package that is what `claim` asked for.
#[must_use]
pub fn package(claim: &Claim) -> Vec<u8> {
    let flags: Vec<_> = claim.use_flags.iter().map(ToString::to_string).collect();
    package_with(claim, &[("USE", &flags.join(" ")), ("IUSE", &flags.join(" "))])
}

/// The same with other metadata: what a drone that is out of step would build.
#[must_use]
pub fn package_with(claim: &Claim, other: &[(&str, &str)]) -> Vec<u8> {
    let mut metadata = vec![("SLOT", claim.slot.as_str()), ("repository", claim.repository.as_str())];
    metadata.retain(|(key, _)| other.iter().all(|(replaced, _)| replaced != key));
    metadata.extend(other);
    package_of(&claim.cpv, claim.build_id, &metadata, &[])
}

/// The package `cpv` with this BUILD_ID, with other metadata in place of the usual, and with one file in its image.
#[must_use]
pub fn package_of(cpv: &Cpv, build_id: BuildId, other: &[(&str, &str)], image: &[u8]) -> Vec<u8> {
    let (pf, build_id) = (cpv.pf(), build_id.to_string());
    let mut metadata: Vec<(&str, &str)> = vec![
        ("CATEGORY", cpv.category()),
        ("PF", &pf),
        ("SLOT", "0"),
        ("repository", "swarm-box"),
        ("BUILD_ID", &build_id),
        ("CHOST", "x86_64-pc-linux-gnu"),
        ("EAPI", "8"),
        ("BUILD_TIME", "1700000000"),
        ("KEYWORDS", "amd64"),
        ("DEFINED_PHASES", "compile"),
    ];
    metadata.retain(|(key, _)| other.iter().all(|(replaced, _)| replaced != key));
    metadata.extend(other);
    let root = format!("{pf}-{build_id}");
    let texts: Vec<_> =
        metadata.iter().map(|(key, value)| (format!("metadata/{key}"), format!("{value}\n"))).collect();
    let texts: Vec<_> = texts.iter().map(|(name, text)| (name.clone(), text.as_bytes())).collect();
    let metadata = compressed(&texts);
    let image = compressed(&[("image/opt/file".to_owned(), image)]);
    let mut manifest = String::new();
    let version = b"swarm-tests\n".as_slice();
    for (name, bytes) in [("gpkg-1", version), ("metadata.tar.zst", &metadata), ("image.tar.zst", &image)] {
        let (blake2b, sha512) = (hex(Blake2b512::digest(bytes)), hex(Sha512::digest(bytes)));
        writeln!(manifest, "DATA {name} {} BLAKE2B {blake2b} SHA512 {sha512}", bytes.len()).unwrap();
    }
    tar(&[
        (format!("{root}/gpkg-1"), version),
        (format!("{root}/metadata.tar.zst"), &metadata),
        (format!("{root}/image.tar.zst"), &image),
        (format!("{root}/Manifest"), manifest.as_bytes()),
    ])
}

fn compressed(files: &[(String, &[u8])]) -> Vec<u8> {
    zstd::encode_all(tar(files).as_slice(), 1).unwrap()
}

/// The metadata of a binary package, by key.
#[must_use]
pub fn metadata(package: &[u8]) -> BTreeMap<String, String> {
    let archive = member(package, "metadata.tar.zst");
    let mut files = tar::Archive::new(archive.as_slice());
    let mut metadata = BTreeMap::new();
    for file in files.entries().unwrap() {
        let mut file = file.unwrap();
        let key = file.path().unwrap().file_name().unwrap().to_str().unwrap().to_owned();
        let mut value = Vec::new();
        file.read_to_end(&mut value).unwrap();
        metadata.insert(key, String::from_utf8_lossy(&value).trim_end().to_owned());
    }
    metadata
}

/// One entry of a package's image.
#[derive(Debug, PartialEq, Eq)]
pub struct Entry {
    /// Everything but its time: path, type, mode, owners, target of a link, further attributes, SHA-512 of its contents.
    pub what: String,
    /// When it was last modified, as text.
    pub mtime: String,
}

/// The image of a binary package, in its order.
#[must_use]
pub fn image(package: &[u8]) -> Vec<Entry> {
    let archive = member(package, "image.tar.zst");
    let mut files = tar::Archive::new(archive.as_slice());
    let entries = files.entries().unwrap().map(|file| entry(&mut file.unwrap()));
    entries.collect()
}

fn entry(file: &mut tar::Entry<'_, &[u8]>) -> Entry {
    let header = file.header();
    let text = |bytes: Option<&[u8]>| String::from_utf8_lossy(bytes.unwrap_or_default()).into_owned();
    let mut mtime = header.mtime().unwrap().to_string();
    let mut what = format!(
        "{} {:?} {:o} {}:{} {}:{} {}",
        text(Some(&file.path_bytes())),
        header.entry_type(),
        header.mode().unwrap(),
        header.uid().unwrap(),
        header.gid().unwrap(),
        text(header.username_bytes()),
        text(header.groupname_bytes()),
        text(file.link_name_bytes().as_deref())
    );
    for record in file.pax_extensions().unwrap().into_iter().flatten().map(Result::unwrap) {
        let (key, value) = (record.key().unwrap(), text(Some(record.value_bytes())));
        if key == "mtime" {
            mtime = value;
        } else {
            write!(what, " {key}={value}").unwrap();
        }
    }
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes).unwrap();
    write!(what, " {}", hex(Sha512::digest(bytes))).unwrap();
    Entry { what, mtime }
}

/// A member of the container, decompressed.
fn member(package: &[u8], name: &str) -> Vec<u8> {
    let mut container = tar::Archive::new(package);
    let mut members = container.entries().unwrap().map(Result::unwrap);
    let member = members.find(|member| member.path().unwrap().ends_with(name)).unwrap();
    zstd::decode_all(member).unwrap()
}

/// A ustar of these files.
#[must_use]
pub fn tar(files: &[(String, impl AsRef<[u8]>)]) -> Vec<u8> {
    let mut archive = tar::Builder::new(Vec::new());
    for (name, bytes) in files {
        let bytes = bytes.as_ref();
        let mut header = tar::Header::new_ustar();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        header.set_mtime(1_700_000_000);
        archive.append_data(&mut header, name, bytes).unwrap();
    }
    archive.into_inner().unwrap()
}

/// A digest in hexadecimal.
#[must_use]
pub fn hex(bytes: impl AsRef<[u8]>) -> String {
    bytes.as_ref().iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    })
}
