//! Bearer tokens and join tokens: random 256-bit secrets, of which only BLAKE3 hashes are stored.

use super::events::{self, NewEvent};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use serde_json::json;
use sqlx::{PgConnection, PgExecutor};
use swarm_protocol::Digest;
use swarm_protocol::admin::{NewJoinToken, NewToken, TokenEntry};
use swarm_protocol::id::{DroneId, TokenId};
use swarm_protocol::state::Role;

/// Who speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Caller {
    /// By which token.
    pub token: TokenId,
    /// What the token may do.
    pub role: Role,
    /// For which drone, where the role is that.
    pub drone: Option<DroneId>,
}

/// A fresh secret; the prefix tells people, and scanners for leaked secrets, what it is.
pub fn generate(kind: &str) -> Result<String, getrandom::Error> {
    let mut secret = [0; 32];
    getrandom::fill(&mut secret)?;
    Ok(format!("swarm-{kind}-{}", BASE64_URL_SAFE_NO_PAD.encode(secret)))
}

/// Makes a token for a person or a script.
pub async fn create(tx: &mut PgConnection, token: &str, new: &NewToken) -> sqlx::Result<()> {
    insert(&mut *tx, token, new.role, None, &new.label).await?;
    tell(tx, "token.created", new.role, &new.label).await
}

async fn tell(tx: &mut PgConnection, kind: &str, role: Role, label: &str) -> sqlx::Result<()> {
    let data = json!({ "role": role, "label": label });
    events::append(tx, NewEvent { kind, data, ..NewEvent::default() }).await
}

/// Those of people and scripts that are good, oldest first.
pub async fn list(db: impl PgExecutor<'_>, asking: TokenId) -> sqlx::Result<Vec<TokenEntry>> {
    sqlx::query_as!(
        TokenEntry,
        r#"SELECT id AS "id: TokenId", role AS "role: Role", label, created_at, id = $1 AS "own!" FROM tokens
           WHERE drone_id IS NULL AND revoked_at IS NULL ORDER BY id"#,
        asking.0
    )
    .fetch_all(db)
    .await
}

/// What became of a token that shall be revoked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Revoked {
    /// It is good no more, now or since before.
    Done,
    /// There is none.
    Unknown,
    /// It is the one that asks.
    Own,
    /// The one that asks has been revoked itself.
    Asker,
}

/// Revokes a person's or a script's token, but not the one that asks: so there is always an admin's left, whose asking it
/// was. Two that revoke each other at once take their turns at the rows of all admins' tokens, and the second is refused.
pub async fn revoke(tx: &mut PgConnection, token: TokenId, asking: TokenId) -> sqlx::Result<Revoked> {
    let admins = sqlx::query_scalar!(
        r#"SELECT id AS "id: TokenId" FROM tokens WHERE role = 'admin' AND revoked_at IS NULL ORDER BY id FOR UPDATE"#
    );
    if !admins.fetch_all(&mut *tx).await?.contains(&asking) {
        return Ok(Revoked::Asker);
    }
    if token == asking {
        return Ok(Revoked::Own);
    }
    let revoked = sqlx::query!(
        r#"UPDATE tokens SET revoked_at = swarm_now() WHERE id = $1 AND drone_id IS NULL AND revoked_at IS NULL
           RETURNING role AS "role: Role", label"#,
        token.0
    );
    if let Some(row) = revoked.fetch_optional(&mut *tx).await? {
        tell(tx, "token.revoked", row.role, &row.label).await?;
        return Ok(Revoked::Done);
    }
    let known = sqlx::query_scalar!(
        r#"SELECT EXISTS (SELECT FROM tokens WHERE id = $1 AND drone_id IS NULL) AS "known!""#,
        token.0
    );
    Ok(if known.fetch_one(tx).await? { Revoked::Done } else { Revoked::Unknown })
}

/// Stores a token.
pub async fn insert(
    db: impl PgExecutor<'_>,
    token: &str,
    role: Role,
    drone: Option<DroneId>,
    label: &str,
) -> sqlx::Result<()> {
    let hash = Digest::of(token.as_bytes()).to_string();
    sqlx::query!(
        "INSERT INTO tokens (hash, role, drone_id, label) VALUES ($1, $2, $3, $4)",
        hash,
        role as Role,
        drone.map(|drone| drone.0),
        label
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Who holds `token`, if it is known and not revoked.
pub async fn caller(db: impl PgExecutor<'_>, token: &str) -> sqlx::Result<Option<Caller>> {
    let hash = Digest::of(token.as_bytes()).to_string();
    sqlx::query_as!(
        Caller,
        r#"SELECT id AS "token: TokenId", role AS "role: Role", drone_id AS "drone: DroneId" FROM tokens WHERE hash = $1 AND revoked_at IS NULL"#,
        hash
    )
    .fetch_optional(db)
    .await
}

/// Revokes every token of a drone.
pub async fn revoke_of_drone(tx: &mut PgConnection, drone: DroneId) -> sqlx::Result<()> {
    sqlx::query!(
        "UPDATE tokens SET revoked_at = swarm_now() WHERE drone_id = $1 AND revoked_at IS NULL",
        drone.0
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Stores a join token.
pub async fn insert_join(db: impl PgExecutor<'_>, token: &str, new: &NewJoinToken) -> sqlx::Result<()> {
    let hash = Digest::of(token.as_bytes()).to_string();
    sqlx::query!(
        "INSERT INTO join_tokens (hash, trusted, expires_at, drone_name, ask, replaces)
         VALUES ($1, $2, swarm_now() + make_interval(secs => $3), $4, $5, $6)",
        hash,
        new.trusted,
        f64::from(new.ttl_seconds),
        new.name,
        new.ask,
        new.replaces
    )
    .execute(db)
    .await?;
    Ok(())
}

/// What a join token allows.
#[derive(Debug)]
pub struct Join {
    /// The token's row.
    pub id: i64,
    /// Whether the drone is trusted.
    pub trusted: bool,
    /// The only name that may use it.
    pub drone_name: Option<String>,
    /// Whether the drone waits for a person.
    pub ask: bool,
    /// Whether another machine may take the name's place.
    pub replaces: bool,
}

/// An unused, unexpired join token, locked until the transaction ends.
pub async fn lock_join(tx: &mut PgConnection, token: &str) -> sqlx::Result<Option<Join>> {
    let hash = Digest::of(token.as_bytes()).to_string();
    sqlx::query_as!(
        Join,
        "SELECT id, trusted, drone_name, ask, replaces FROM join_tokens
         WHERE hash = $1 AND used_by IS NULL AND expires_at > swarm_now() FOR UPDATE",
        hash
    )
    .fetch_optional(tx)
    .await
}

/// Marks a join token as used.
pub async fn use_join(tx: &mut PgConnection, join: i64, drone: DroneId) -> sqlx::Result<()> {
    sqlx::query!("UPDATE join_tokens SET used_by = $2 WHERE id = $1", join, drone.0).execute(tx).await?;
    Ok(())
}
