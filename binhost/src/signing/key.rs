//! One signing key: OpenPGP version 4 with Ed25519 (RFC 9580, 5.5.5.4: the "legacy" framing), which GnuPG 2.1 and later
//! verify; they do not know RFC 9580's own framing. It has one user ID, may sign and certify, and expires.
//!
//! On disk it is what `gpg --export-secret-keys --armor` writes, without a passphrase: nobody is there to type it when
//! the daemon starts at night. Its self-signature carries the expiry; extending it makes a new one, and the key stays.

use pgp::composed::{
    ArmorOptions, CleartextSignedMessage, Deserializable, DetachedSignature, SignedKeyDetails,
    SignedSecretKey,
};
use pgp::crypto::hash::HashAlgorithm;
use pgp::crypto::{ed25519, eddsa_legacy, public_key::PublicKeyAlgorithm};
use pgp::errors::Error as PgpError;
use pgp::packet::{
    KeyFlags, PubKeyInner, PublicKey, SecretKey, Signature, SignatureConfig, SignatureHasher, SignatureType,
    Subpacket, SubpacketData, UserId,
};
use pgp::ser::Serialize as _;
use pgp::types::{
    Duration, EddsaLegacyPublicParams, KeyDetails, KeyVersion, Password, PlainSecretParams, PublicParams,
    SecretParams, SignedUser, Tag, Timestamp,
};
use std::fmt;
use std::io::{self, Write};

/// The digest that Portage signs with (`make.globals`, `BINPKG_GPG_SIGNING_DIGEST`).
const HASH: HashAlgorithm = HashAlgorithm::Sha512;

/// A key that can sign.
pub(crate) struct Key {
    secret: SignedSecretKey,
    user: UserId,
    /// When its newest self-signature was made, in Unix seconds.
    certified: i64,
    expires: i64,
}

/// Why bytes are no key for us.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unfit {
    #[error("it is no OpenPGP secret key: {0}")]
    OpenPgp(#[from] PgpError),
    #[error("it is protected by a passphrase; the binhost has nobody to ask for it")]
    Passphrase,
    #[error("it is no Ed25519 key of version 4")]
    Algorithm,
    #[error("it has no user ID that it signed itself")]
    User,
    #[error("it may not sign")]
    Usage,
    #[error("it never expires; a key that nobody can withdraw must")]
    NoExpiry,
}

/// A key's fingerprint in upper-case hexadecimal, as `gpg` shows it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Fingerprint(String);

impl Fingerprint {
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Key {
    /// A new key made of 32 random bytes.
    pub(crate) fn generate(seed: [u8; 32], user: &str, now: i64, expires: i64) -> Result<Self, PgpError> {
        let secret = ed25519::SecretKey::try_from_bytes(seed, ed25519::Mode::EdDSALegacy)?;
        let public = PublicParams::EdDSALegacy(EddsaLegacyPublicParams::from(&secret));
        let public =
            PubKeyInner::new(KeyVersion::V4, PublicKeyAlgorithm::EdDSALegacy, timestamp(now), None, public)?;
        let secret = PlainSecretParams::EdDSALegacy(eddsa_legacy::SecretKey::Ed25519(secret));
        let primary = SecretKey::new(PublicKey::from_inner(public)?, SecretParams::Plain(secret))?;
        let user = UserId::from_str(pgp::types::PacketHeaderVersion::default(), user)?;
        Self::certified(primary, user, now, expires)
    }

    /// The same key with another expiry. GnuPG heeds the newest self-signature, so this one is newer than the last.
    pub(crate) fn expiring(self, now: i64, expires: i64) -> Result<Self, PgpError> {
        let now = now.max(self.certified + 1);
        Self::certified(self.secret.primary_key.clone(), self.user, now, expires)
    }

    fn certified(primary: SecretKey, user: UserId, now: i64, expires: i64) -> Result<Self, PgpError> {
        let public = primary.public_key().clone();
        let mut config = config(&primary, SignatureType::CertPositive, now)?;
        let mut flags = KeyFlags::default();
        flags.set_certify(true);
        flags.set_sign(true);
        let lifetime = expires.saturating_sub(public.created_at().as_secs().into());
        let lifetime = Duration::from_secs(u32::try_from(lifetime).unwrap_or(u32::MAX));
        config.hashed_subpackets.push(Subpacket::regular(SubpacketData::KeyFlags(flags))?);
        config.hashed_subpackets.push(Subpacket::regular(SubpacketData::KeyExpirationTime(lifetime))?);
        let signature =
            config.sign_certification(&primary, &public, &Password::empty(), Tag::UserId, &user)?;
        let users = vec![SignedUser::new(user.clone(), vec![signature])];
        let details = SignedKeyDetails::new(Vec::new(), Vec::new(), users, Vec::new());
        let secret = SignedSecretKey::new(primary, details, Vec::new(), Vec::new());
        Ok(Self { secret, user, certified: now, expires })
    }

    /// Reads what [`Key::armored_secret`] wrote.
    pub(crate) fn parse(armored: &[u8]) -> Result<Self, Unfit> {
        let (secret, _) = SignedSecretKey::from_armor_single(armored)?;
        let primary = &secret.primary_key;
        match (primary.version(), primary.secret_params()) {
            (_, SecretParams::Encrypted(_)) => return Err(Unfit::Passphrase),
            (KeyVersion::V4, SecretParams::Plain(PlainSecretParams::EdDSALegacy(_))) => {}
            _ => return Err(Unfit::Algorithm),
        }
        secret.verify_bindings()?;
        let users = secret.details.users.iter();
        let signatures = users.flat_map(|user| user.signatures.iter().map(|signature| (&user.id, signature)));
        let newest = signatures.max_by_key(|(_, signature)| signature.created());
        let (user, newest) = newest.map(|(user, signature)| (user.clone(), signature)).ok_or(Unfit::User)?;
        if !newest.key_flags().sign() {
            return Err(Unfit::Usage);
        }
        let certified = newest.created().ok_or(Unfit::User)?.as_secs().into();
        let lifetime = newest.key_expiration_time().ok_or(Unfit::NoExpiry)?.as_secs();
        let expires = i64::from(primary.created_at().as_secs()) + i64::from(lifetime);
        Ok(Self { secret, user, certified, expires })
    }

    pub(crate) fn fingerprint(&self) -> Fingerprint {
        Fingerprint(format!("{:X}", self.secret.fingerprint()))
    }

    /// When it was made, in Unix seconds.
    pub(crate) fn created(&self) -> i64 {
        self.secret.primary_key.created_at().as_secs().into()
    }

    /// The first moment at which it no longer is valid, in Unix seconds.
    pub(crate) fn expires(&self) -> i64 {
        self.expires
    }

    /// When what [`Key::armored_public`] gives last changed, in Unix seconds.
    pub(crate) fn changed(&self) -> i64 {
        self.certified
    }

    /// For the disk and nothing else.
    pub(crate) fn armored_secret(&self) -> Result<Vec<u8>, PgpError> {
        self.secret.to_armored_bytes(ArmorOptions::default())
    }

    /// For everybody.
    pub(crate) fn armored_public(&self) -> Result<String, PgpError> {
        self.secret.to_public_key().to_armored_string(ArmorOptions::default())
    }

    /// Begins a detached signature of what will be written to it.
    pub(crate) fn detached(&self, now: i64) -> Result<Detached<'_>, PgpError> {
        let hasher = config(&self.secret.primary_key, SignatureType::Binary, now)?.into_hasher()?;
        Ok(Detached { key: self, hasher })
    }

    /// The clear-signed form of a text. As gpg's, it does not cover the last line's end.
    pub(crate) fn clear_signed(&self, text: &str, now: i64) -> Result<String, PgpError> {
        let key = &self.secret.primary_key;
        let text = text.strip_suffix('\n').unwrap_or(text);
        let config = config(key, SignatureType::Text, now)?;
        let signed = CleartextSignedMessage::new(text, config, key, &Password::empty())?;
        signed.to_armored_string(ArmorOptions::default())
    }
}

/// A detached signature in the making.
pub(crate) struct Detached<'a> {
    key: &'a Key,
    hasher: SignatureHasher,
}

impl Detached<'_> {
    pub(crate) fn update(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.hasher.write_all(bytes)
    }

    /// The signature packet, not armored, as `gpg --detach-sig` writes it.
    pub(crate) fn finish(self) -> Result<Vec<u8>, PgpError> {
        let signature: Signature = self.hasher.sign(&self.key.secret.primary_key, &Password::empty())?;
        DetachedSignature::new(signature).to_bytes()
    }
}

/// What every signature says: when, by whom, over SHA-512.
fn config(key: &SecretKey, kind: SignatureType, now: i64) -> Result<SignatureConfig, PgpError> {
    let mut config = SignatureConfig::v4(kind, key.algorithm(), HASH);
    config.hashed_subpackets = vec![
        Subpacket::regular(SubpacketData::IssuerFingerprint(key.fingerprint()))?,
        Subpacket::regular(SubpacketData::SignatureCreationTime(timestamp(now)))?,
    ];
    config.unhashed_subpackets = vec![Subpacket::regular(SubpacketData::IssuerKeyId(key.legacy_key_id()))?];
    Ok(config)
}

/// OpenPGP counts seconds in 32 bits, until 2106.
fn timestamp(seconds: i64) -> Timestamp {
    Timestamp::from_secs(u32::try_from(seconds.max(0)).unwrap_or(u32::MAX))
}
