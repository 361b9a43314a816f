//! Writes GPKGs for tests, good ones and broken ones, in its own way: what production code writes is compared with it.

#![allow(dead_code, reason = "each test binary uses a part of it")]

use blake2::Blake2b512;
use sha2::{Digest, Sha512};
use std::fmt::Write as _;
use std::io::Write as _;

/// A member of a container.
#[derive(Clone)]
pub(crate) struct Member {
    pub(crate) name: String,
    /// The tar entry type: `0` for a regular file.
    pub(crate) kind: u8,
    pub(crate) data: Vec<u8>,
}

/// What is done to the compressed metadata.
type Damage<'a> = &'a dyn Fn(&mut Vec<u8>);

/// A package in the making.
#[derive(Clone)]
pub(crate) struct Package<'a> {
    basename: String,
    compression: &'static str,
    values: Vec<(String, String)>,
    image: Vec<u8>,
    signed: bool,
    damage: Option<Damage<'a>>,
}

impl<'a> Package<'a> {
    /// `sys-libs/zlib-1.3.1`, BUILD_ID 2, as Portage would store it.
    pub(crate) fn zlib() -> Self {
        Self::new("sys-libs/zlib-1.3.1", 2)
    }

    /// A package `cpv` with this BUILD_ID.
    pub(crate) fn new(cpv: &str, build_id: i32) -> Self {
        let (category, pf) = cpv.split_once('/').unwrap();
        let package = Self {
            basename: format!("{pf}-{build_id}"),
            compression: ".zst",
            values: Vec::new(),
            image: format!("the image of {cpv}").into_bytes(),
            signed: false,
            damage: None,
        };
        [
            ("BUILD_ID", build_id.to_string().as_str()),
            ("BUILD_TIME", "1700000000"),
            ("CATEGORY", category),
            ("CFLAGS", "-O2 -pipe"),
            ("CHOST", "x86_64-pc-linux-gnu"),
            ("DEFINED_PHASES", "compile configure install"),
            ("EAPI", "8"),
            ("IUSE", "+ssl minizip static-libs"),
            ("KEYWORDS", "~amd64 arm64"),
            ("LICENSE", "ZLIB"),
            ("PF", pf),
            ("PROVIDES", "x86_64: libz.so.1"),
            ("RDEPEND", ">=sys-libs/glibc-2.36\ndev-libs/libfoo:0/2="),
            ("REQUIRES", "x86_64: libc.so.6"),
            ("SLOT", "0/1"),
            ("USE", "amd64 elibc_glibc kernel_linux ssl"),
            ("environment.bz2", "not of interest\u{0}"),
            ("repository", "gentoo"),
        ]
        .into_iter()
        .fold(package, |package, (key, value)| package.value(key, value))
    }

    /// Sets a value of the metadata; an empty one is taken out.
    pub(crate) fn value(mut self, key: &str, value: &str) -> Self {
        self.values.retain(|(other, _)| other != key);
        if !value.is_empty() {
            self.values.push((key.to_owned(), format!("{value}\n")));
        }
        self
    }

    pub(crate) fn compression(mut self, suffix: &'static str) -> Self {
        self.compression = suffix;
        self
    }

    pub(crate) fn basename(mut self, basename: &str) -> Self {
        basename.clone_into(&mut self.basename);
        self
    }

    pub(crate) fn image(mut self, image: Vec<u8>) -> Self {
        self.image = image;
        self
    }

    /// With signatures in their places; they are no real ones.
    pub(crate) fn signed(mut self) -> Self {
        self.signed = true;
        self
    }

    /// Damages the compressed metadata before the Manifest is made.
    pub(crate) fn damage(mut self, damage: Damage<'a>) -> Self {
        self.damage = Some(damage);
        self
    }

    /// The members of the container, the Manifest last.
    pub(crate) fn members(&self) -> Vec<Member> {
        let mut tar = Vec::new();
        for (key, value) in &self.values {
            push(&mut tar, &file(&format!("metadata/{key}"), value.as_bytes().to_vec()));
        }
        finish(&mut tar);
        let mut metadata = compress(self.compression, &tar);
        if let Some(damage) = self.damage {
            damage(&mut metadata);
        }
        let mut files = vec![("gpkg-1".to_owned(), Vec::new())];
        for (name, data) in [("metadata", metadata), ("image", compress(self.compression, &self.image))] {
            let name = format!("{name}.tar{}", self.compression);
            files.push((name.clone(), data));
            if self.signed {
                files.push((format!("{name}.sig"), b"a signature".to_vec()));
            }
        }
        files.push(("Manifest".to_owned(), self.manifest(&files)));
        let member = |(name, data)| file(&format!("{}/{name}", self.basename), data);
        files.into_iter().map(member).collect()
    }

    fn manifest(&self, files: &[(String, Vec<u8>)]) -> Vec<u8> {
        let mut lines = String::new();
        for (name, data) in files {
            let (blake2b, sha512) = (hex(&Blake2b512::digest(data)), hex(&Sha512::digest(data)));
            writeln!(lines, "DATA {name} {} BLAKE2B {blake2b} SHA512 {sha512}", data.len()).unwrap();
        }
        if self.signed {
            let (head, tail) =
                ("-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA512\n\n", "-----BEGIN PGP SIGNATURE-----\n");
            lines = format!("{head}{lines}{tail}\nabc\n-----END PGP SIGNATURE-----\n");
        }
        lines.into_bytes()
    }

    /// The whole file.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        Self::container(&self.members())
    }

    /// A container of any members.
    pub(crate) fn container(members: &[Member]) -> Vec<u8> {
        let mut tar = Vec::new();
        for member in members {
            push(&mut tar, member);
        }
        finish(&mut tar);
        tar
    }
}

fn file(name: &str, data: Vec<u8>) -> Member {
    Member { name: name.to_owned(), kind: b'0', data }
}

fn push(tar: &mut Vec<u8>, member: &Member) {
    if member.name.len() > 100 {
        let mut name = member.name.clone().into_bytes();
        name.push(0);
        push(tar, &Member { name: "././@LongLink".to_owned(), kind: b'L', data: name });
    }
    let mut header = [0_u8; 512];
    let name = &member.name.as_bytes()[..member.name.len().min(100)];
    header[..name.len()].copy_from_slice(name);
    header[100..108].copy_from_slice(b"0000644\0");
    header[124..136].copy_from_slice(format!("{:011o}\0", member.data.len()).as_bytes());
    header[136..148].copy_from_slice(b"14524576400\0");
    header[148..156].copy_from_slice(b"        ");
    header[156] = member.kind;
    header[257..265].copy_from_slice(if member.name.len() > 100 { b"ustar  \0" } else { b"ustar\x0000" });
    let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    tar.extend_from_slice(&header);
    tar.extend_from_slice(&member.data);
    tar.resize(tar.len().next_multiple_of(512), 0);
}

fn finish(tar: &mut Vec<u8>) {
    tar.resize(tar.len() + 1024, 0);
}

fn compress(suffix: &str, bytes: &[u8]) -> Vec<u8> {
    match suffix {
        "" => bytes.to_vec(),
        ".gz" => {
            let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
            encoder.write_all(bytes).unwrap();
            encoder.finish().unwrap()
        }
        ".bz2" => {
            let mut encoder = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::default());
            encoder.write_all(bytes).unwrap();
            encoder.finish().unwrap()
        }
        ".xz" => {
            let mut encoder = liblzma::write::XzEncoder::new(Vec::new(), 6);
            encoder.write_all(bytes).unwrap();
            encoder.finish().unwrap()
        }
        ".zst" => zstd::encode_all(bytes, 3).unwrap(),
        ".lz4" => {
            let mut encoder = lz4_flex::frame::FrameEncoder::new(Vec::new());
            encoder.write_all(bytes).unwrap();
            encoder.finish().unwrap()
        }
        other => panic!("no compressor for {other}"),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |text, byte| format!("{text}{byte:02x}"))
}
