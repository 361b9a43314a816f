//! The style, the script and the icon: compiled in, at paths that contain their hash, so that a browser keeps them for
//! good and never has one of another version than the page.

use super::error::PageError;
use axum::extract::Path;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use std::sync::LazyLock;

/// A file of ours.
pub(super) struct Asset {
    media_type: &'static str,
    text: &'static str,
    name: String,
}

impl Asset {
    fn new(name: &str, media_type: &'static str, text: &'static str) -> Self {
        let hash = blake3::hash(text.as_bytes()).to_hex();
        Self { media_type, text, name: format!("{}-{name}", &hash[..16]) }
    }

    /// Where it is.
    pub(super) fn path(&self) -> String {
        format!("/assets/{}", self.name)
    }
}

/// How pages look.
pub(super) static STYLE: LazyLock<Asset> =
    LazyLock::new(|| Asset::new("style.css", "text/css; charset=utf-8", include_str!("assets/style.css")));
/// What renews them.
pub(super) static LIVE: LazyLock<Asset> =
    LazyLock::new(|| Asset::new("live.js", "text/javascript; charset=utf-8", include_str!("assets/live.js")));
/// What browsers show in a tab.
pub(super) static ICON: LazyLock<Asset> =
    LazyLock::new(|| Asset::new("icon.svg", "image/svg+xml", include_str!("assets/icon.svg")));

/// One of them; nothing of them is secret.
pub(super) async fn serve(Path(name): Path<String>) -> Response {
    match [&*STYLE, &*LIVE, &*ICON].into_iter().find(|asset| asset.name == name) {
        Some(asset) => {
            let headers =
                [(CONTENT_TYPE, asset.media_type), (CACHE_CONTROL, "public, max-age=31536000, immutable")];
            (headers, asset.text).into_response()
        }
        None => PageError::not_found("file").into_response(),
    }
}
