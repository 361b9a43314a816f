//! Errors as clients see them: `application/problem+json` (RFC 9457) with a stable `code`.
//!
//! ```json
//! {"type":"about:blank","title":"Stale report","status":409,"code":"stale_report","detail":"attempt 7 has ended"}
//! ```
//!
//! Programs branch on `code`; people read `detail`. Internals never appear in either.

use crate::resolution::Finding;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The media type of a [`Problem`].
pub const MEDIA_TYPE: &str = "application/problem+json";

macro_rules! codes {
    ($($(#[$doc:meta])* $variant:ident = $text:literal $status:literal $title:literal,)*) => {
        /// The stable error codes of the orchestrator and the binhost.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
        pub enum Code { $( $(#[$doc])* #[serde(rename = $text)] $variant, )* }

        impl Code {
            /// Every code.
            pub const ALL: &[Self] = &[$(Self::$variant),*];
            /// The code's spelling.
            #[must_use]
            pub const fn as_str(self) -> &'static str { match self { $(Self::$variant => $text,)* } }
            /// The HTTP status that goes with it.
            #[must_use]
            pub const fn status(self) -> u16 { match self { $(Self::$variant => $status,)* } }
            /// A short title.
            #[must_use]
            pub const fn title(self) -> &'static str { match self { $(Self::$variant => $title,)* } }
        }
    };
}

codes! {
    /// The body is not the JSON that the call documents.
    InvalidBody = "invalid_body" 400 "Invalid body",
    /// A value in the path, the query or the body is out of its domain.
    InvalidValue = "invalid_value" 422 "Invalid value",
    /// The body is larger than the call allows.
    TooLarge = "too_large" 413 "Too large",
    /// No token, or one that is not known.
    Unauthenticated = "unauthenticated" 401 "Not authenticated",
    /// The token's role may not do this.
    Forbidden = "forbidden" 403 "Forbidden",
    /// There is no such thing.
    NotFound = "not_found" 404 "Not found",
    /// The path exists, the method does not.
    MethodNotAllowed = "method_not_allowed" 405 "Method not allowed",
    /// The report's attempt, token or session is not the live one.
    StaleReport = "stale_report" 409 "Stale report",
    /// The session is not the drone's current one.
    StaleSession = "stale_session" 409 "Stale session",
    /// The state does not allow this.
    WrongState = "wrong_state" 409 "Wrong state",
    /// It exists already, and differs.
    Conflict = "conflict" 409 "Conflict",
    /// The drone's protocol version is not spoken here.
    ProtocolVersion = "protocol_version" 409 "Protocol version",
    /// The plan's waits form a cycle that is not staged.
    PlanCycle = "plan_cycle" 422 "Cycle in the plan",
    /// The upload's bytes do not have the digest they were addressed by.
    DigestMismatch = "digest_mismatch" 422 "Digest mismatch",
    /// The upload is no well-formed binary package.
    InvalidPackage = "invalid_package" 422 "Invalid binary package",
    /// The package is well formed, but not what was asked for.
    UnexpectedPackage = "unexpected_package" 422 "Unexpected binary package",
    /// The set of a generation needs what it does not have, or cannot be installed together; the findings say what.
    BrokenSet = "broken_set" 422 "Broken set",
    /// The published path already names other bytes (law 9).
    PathUsed = "path_used" 409 "Path already used",
    /// The generation expected to be current is not.
    NotCurrent = "not_current" 409 "Another generation is current",
    /// The binhost has no key that it can sign packages with; a person must see to it.
    SigningKey = "signing_key" 503 "No signing key",
    /// It was there, and is kept no longer.
    Gone = "gone" 410 "Gone",
    /// The range asked for lies behind the end.
    RangeNotSatisfiable = "range_not_satisfiable" 416 "Range not satisfiable",
    /// What the client has, or wants, is another version than the one there is.
    PreconditionFailed = "precondition_failed" 412 "Precondition failed",
    /// There is no room to write.
    DiskFull = "disk_full" 507 "Disk full",
    /// A part that is needed does not answer; try again.
    Unavailable = "unavailable" 503 "Unavailable",
    /// A defect or a fault of the machine; the log has the details.
    Internal = "internal" 500 "Internal error",
}

/// An error as it travels.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Problem {
    /// Always `about:blank`: the code says it all.
    #[serde(rename = "type")]
    pub kind: String,
    /// The code's title.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// What programs branch on.
    pub code: Code,
    /// A sentence for people.
    pub detail: String,
    /// One by one, what a whole set is refused for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub findings: Vec<Finding>,
}

impl Problem {
    /// The problem `code`, explained by `detail`.
    #[must_use]
    pub fn new(code: Code, detail: impl Into<String>) -> Self {
        Self {
            kind: "about:blank".to_owned(),
            title: code.title().to_owned(),
            status: code.status(),
            code,
            detail: detail.into(),
            findings: vec![],
        }
    }

    /// With what a whole set is refused for.
    #[must_use]
    pub fn with_findings(self, findings: Vec<Finding>) -> Self {
        Self { findings, ..self }
    }
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ({})", self.detail, self.code.as_str())
    }
}

impl std::error::Error for Problem {}
