//! The id of a request, which ties the log lines of several daemons together.

use std::fmt;
use uuid::Uuid;

/// It comes and goes in this header.
pub const HEADER: &str = "x-request-id";
/// The longest that is taken over from outside, in characters.
const LONGEST: usize = 64;

tokio::task_local! {
    static CURRENT: RequestId;
}

/// Does something on behalf of a request: what [`crate::client`] calls meanwhile has the same id.
pub async fn on_behalf<F: Future>(id: RequestId, work: F) -> F::Output {
    CURRENT.scope(id, work).await
}

/// On whose behalf this is done.
pub(crate) fn current() -> Option<RequestId> {
    CURRENT.try_with(Clone::clone).ok()
}

/// An id: up to 64 letters, digits, dots, hyphens and underscores, so that it can stand in any log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestId(String);

impl RequestId {
    /// What a client calls its request; a new id where it does not, or calls it something that no log should hold.
    #[must_use]
    pub fn of(header: Option<&[u8]>) -> Self {
        let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"._-".contains(byte);
        let given = header.filter(|id| (1..=LONGEST).contains(&id.len()) && id.iter().all(plain));
        let given = given.and_then(|id| std::str::from_utf8(id).ok());
        Self(given.map_or_else(|| Uuid::new_v4().simple().to_string(), str::to_owned))
    }

    /// As it stands in the header.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_client_says_is_taken_where_it_is_plain() {
        assert_eq!(RequestId::of(Some(b"cron_2026-11-22.7")).as_str(), "cron_2026-11-22.7");
        let long = [b'a'; LONGEST + 1];
        for wrong in [&b""[..], &long, b"a b", b"a\x1b[31m", "é".as_bytes(), b"{\"a\":1}"] {
            let id = RequestId::of(Some(wrong));
            assert_eq!(id.as_str().len(), 32, "{wrong:?}");
        }
        assert_ne!(RequestId::of(None), RequestId::of(None));
    }

    #[tokio::test]
    async fn work_knows_on_whose_behalf_it_is_done() {
        let id = RequestId::of(Some(b"cron.7"));
        assert_eq!(on_behalf(id.clone(), async { current() }).await, Some(id));
        assert_eq!(current(), None);
    }
}
