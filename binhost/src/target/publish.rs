//! From the built bytes to the published ones: signed, under the key that signs now.

use crate::artifact::Artifact;
use crate::blobs::{Blobs, Hold};
use crate::error::{Error, Result};
use crate::gpkg::{self, Gpkg, SignError, TarError};
use crate::signing::{KeyError, Keyring};
use swarm_protocol::binhost::Stage;
use swarm_protocol::{Code, Digest};

/// Makes the file that clients get; without keys that is the built one. A crash before the artifact has its path leaves
/// a blob that nothing refers to, which is collected.
pub(super) fn publish(
    blobs: &Blobs,
    keyring: Option<&Keyring>,
    stage: &Stage,
    package: &Gpkg,
    now: i64,
    hold: &Hold<'_>,
) -> Result<Artifact> {
    let built = blobs.modified(stage.built)?;
    let artifact = Artifact::of(package, &stage.expected.cpv, stage.expected.build_id, built);
    let Some(keyring) = keyring else { return Ok(artifact) };
    let key = keyring.signer(now)?;
    let unsigned = blobs.open_blob(stage.built)?;
    let mut file = blobs.begin()?;
    let signed = match gpkg::sign(unsigned, package.size, &package.basename, &mut file, &key, now) {
        Ok(signed) if signed.source == stage.built => signed,
        Err(SignError::Read(TarError::Io(source))) => return Err(io("read", stage.built, source)),
        Err(SignError::Write(source)) => return Err(io("write the signed form of", stage.built, source)),
        Err(SignError::OpenPgp(error)) => return Err(KeyError::from(error).into()),
        // It was verified a moment ago.
        Ok(_) | Err(SignError::Read(_)) => return Err(changed(blobs, stage.built)),
    };
    let published = signed.blake3;
    blobs.keep(file, published, hold)?;
    Ok(artifact.signed(signed, blobs.modified(published)?))
}

/// Takes bytes that are not what they were out of the way.
pub(super) fn changed(blobs: &Blobs, digest: Digest) -> Error {
    match blobs.set_aside(digest) {
        Ok(()) => {
            let detail = format!("the stored bytes of {digest} have changed; they must be uploaded again");
            Error::refused(Code::DigestMismatch, detail)
        }
        Err(error) => error,
    }
}

fn io(verb: &str, digest: Digest, source: std::io::Error) -> Error {
    Error::Io { doing: format!("cannot {verb} {digest}"), source }
}
