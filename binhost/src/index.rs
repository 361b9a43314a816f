//! The `Packages` index that is served, in the format of [`crate::packages`].
//!
//! * **Header.** A client takes the index only if `TIMESTAMP` is greater than what it holds. `TTL` would keep clients
//!   from asking again, so there is none (PORTAGE.md 5). `PROFILE`, `USE_EXPAND` and the like, which Portage writes for
//!   clients without a profile of their own, are not in packages, so we have none to tell.
//! * **Inherited keys** are none: an entry's text depends on its artifact alone, so a view can be put together from
//!   finished pieces.
//! * `USER_PATCHES` matters where present: clients with patches of their own compare it.
//! * Dependencies are USE-evaluated; in a built package they already are, which [`crate::check`] makes sure of.
//!
//! `Packages.gz` is the same text in one gzip member or several, none of which carries a name: the same set at the same
//! TIMESTAMP has the same bytes. A generation's is one member, [`files`], which is the smallest; that of a view that
//! changes all the time is put together from the members of its [`segments`].

mod document;
mod segments;

pub(crate) use document::Document;
pub(crate) use segments::Segments;

use crate::artifact::Artifact;
use crate::packages;
use std::cmp::Ordering;
use swarm_protocol::gentoo::Cpv;

/// `Packages` and `Packages.gz`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Files {
    pub(crate) text: Document,
    pub(crate) gzip: Document,
}

/// The index of `artifacts`, which come in the order of [`sort`].
pub(crate) fn files<'a>(timestamp: i64, artifacts: impl ExactSizeIterator<Item = &'a Artifact>) -> Files {
    let mut text = header(timestamp, artifacts.len());
    artifacts.for_each(|artifact| entry(&mut text, artifact));
    Files { gzip: packages::gzip(timestamp, text.as_bytes()).into(), text: text.into_bytes().into() }
}

/// Orders artifacts as the index does.
pub(crate) fn sort<T: AsRef<Artifact>>(artifacts: &mut [T]) {
    let key = |artifact: &Artifact| (artifact.cpv.to_string(), artifact.build_id);
    artifacts.sort_by_cached_key(|artifact| key(artifact.as_ref()));
}

/// How two artifacts stand in the index's order.
fn order(one: &Artifact, other: &Artifact) -> Ordering {
    text(&one.cpv).cmp(text(&other.cpv)).then(one.build_id.cmp(&other.build_id))
}

/// The bytes of a cpv as it is written.
fn text(cpv: &Cpv) -> impl Iterator<Item = u8> {
    [cpv.category(), "/", cpv.name(), "-", cpv.version()].into_iter().flat_map(str::bytes)
}

fn header(timestamp: i64, packages: usize) -> String {
    format!("PACKAGES: {packages}\nTIMESTAMP: {timestamp}\nVERSION: 0\n\n")
}

fn entry(text: &mut String, artifact: &Artifact) {
    let own = [
        ("BUILD_ID", artifact.build_id.to_string()),
        ("CPV", artifact.cpv.to_string()),
        ("MD5", artifact.md5.clone()),
        ("PATH", artifact.path.clone()),
        ("SHA1", artifact.sha1.clone()),
        ("SIZE", artifact.size.to_string()),
        ("_mtime_", artifact.mtime.to_string()),
    ];
    let own = own.iter().map(|(key, value)| (*key, value.as_str()));
    let metadata = artifact.metadata.iter().map(|(key, value)| (key.as_str(), value.as_str()));
    packages::push_entry(text, &packages::Values::new(), own.chain(metadata));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Package;
    use std::io::Read;
    use std::sync::Arc;
    use swarm_protocol::id::BuildId;

    fn artifact(cpv: &str, build_id: i32, edit: impl Fn(Package<'_>) -> Package<'_>) -> Arc<Artifact> {
        let package = crate::gpkg::read(&edit(Package::new(cpv, build_id)).bytes()[..]).unwrap();
        let mut artifact = Artifact::of(&package, &cpv.parse().unwrap(), BuildId(build_id), 1_700_000_012);
        // What the compressor makes of the file is not this test's subject.
        (artifact.size, artifact.md5, artifact.sha1) = (122_880, "5".repeat(32), "1".repeat(40));
        Arc::new(artifact)
    }

    #[test]
    fn a_packages_file() {
        let mut artifacts = vec![
            artifact("sys-libs/zlib-1.3.1", 10, |p| p.value("EAPI", "0").value("SLOT", "0").value("USE", "")),
            artifact("sys-libs/zlib-1.3.1", 9, |p| p.value("USER_PATCHES", "a.patch b.patch")),
            artifact("app-arch/xz-utils-5.6.4", 1, |p| p.value("RESTRICT", "!test? ( test )")),
        ];
        sort(&mut artifacts);
        let files = files(1_700_000_100, artifacts.iter().map(AsRef::as_ref));
        insta::assert_snapshot!(String::from_utf8(files.text.pieces().concat()).unwrap());
        let mut unpacked = Vec::new();
        let gzip = files.gzip.pieces().concat();
        flate2::read::GzDecoder::new(&gzip[..]).read_to_end(&mut unpacked).unwrap();
        assert_eq!(unpacked, files.text.pieces().concat());
        artifacts.reverse();
        sort(&mut artifacts);
        assert_eq!(super::files(1_700_000_100, artifacts.iter().map(AsRef::as_ref)), files);
    }

    #[test]
    fn an_empty_index_is_a_header() {
        let files = files(7, [].into_iter());
        assert_eq!(files.text.pieces().concat(), b"PACKAGES: 0\nTIMESTAMP: 7\nVERSION: 0\n\n");
    }
}
