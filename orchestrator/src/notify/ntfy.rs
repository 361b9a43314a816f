//! A topic of an ntfy server, published as JSON to the server's root, so that no text has to fit into a header.

use super::SendError;
use super::http::{Address, Http, Post};
use super::message::Message;
use crate::config;
use anyhow::{Context, Result};
use axum::http::Uri;
use serde_json::json;
use std::path::PathBuf;

/// What ntfy shows as a message; a longer one becomes an attachment.
const LONGEST_BYTES: usize = 4096;

/// A topic.
pub(super) struct Ntfy {
    http: Http,
    address: Address,
    token_file: Option<PathBuf>,
    priority: Option<u8>,
    tags: Vec<String>,
}

impl Ntfy {
    pub(super) fn new(http: Http, config: &config::Ntfy) -> Result<Self> {
        let address = Address::new(config.url.as_ref(), config.url_file.as_ref());
        Ok(Self {
            http,
            address: address.context("neither url nor url_file")?,
            token_file: config.token_file.clone(),
            priority: config.priority,
            tags: config.tags.clone(),
        })
    }

    pub(super) async fn send(&self, message: &Message) -> Result<(), SendError> {
        let url = self.address.read().await?;
        let (to, topic) = topic(&url).map_err(|error| SendError(error.to_string()))?;
        let priority = self.priority.unwrap_or(if message.urgent { 4 } else { 3 });
        let mut text = message.text.clone();
        text.truncate(text.floor_char_boundary(LONGEST_BYTES));
        let body = json!({
            "topic": topic,
            "title": message.title,
            "message": text,
            "priority": priority,
            "tags": self.tags,
        });
        let token_file = self.token_file.clone();
        self.http
            .post(Post { to, token_file, id: message.id.clone(), body: body.to_string().into_bytes() })
            .await
    }
}

/// The server's root and the topic: the last part of the URL's path.
pub(crate) fn topic(url: &Uri) -> Result<(Uri, String)> {
    let (root, topic) = url.path().rsplit_once('/').unwrap_or_default();
    let named = Some(topic).filter(|topic| !topic.is_empty() && url.query().is_none());
    let topic = named.context("the url must end with a topic, as in https://ntfy.sh/topic")?.to_owned();
    let parts = Uri::builder()
        .scheme(url.scheme_str().unwrap_or_default())
        .authority(url.authority().map_or("", |authority| authority.as_str()));
    Ok((parts.path_and_query(format!("{root}/")).build()?, topic))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_topic_is_the_end_of_its_url() {
        for (url, root, name) in [
            ("https://ntfy.sh/swarm", "https://ntfy.sh/", "swarm"),
            ("http://box:8080/ntfy/swarm", "http://box:8080/ntfy/", "swarm"),
        ] {
            let (to, topic) = topic(&url.parse().unwrap()).unwrap();
            assert_eq!((to.to_string().as_str(), topic.as_str()), (root, name));
        }
        assert!(topic(&"https://ntfy.sh/".parse().unwrap()).is_err());
    }
}
