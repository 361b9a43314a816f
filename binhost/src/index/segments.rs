//! An index that changes by one artifact at a time: a sorted set in segments, each with its text and its gzip member.
//!
//! ```text
//! header      PACKAGES, TIMESTAMP: new with every change
//! segment     a few entries: text, and the gzip member of that text
//! segment     …
//! ```
//!
//! A gzip file may be a concatenation of members (RFC 1952, 2.2), and Portage reads them all, so both documents are
//! pieces put in a row. A change renews one segment or two; the others are shared with the sets before and after it,
//! which readers may still hold. What is copied whole is the list of pointers to segments: one in [`MEAN`] entries.
//!
//! **Where segments end depends on the set alone.** An artifact begins a segment when the first bytes of its digest say
//! so, whoever its neighbours are; only the first segment begins with whatever comes first. So a set has the same
//! segments, hence the same bytes at a TIMESTAMP, whatever the order in which it came together.

use super::document::Document;
use super::{Files, entry, header, order};
use crate::artifact::Artifact;
use crate::packages::gzip;
use bytes::Bytes;
use std::cmp::Ordering;
use std::ops::Range;
use std::sync::{Arc, OnceLock};
use swarm_protocol::Digest;

/// How many entries a segment has on average. Fewer cost bytes, since each member is compressed on its own; more cost
/// time at each change.
const MEAN: u8 = 16;

/// A sorted set of artifacts. Cloning it copies the list of segments, not the segments.
#[derive(Clone, Default)]
pub(crate) struct Segments {
    /// In the index's order; none is empty, and all but the first begin with an artifact that [`begins`] one.
    list: Vec<Arc<Segment>>,
    artifacts: usize,
}

struct Segment {
    artifacts: Vec<Arc<Artifact>>,
    rendered: OnceLock<Rendered>,
}

/// One piece of both documents.
struct Rendered {
    text: Bytes,
    gzip: Bytes,
    /// Of the text and of the gzip member: what the validators are made of.
    digests: [Digest; 2],
}

impl Rendered {
    fn of(text: String, timestamp: i64) -> Self {
        let text = text.into_bytes();
        let gzip = gzip(timestamp, &text);
        Self { digests: [Digest::of(&text), Digest::of(&gzip)], text: text.into(), gzip: gzip.into() }
    }
}

/// Whether a segment begins with this artifact.
fn begins(artifact: &Artifact) -> bool {
    artifact.published.as_bytes()[0].is_multiple_of(MEAN)
}

impl Segment {
    fn rendered(&self) -> &Rendered {
        self.rendered.get_or_init(|| {
            let mut text = String::new();
            self.artifacts.iter().for_each(|artifact| entry(&mut text, artifact));
            // No time: the member outlives many a TIMESTAMP.
            Rendered::of(text, 0)
        })
    }
}

/// Cuts sorted artifacts into segments.
fn cut(artifacts: Vec<Arc<Artifact>>) -> Vec<Arc<Segment>> {
    let mut parts: Vec<Vec<Arc<Artifact>>> = Vec::new();
    for artifact in artifacts {
        match parts.last_mut() {
            Some(part) if !begins(&artifact) => part.push(artifact),
            _ => parts.push(vec![artifact]),
        }
    }
    parts.into_iter().map(|artifacts| Arc::new(Segment { artifacts, rendered: OnceLock::new() })).collect()
}

impl Segments {
    /// The set of `artifacts`, which come in the index's order and once each.
    pub(crate) fn of(artifacts: Vec<Arc<Artifact>>) -> Self {
        Self { artifacts: artifacts.len(), list: cut(artifacts) }
    }

    /// Adds an artifact, or puts it in the place of the one with its cpv and BUILD_ID.
    pub(crate) fn insert(&mut self, artifact: &Arc<Artifact>) {
        self.renew(artifact, |artifacts| match artifacts.binary_search_by(|other| order(other, artifact)) {
            Ok(place) => artifacts[place] = Arc::clone(artifact),
            Err(place) => artifacts.insert(place, Arc::clone(artifact)),
        });
    }

    /// Takes out the artifact with this one's cpv and BUILD_ID, if it is there.
    pub(crate) fn remove(&mut self, artifact: &Artifact) {
        self.renew(artifact, |artifacts| {
            artifacts.retain(|other| order(other, artifact) != Ordering::Equal);
        });
    }

    /// Changes the artifacts around one, and cuts them into segments anew. The segment before takes part: when what
    /// began a segment goes, its followers belong to that one.
    fn renew(&mut self, around: &Artifact, change: impl FnOnce(&mut Vec<Arc<Artifact>>)) {
        let range = self.around(around);
        let old = &self.list[range.clone()];
        let mut artifacts: Vec<_> = old.iter().flat_map(|segment| &segment.artifacts).cloned().collect();
        let before = artifacts.len();
        change(&mut artifacts);
        self.artifacts = self.artifacts + artifacts.len() - before;
        let mut new = cut(artifacts);
        for segment in &mut new {
            // One that came out as it was keeps what is rendered of it.
            if let Some(same) = old.iter().find(|old| old.artifacts == segment.artifacts) {
                *segment = Arc::clone(same);
            }
        }
        self.list.splice(range, new);
    }

    /// The segment that has this artifact, or that it would come into, and the one before.
    fn around(&self, artifact: &Artifact) -> Range<usize> {
        let after = self.list.partition_point(|segment| {
            segment.artifacts.first().is_some_and(|first| order(first, artifact) != Ordering::Greater)
        });
        after.saturating_sub(2)..after.max(1).min(self.list.len())
    }

    /// Renders what a change around this artifact has renewed, so that no reader has to.
    pub(crate) fn render_around(&self, artifact: &Artifact) {
        self.list[self.around(artifact)].iter().for_each(|segment| {
            segment.rendered();
        });
    }

    /// `Packages` and `Packages.gz`.
    pub(crate) fn files(&self, timestamp: i64) -> Files {
        let header = Rendered::of(header(timestamp, self.artifacts), timestamp);
        let rendered: Vec<_> =
            std::iter::once(&header).chain(self.list.iter().map(|segment| segment.rendered())).collect();
        let document = |piece: fn(&Rendered) -> &Bytes, digest: fn(&Rendered) -> &Digest| {
            let mut hasher = blake3::Hasher::new();
            for piece in &rendered {
                hasher.update(digest(piece).as_bytes());
            }
            Document::of(rendered.iter().map(|one| piece(one).clone()).collect(), hasher.finalize().into())
        };
        Files {
            text: document(|one| &one.text, |one| &one.digests[0]),
            gzip: document(|one| &one.gzip, |one| &one.digests[1]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::index::{files, sort};
    use proptest::prelude::*;
    use std::collections::BTreeMap;
    use std::io::Read;

    /// One of a few artifacts; `bytes` tells those of one cpv and BUILD_ID apart.
    fn artifact(name: u8, build_id: i32, bytes: u8) -> Arc<Artifact> {
        // `a+` sorts before `a-`, and `a-1` before `a-b-1`: the order is that of the text.
        let name = ["a", "a+", "a-b", "b"][usize::from(name % 4)].repeat(usize::from(name / 4) + 1);
        Artifact::sample(&format!("test/{name}-1"), build_id, &[bytes])
    }

    fn composed(mut artifacts: Vec<Arc<Artifact>>) -> (Files, Segments) {
        sort(&mut artifacts);
        (files(7, artifacts.iter().map(AsRef::as_ref)), Segments::of(artifacts))
    }

    proptest! {
        #[test]
        fn any_sequence_of_changes_gives_the_bytes_of_the_set(
            changes in prop::collection::vec((any::<bool>(), 0..12_u8, 1..11_i32, any::<u8>()), 0..80),
        ) {
            let (mut segments, mut model) = (Segments::default(), BTreeMap::new());
            for (inserts, name, build_id, bytes) in changes {
                let artifact = artifact(name, build_id, bytes);
                let before = segments.clone();
                let seen = before.files(7);
                if inserts {
                    model.insert(artifact.path.clone(), Arc::clone(&artifact));
                    segments.insert(&artifact);
                } else {
                    model.remove(&artifact.path);
                    segments.remove(&artifact);
                }
                segments.render_around(&artifact);
                prop_assert_eq!(before.files(7), seen, "who holds a set keeps it");
                let (whole, anew) = composed(model.values().cloned().collect());
                let incremental = segments.files(7);
                prop_assert_eq!(&incremental, &anew.files(7));
                let text = incremental.text.pieces().concat();
                prop_assert_eq!(&text, &whole.text.pieces().concat());
                let gzip = incremental.gzip.pieces().concat();
                let mut unpacked = Vec::new();
                flate2::read::MultiGzDecoder::new(&gzip[..]).read_to_end(&mut unpacked).unwrap();
                prop_assert_eq!(unpacked, text);
            }
        }
    }

    #[test]
    fn a_change_renews_what_is_around_it_and_shares_the_rest() {
        let all: Vec<_> = (0..=255).map(|bytes| artifact(bytes % 12, i32::from(bytes) + 1, bytes)).collect();
        let (_, before) = composed(all);
        let mut after = before.clone();
        after.insert(&artifact(5, 1000, 1));
        let shared = after.list.iter().filter(|new| before.list.iter().any(|old| Arc::ptr_eq(old, new)));
        assert!(before.list.len() > 8, "{}", before.list.len());
        assert!(shared.count() >= after.list.len() - 2);
    }
}
