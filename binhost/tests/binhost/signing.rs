//! Signatures and keys, checked with an OpenPGP library; `tests/tests/signatures.rs` asks real Portage and GnuPG.

use crate::harness::*;
use crate::package::Package;
use build_binhost::signing::KeyCommand;
use pgp::composed::{CleartextSignedMessage, Deserializable, DetachedSignature, SignedPublicKey};
use pgp::types::KeyDetails;
use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use swarm_protocol::Code;
use swarm_protocol::binhost::Staged;

const DAY: i64 = 86_400;

/// The members of a container by their names without the directory, in order.
fn members(bytes: &[u8]) -> Vec<(String, Vec<u8>)> {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("package");
    fs::write(&file, bytes).unwrap();
    let tar = |arguments: &[&str]| {
        let output = Command::new("tar").arg("-f").arg(&file).args(arguments).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        output.stdout
    };
    let names = String::from_utf8(tar(&["--list"])).unwrap();
    let member = |name: &str| {
        let file = name.rsplit('/').next().unwrap().to_owned();
        (file, tar(&["--extract", "--to-stdout", name]))
    };
    names.lines().map(member).collect()
}

fn keys(armored: &str) -> Vec<SignedPublicKey> {
    let blocks = armored.split_inclusive("-----END PGP PUBLIC KEY BLOCK-----\n");
    blocks.map(|block| SignedPublicKey::from_string(block).unwrap().0).collect()
}

/// The fingerprints that signed a package, the members' and the Manifest's, all of which must be good.
fn signers(bytes: &[u8], keys: &[SignedPublicKey]) -> Vec<String> {
    let members: BTreeMap<_, _> = members(bytes).into_iter().collect();
    let signed = |file: &str| {
        let signature = DetachedSignature::from_bytes(&members[&format!("{file}.sig")][..]).unwrap();
        keys.iter().find(|key| signature.verify(&key.primary_key, &members[file]).is_ok())
    };
    let text = std::str::from_utf8(&members["Manifest"]).unwrap();
    let (manifest, _) = CleartextSignedMessage::from_string(text).unwrap();
    let manifest = keys.iter().find(|key| manifest.verify(&key.primary_key).is_ok());
    let all = [signed("metadata.tar.zst"), signed("image.tar.zst"), manifest];
    all.into_iter().map(|key| format!("{:X}", key.expect("a known key").fingerprint())).collect()
}

impl Binhost {
    async fn keys(&self) -> Vec<SignedPublicKey> {
        keys(&self.text("/binhost/amd64/key.asc").await.unwrap())
    }

    async fn file(&self, staged: &Staged) -> Vec<u8> {
        let file = self.drone().staging(&target(), RUN, &staged.path).await.unwrap();
        file.bytes().await.unwrap().to_vec()
    }

    fn key(&self, command: KeyCommand) -> Result<String, String> {
        command.run(&self.path(""), self.now()).map_err(|error| error.to_string())
    }

    async fn stage_of(&self, number: i64) -> Result<Staged, swarm_protocol::client::ClientError> {
        let cpv = format!("dev-libs/lib{number}-1.0");
        let built = self.upload(&Package::new(&cpv, 1)).await;
        self.stage(number, number, built, expected(&cpv, 1)).await
    }
}

#[tokio::test]
async fn what_is_staged_is_signed_and_otherwise_as_built() {
    let binhost = Binhost::start().await;
    for (number, basename) in [(2, "zlib-1.3.1-2"), (3, "zlib-1.3.1")] {
        let package = Package::new("sys-libs/zlib-1.3.1", number).basename(basename).signed();
        let built = binhost.upload(&package).await;
        let package_id = number.into();
        let staged =
            binhost.stage(package_id, 1, built, expected("sys-libs/zlib-1.3.1", number)).await.unwrap();
        assert_ne!(staged.published, built);
        let bytes = binhost.file(&staged).await;
        let (before, after) = (members(&package.bytes()), members(&bytes));
        let names: Vec<_> = after.iter().map(|(name, _)| name.as_str()).collect();
        let order = [
            "gpkg-1",
            "metadata.tar.zst",
            "metadata.tar.zst.sig",
            "image.tar.zst",
            "image.tar.zst.sig",
            "Manifest",
        ];
        assert_eq!(names, order);
        for index in [1, 3] {
            assert_eq!(before[index], after[index], "the archives stay as they were built");
            assert_ne!(before[index + 1], after[index + 1], "the drone's signatures do not");
        }
        let read = build_binhost::gpkg::read(&bytes[..]).unwrap();
        assert_eq!((read.blake3, read.size, &*read.basename), (staged.published, staged.size, basename));
        let keys = binhost.keys().await;
        assert_eq!(signers(&bytes, &keys), vec![format!("{:X}", keys[0].fingerprint()); 3]);
        let index = binhost.staging().await;
        for (key, value) in [("MD5", read.md5), ("SHA1", read.sha1), ("SIZE", read.size.to_string())] {
            assert!(values(&index, key).contains(&value), "{key}: {value} in {index}");
        }
    }
}

#[tokio::test]
async fn signing_twice_gives_one_file() {
    let binhost = Binhost::start().await;
    let built = binhost.upload(&Package::zlib()).await;
    let (one, two) = tokio::join!(binhost.stage(1, 1, built, zlib()), binhost.stage(1, 1, built, zlib()));
    let first = one.unwrap();
    assert_eq!(two.unwrap(), first);
    binhost.clock.set(NOW + 60);
    assert_eq!(binhost.stage(1, 1, built, zlib()).await.unwrap(), first);
    assert_eq!(
        binhost.stage(1, 2, built, zlib()).await.unwrap(),
        first,
        "a later attempt with the same bytes"
    );
    let binhost = binhost.restart(|_| {}).await.unwrap();
    assert_eq!(binhost.stage(1, 2, built, zlib()).await.unwrap(), first);
}

#[tokio::test]
async fn a_key_is_made_once_and_is_nobody_elses() {
    let binhost = Binhost::start().await;
    let keys = binhost.path("keys");
    let mode = |path: &Path| fs::symlink_metadata(path).unwrap().permissions().mode() & 0o777;
    let name = format!("{:X}.asc", binhost.keys().await[0].fingerprint());
    assert_eq!(names(&keys), [name.as_str(), "signing"]);
    assert_eq!((mode(&keys), mode(&keys.join(&name))), (0o700, 0o600));
    for path in ["keys/signing", "../keys/signing", "..%2fkeys%2fsigning"] {
        assert_eq!(binhost.get(&format!("/binhost/amd64/{path}")).await.status(), 404);
    }
    let binhost = binhost.restart(|_| {}).await.unwrap();
    assert_eq!(names(&keys), [name.as_str(), "signing"], "the next start makes no other");
    // Half made, as a power cut leaves it.
    let half = |root: &Path| {
        fs::remove_file(root.join("keys/signing")).unwrap();
        fs::write(root.join("keys/.key.new"), "half").unwrap();
    };
    let binhost = binhost.restart(half).await.unwrap();
    binhost.stage_of(1).await.unwrap();
}

#[tokio::test]
async fn keys_that_are_not_as_they_must_be_are_refused_at_the_start() {
    type Edit = fn(&Path, &Path);
    let edits: [(Edit, &str); 6] = [
        (|_, key| fs::set_permissions(key, Permissions::from_mode(0o640)).unwrap(), "chmod 600"),
        (|keys, _| fs::set_permissions(keys, Permissions::from_mode(0o755)).unwrap(), "chmod 700"),
        (|_, key| fs::remove_file(key).unwrap(), "names no key beside it"),
        (|_, key| fs::write(key, "no key").unwrap(), "no OpenPGP secret key"),
        (|keys, key| fs::rename(key, keys.join("other.asc")).unwrap(), "another fingerprint"),
        (
            |keys, _| std::os::unix::fs::chown(keys, Some(65534), None).unwrap(),
            "belongs to the account 65534",
        ),
    ];
    for (edit, said) in edits {
        let binhost = Binhost::start().await;
        let key = format!("{:X}.asc", binhost.keys().await[0].fingerprint());
        let edit = |root: &Path| edit(&root.join("keys"), &root.join("keys").join(key));
        let error = format!("{:#}", binhost.restart(edit).await.err().expect(said));
        assert!(error.contains(said), "{error:?} does not say {said:?}");
    }
}

#[tokio::test]
async fn a_key_that_is_lost_while_the_binhost_runs_stops_staging_alone() {
    let binhost = Binhost::start().await;
    let staged = binhost.stage_of(1).await.unwrap();
    fs::rename(binhost.path("keys"), binhost.path("elsewhere")).unwrap();
    let error = binhost.stage_of(2).await.unwrap_err();
    assert_eq!(error.code(), Some(Code::SigningKey));
    assert!(!error.to_string().contains("keys"), "no paths for clients: {error}");
    assert_eq!(problem(binhost.get("/readyz").await).await.code, Code::SigningKey);
    assert!(!binhost.file(&staged).await.is_empty());
    assert_eq!(binhost.stage_of(1).await.unwrap(), staged, "what is staged is answered without a key");
    fs::rename(binhost.path("elsewhere"), binhost.path("keys")).unwrap();
    binhost.stage_of(2).await.unwrap();
    assert!(names(&binhost.path("uploads")).is_empty());
}

#[tokio::test]
async fn the_end_of_a_key_is_announced_and_put_off() {
    let binhost = Binhost::start().await;
    let key = format!("{:X}", binhost.keys().await[0].fingerprint());
    assert_eq!(binhost.orchestrator().ready().await.unwrap().status, "ready");
    binhost.clock.set(NOW + 701 * DAY);
    let ready = binhost.orchestrator().ready().await.unwrap();
    let said = format!("the key {key}, which signs packages, expires on ");
    assert!(ready.status == "degraded" && ready.degraded[0].starts_with(&said), "{ready:?}");
    binhost.clock.set(NOW + 730 * DAY);
    assert_eq!(code(binhost.stage_of(1).await), Code::SigningKey);
    assert_eq!(binhost.get("/readyz").await.status(), 503);
    assert!(binhost.key(KeyCommand::List).unwrap().contains("expired"));
    binhost.key(KeyCommand::Extend { key: key[24..].to_lowercase(), days: 90 }).unwrap();
    assert!(binhost.orchestrator().ready().await.unwrap().degraded.is_empty());
    let staged = binhost.stage_of(1).await.unwrap();
    let keys = binhost.keys().await;
    assert_eq!(format!("{:X}", keys[0].fingerprint()), key, "it is the same key");
    assert_eq!(signers(&binhost.file(&staged).await, &keys), vec![key.clone(); 3]);
    binhost.clock.set(NOW - 1);
    assert_eq!(code(binhost.stage_of(2).await), Code::SigningKey, "clients would take it for made too early");
}

#[tokio::test]
async fn keys_are_rotated_with_an_overlap() {
    let binhost = Binhost::start().await;
    let one = format!("{:X}", binhost.keys().await[0].fingerprint());
    assert!(binhost.key(KeyCommand::Remove { key: one.clone() }).unwrap_err().contains("first let another"));
    let made = binhost.key(KeyCommand::Create { days: 400 }).unwrap();
    let two = made.split(' ').next().unwrap().to_owned();
    let both = binhost.keys().await;
    let signed_by = async |number| {
        let staged = binhost.stage_of(number).await.unwrap();
        signers(&binhost.file(&staged).await, &both).remove(0)
    };
    assert_eq!(both.len(), 2, "published before it signs");
    assert_eq!(signed_by(1).await, one);
    binhost.key(KeyCommand::Use { key: two.clone() }).unwrap();
    assert_eq!(signed_by(2).await, two);
    let list = binhost.key(KeyCommand::List).unwrap();
    assert!(list.contains(&format!("{two}  signs")) && list.contains(&format!("{one}  published")), "{list}");
    let exported = binhost.key(KeyCommand::Export).unwrap();
    assert_eq!(exported, binhost.text("/binhost/amd64/key.asc").await.unwrap());
    assert!(!exported.contains("PRIVATE"));
    binhost.key(KeyCommand::Remove { key: one }).unwrap();
    assert_eq!(binhost.keys().await.len(), 1);
    assert_eq!(signed_by(3).await, two);
    for (command, said) in [
        (KeyCommand::Use { key: "00000000".to_owned() }, "0 keys end in"),
        (KeyCommand::Create { days: 0 }, "no key can be valid for 0 days"),
        (KeyCommand::Extend { key: two, days: u32::MAX }, "no key can be valid"),
    ] {
        let error = binhost.key(command).unwrap_err();
        assert!(error.contains(said), "{error:?} does not say {said:?}");
    }
}

#[tokio::test]
async fn without_signing_packages_stay_as_built() {
    let binhost = Binhost::configured("[signing]\nenabled = false", |_| {}).await;
    let built = binhost.upload(&Package::zlib()).await;
    assert_eq!(binhost.stage(1, 1, built, zlib()).await.unwrap().published, built);
    assert!(!binhost.path("keys").exists());
    assert_eq!(binhost.get("/binhost/amd64/key.asc").await.status(), 404);
    assert!(binhost.text("/binhost/amd64/binrepos.conf").await.unwrap().contains("verify-signature = false"));
}

#[tokio::test]
async fn a_client_is_told_where_and_how() {
    let binhost = Binhost::start().await;
    let lines = |uri: &str| format!("[swarm]\npriority = 10\nsync-uri = {uri}\nverify-signature = true\n");
    let path = "/binhost/amd64/binrepos.conf";
    let said = binhost.text(path).await.unwrap();
    assert_eq!(said, lines(&format!("{}/binhost/amd64", binhost.base())));
    for host in ["a b", "a\"b", "user@host", ""] {
        let response = binhost.request(reqwest::Method::GET, path).header("Host", host).send().await.unwrap();
        assert!(response.status().is_client_error(), "{host}: {}", response.status());
    }
    assert_eq!(binhost.get("/binhost/..%2f/key.asc").await.status(), 422);
    let proxied = Binhost::configured("public_url = \"https://bin.example.org/gentoo/\"", |_| {}).await;
    let uri = "https://bin.example.org/gentoo/binhost/amd64";
    assert_eq!(proxied.text(path).await.unwrap(), lines(uri));
    let again = proxied.get("/binhost/amd64/key.asc").await;
    let tag = again.headers()["etag"].clone();
    let request =
        proxied.request(reqwest::Method::GET, "/binhost/amd64/key.asc").header("If-None-Match", tag);
    assert_eq!(request.send().await.unwrap().status(), 304);
}
