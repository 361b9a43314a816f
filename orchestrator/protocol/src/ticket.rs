//! Tickets: what the orchestrator allows the bearer to do at the binhost (law 11).
//!
//! The orchestrator signs with Ed25519; the binhost holds the public key only, so it verifies offline and cannot
//! make one. A ticket travels as a bearer token:
//!
//! ```text
//! Authorization: Bearer swt1.<payload>.<signature>
//! payload    base64url (no padding) of the JSON of [Ticket]
//! signature  base64url (no padding) of Ed25519 over "swt1.<payload>"
//! ```

use crate::digest::Digest;
use crate::gentoo::TargetName;
use crate::id::{AttemptId, GenerationNumber, PackageId, RunId};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD as BASE64};
use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

const PREFIX: &str = "swt1";

/// What is allowed, and until when.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Ticket {
    /// What the bearer may do.
    pub scope: Scope,
    /// Seconds since the Unix epoch from which the ticket is void.
    pub expires: i64,
}

/// What a ticket allows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "allow", rename_all = "snake_case", deny_unknown_fields)]
pub enum Scope {
    /// Upload artifacts of one attempt, and read the staging view of its run.
    Attempt {
        /// The target whose staging view may be read.
        target: TargetName,
        /// The run.
        run: RunId,
        /// The package.
        package: PackageId,
        /// The attempt.
        attempt: AttemptId,
        /// The largest upload in bytes.
        max_bytes: u64,
    },
    /// Read the staging view of a run.
    Run {
        /// The target.
        target: TargetName,
        /// The run.
        run: RunId,
    },
    /// Read a generation, whether clients see it or not.
    Generation {
        /// The target.
        target: TargetName,
        /// The generation.
        number: GenerationNumber,
    },
    /// Read these bundles; send them too, where bytes are allowed.
    Bundles {
        /// The archives.
        bundles: Vec<Digest>,
        /// The largest upload in bytes; none is no upload.
        max_bytes: Option<u64>,
    },
    /// Read source archives, and send such of at most so many bytes. It names none: what an archive must be, its
    /// Manifest says, which the orchestrator does not read.
    Distfiles {
        /// The largest upload in bytes.
        max_bytes: u64,
    },
    /// Stage, prepare, promote: the orchestrator's own calls.
    Control,
}

/// A signed ticket as it travels. Whoever has it may do what it says, so its `Debug` form must be harmless in a log.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct SignedTicket(pub String);

impl std::fmt::Debug for SignedTicket {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SignedTicket(…)")
    }
}

/// Why a ticket is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TicketError {
    /// It is not of the form above.
    #[error("the ticket is malformed")]
    Malformed,
    /// The signature is not by the orchestrator's key.
    #[error("the ticket's signature does not match")]
    Forged,
    /// It was good once.
    #[error("the ticket has expired")]
    Expired,
}

/// Signs tickets; only the orchestrator has one.
pub struct TicketSigner(SigningKey);

impl TicketSigner {
    /// The length of a secret key in bytes.
    pub const SECRET_LENGTH: usize = ed25519_dalek::SECRET_KEY_LENGTH;

    /// A signer with this secret key.
    #[must_use]
    pub fn new(secret: &[u8; Self::SECRET_LENGTH]) -> Self {
        Self(SigningKey::from_bytes(secret))
    }

    /// A fresh secret key.
    pub fn generate_secret() -> Result<[u8; Self::SECRET_LENGTH], getrandom::Error> {
        let mut secret = [0; Self::SECRET_LENGTH];
        getrandom::fill(&mut secret)?;
        Ok(secret)
    }

    /// The key that verifies what this one signs.
    #[must_use]
    pub fn verifier(&self) -> TicketVerifier {
        TicketVerifier(self.0.verifying_key())
    }

    /// The ticket as a bearer token.
    #[must_use]
    pub fn sign(&self, ticket: &Ticket) -> String {
        // A struct of strings and integers always has a JSON form.
        let payload = serde_json::to_vec(ticket).unwrap_or_default();
        let signed = format!("{PREFIX}.{}", BASE64.encode(payload));
        let signature = self.0.sign(signed.as_bytes());
        format!("{signed}.{}", BASE64.encode(signature.to_bytes()))
    }
}

/// Verifies tickets; its text form (64 hexadecimal digits) stands in the binhost's configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TicketVerifier(VerifyingKey);

impl TicketVerifier {
    /// The ticket in `bearer`, if the orchestrator signed it and it is still good at `now` (Unix seconds).
    pub fn verify(&self, bearer: &str, now: i64) -> Result<Ticket, TicketError> {
        let (signed, signature) = bearer.rsplit_once('.').ok_or(TicketError::Malformed)?;
        let payload = signed.strip_prefix(PREFIX).and_then(|rest| rest.strip_prefix('.'));
        let payload =
            BASE64.decode(payload.ok_or(TicketError::Malformed)?).map_err(|_| TicketError::Malformed)?;
        let signature = BASE64.decode(signature).map_err(|_| TicketError::Malformed)?;
        let signature = Signature::from_slice(&signature).map_err(|_| TicketError::Malformed)?;
        self.0.verify_strict(signed.as_bytes(), &signature).map_err(|_| TicketError::Forged)?;
        let ticket: Ticket = serde_json::from_slice(&payload).map_err(|_| TicketError::Malformed)?;
        if ticket.expires <= now { Err(TicketError::Expired) } else { Ok(ticket) }
    }
}

impl std::fmt::Display for TicketVerifier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.as_bytes().iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl std::str::FromStr for TicketVerifier {
    type Err = TicketError;

    fn from_str(s: &str) -> Result<Self, TicketError> {
        // 32 bytes in hexadecimal: the same text form as a digest.
        let bytes = blake3::Hash::from_hex(s).map_err(|_| TicketError::Malformed)?;
        VerifyingKey::from_bytes(bytes.as_bytes()).map(Self).map_err(|_| TicketError::Malformed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ticket() -> Ticket {
        Ticket { scope: Scope::Control, expires: 100 }
    }

    #[test]
    fn round_trip_and_expiry() {
        let signer = TicketSigner::new(&[7; 32]);
        let bearer = signer.sign(&ticket());
        let verifier: TicketVerifier = signer.verifier().to_string().parse().unwrap();
        assert_eq!(verifier.verify(&bearer, 99), Ok(ticket()));
        assert_eq!(verifier.verify(&bearer, 100), Err(TicketError::Expired));
    }

    #[test]
    fn forgeries_are_refused() {
        let bearer = TicketSigner::new(&[7; 32]).sign(&ticket());
        let verifier = TicketSigner::new(&[7; 32]).verifier();
        let other = TicketSigner::new(&[8; 32]).sign(&ticket());
        assert_eq!(verifier.verify(&other, 0), Err(TicketError::Forged));
        let longer = BASE64.encode(r#"{"scope":{"allow":"control"},"expires":999}"#);
        let signature = bearer.rsplit_once('.').unwrap().1;
        assert_eq!(verifier.verify(&format!("swt1.{longer}.{signature}"), 0), Err(TicketError::Forged));
        for wrong in ["", ".", "swt1", "swt1.", "swt1..", "swt2.e30.e30", &bearer[1..]] {
            assert_eq!(verifier.verify(wrong, 0), Err(TicketError::Malformed), "{wrong}");
        }
    }
}
