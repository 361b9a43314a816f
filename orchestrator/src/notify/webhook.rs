//! A web server that gets JSON: the whole message, or what a template makes of it. In a template every value is written as
//! JSON, so that no reason of a build can end the string that it stands in.

use super::SendError;
use super::http::{Address, Http, Post};
use super::message::Message;
use crate::config;
use anyhow::{Context, Result, ensure};
use minijinja::value::Serde;
use minijinja::{AutoEscape, Environment, UndefinedBehavior};
use std::path::PathBuf;

/// The template's name; nobody sees it but in errors.
const NAME: &str = "template";

/// A template that renders.
#[derive(Debug)]
pub struct Template(Environment<'static>);

impl Template {
    /// Compiles it, and tries it.
    pub fn new(source: &str) -> Result<Self> {
        let mut environment = Environment::new();
        environment.set_auto_escape_callback(|_| AutoEscape::Json);
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        environment.add_template_owned(NAME, source.to_owned()).context("the template is wrong")?;
        let template = Self(environment);
        let tried = template.render(&Message::test("a destination", chrono::DateTime::UNIX_EPOCH))?;
        let json = serde_json::from_slice::<serde::de::IgnoredAny>(&tried).is_ok();
        ensure!(json, "the template does not make JSON: {}", String::from_utf8_lossy(&tried));
        Ok(template)
    }

    fn render(&self, message: &Message) -> Result<Vec<u8>> {
        let template = self.0.get_template(NAME)?;
        Ok(template.render(Serde(message)).context("the template cannot be filled in")?.into_bytes())
    }
}

/// A webhook.
pub(super) struct Webhook {
    http: Http,
    address: Address,
    token_file: Option<PathBuf>,
    template: Option<Template>,
}

impl Webhook {
    pub(super) fn new(http: Http, config: &config::Webhook) -> Result<Self> {
        let address = Address::new(config.url.as_ref(), config.url_file.as_ref());
        Ok(Self {
            http,
            address: address.context("neither url nor url_file")?,
            token_file: config.token_file.clone(),
            template: config.template.as_deref().map(Template::new).transpose()?,
        })
    }

    pub(super) async fn send(&self, message: &Message) -> Result<(), SendError> {
        let body = match &self.template {
            None => serde_json::to_vec(message).map_err(|error| SendError(error.to_string()))?,
            Some(template) => template.render(message).map_err(|error| SendError(format!("{error:#}")))?,
        };
        let (to, token_file) = (self.address.read().await?, self.token_file.clone());
        self.http.post(Post { to, token_file, id: message.id.clone(), body }).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::db::destinations::Batch;
    use crate::notify::message::tests::event;
    use serde_json::json;

    #[test]
    fn no_reason_ends_the_string_that_it_stands_in() {
        let said = r#"gcc said "no", "admin": true} {{ 7 * 7 }} </script>"#;
        let batch = Batch { events: vec![event("alarm.raised", json!({ "text": said }))], count: 1, old: 0 };
        let message = Message::new("chat", 7, batch, 0);
        let template = Template::new(
            r#"{"content": {{ text }}, "color": {% if urgent %}1{% else %}0{% endif %}, "kinds": [
               {% for event in events %}{{ event.kind }}{% if not loop.last %},{% endif %}{% endfor %}]}"#,
        );
        let made: serde_json::Value =
            serde_json::from_slice(&template.unwrap().render(&message).unwrap()).unwrap();
        assert_eq!(made, json!({ "content": said, "color": 1, "kinds": ["alarm.raised"] }));
    }
}
