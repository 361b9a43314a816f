//! BLAKE3 digests, written as 64 lower-case hexadecimal digits. They address artifacts and name epochs.

use crate::schema::text_schema;
use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

/// A BLAKE3 digest of 32 bytes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Digest([u8; 32]);

text_schema!(Digest, "A BLAKE3 digest", "^[0-9a-f]{64}$");

/// A text that is no digest.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a BLAKE3 digest is 64 lower-case hexadecimal digits")]
pub struct InvalidDigest;

impl Digest {
    /// The digest of `bytes`.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        blake3::hash(bytes).into()
    }

    /// The bytes themselves.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl From<blake3::Hash> for Digest {
    fn from(hash: blake3::Hash) -> Self {
        Self(*hash.as_bytes())
    }
}

impl FromStr for Digest {
    type Err = InvalidDigest;

    fn from_str(s: &str) -> Result<Self, InvalidDigest> {
        let canonical = s.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        let hash = blake3::Hash::from_hex(s).map_err(|_| InvalidDigest)?;
        canonical.then_some(hash.into()).ok_or(InvalidDigest)
    }
}

impl TryFrom<String> for Digest {
    type Error = InvalidDigest;
    fn try_from(s: String) -> Result<Self, InvalidDigest> {
        s.parse()
    }
}

impl From<Digest> for String {
    fn from(digest: Digest) -> Self {
        digest.to_string()
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&blake3::Hash::from(self.0).to_hex())
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Digest({self})")
    }
}

#[cfg(feature = "sqlx")]
mod postgres {
    //! A digest is a `text` column: readable in psql, compared bytewise.
    use super::Digest;
    use sqlx::postgres::{PgArgumentBuffer, PgHasArrayType, PgTypeInfo, PgValueRef, Postgres};

    impl sqlx::Type<Postgres> for Digest {
        fn type_info() -> PgTypeInfo {
            <String as sqlx::Type<Postgres>>::type_info()
        }
        fn compatible(ty: &PgTypeInfo) -> bool {
            <String as sqlx::Type<Postgres>>::compatible(ty)
        }
    }

    impl PgHasArrayType for Digest {
        fn array_type_info() -> PgTypeInfo {
            <String as PgHasArrayType>::array_type_info()
        }
    }

    impl sqlx::Encode<'_, Postgres> for Digest {
        fn encode_by_ref(
            &self,
            buffer: &mut PgArgumentBuffer,
        ) -> Result<sqlx::encode::IsNull, sqlx::error::BoxDynError> {
            sqlx::Encode::<Postgres>::encode_by_ref(&self.to_string(), buffer)
        }
    }

    impl sqlx::Decode<'_, Postgres> for Digest {
        fn decode(value: PgValueRef<'_>) -> Result<Self, sqlx::error::BoxDynError> {
            Ok(<&str as sqlx::Decode<Postgres>>::decode(value)?.parse()?)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_form_is_strict() {
        let digest = Digest::of(b"zlib");
        assert_eq!(digest.to_string().parse::<Digest>(), Ok(digest));
        for wrong in ["", "00", &"g".repeat(64), &"A".repeat(64), &"a".repeat(65)] {
            assert_eq!(wrong.parse::<Digest>(), Err(InvalidDigest), "{wrong}");
        }
    }
}
