//! A browser without scripts: it signs in, reads pages, sends forms.

use crate::swarm::Swarm;
use reqwest::header::{COOKIE, HeaderMap, LOCATION, SET_COOKIE};
use reqwest::redirect::Policy;
use reqwest::{Client, RequestBuilder, Response, StatusCode};
use swarm_protocol::admin::NewToken;
use swarm_protocol::state::Role;

/// The cookie that holds the token.
const NAME: &str = "swarm_token";

/// Somebody who reads the dashboard.
pub struct Reader {
    /// Follows nothing by itself.
    pub client: Client,
    url: String,
    cookie: String,
}

/// A page as it came.
#[derive(Debug)]
pub struct Page {
    /// Its status.
    pub status: StatusCode,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its source.
    pub text: String,
}

impl Reader {
    /// Nobody: who has not signed in.
    #[must_use]
    pub fn nobody(swarm: &Swarm) -> Self {
        let client = Client::builder().redirect(Policy::none()).build().unwrap();
        Self { client, url: swarm.url(), cookie: String::new() }
    }

    /// An admin.
    pub async fn admin(swarm: &Swarm) -> Self {
        Self::sign_in(swarm, &swarm.token).await
    }

    /// Somebody with a viewer's token.
    pub async fn viewer(swarm: &Swarm) -> Self {
        let new = NewToken { role: Role::Viewer, label: "reader".to_owned() };
        let token = swarm.admin.create_token(&new).await.unwrap().token;
        Self::sign_in(swarm, &token).await
    }

    async fn sign_in(swarm: &Swarm, token: &str) -> Self {
        let mut reader = Self::nobody(swarm);
        let page = reader.send(&[("token", token)], "/sign-in").await;
        assert_eq!(page.status, StatusCode::SEE_OTHER, "{}", page.text);
        let cookie = page.headers[SET_COOKIE].to_str().unwrap();
        cookie.split(';').next().unwrap().clone_into(&mut reader.cookie);
        assert!(reader.cookie.starts_with(NAME));
        reader
    }

    /// A request for a path, with the cookie.
    pub fn request(&self, path: &str) -> RequestBuilder {
        self.client.get(format!("{}{path}", self.url)).header(COOKIE, &self.cookie)
    }

    /// Reads a page.
    pub async fn get(&self, path: &str) -> Page {
        Page::of(self.request(path).send().await.unwrap()).await
    }

    /// Reads a page that is there.
    pub async fn read(&self, path: &str) -> String {
        let page = self.get(path).await;
        assert_eq!(page.status, StatusCode::OK, "{path}: {}", page.text);
        page.text
    }

    /// Sends the fields of a form to `path`, with the form token of a page.
    pub async fn act(&self, path: &str, fields: &[(&str, &str)]) -> Page {
        let token = form_token(&self.read("/").await);
        let mut fields = fields.to_vec();
        fields.push(("form_token", &token));
        self.send(&fields, path).await
    }

    /// Sends exactly these fields.
    pub async fn send(&self, fields: &[(&str, &str)], path: &str) -> Page {
        Page::of(self.post(fields, path).send().await.unwrap()).await
    }

    /// A form as a request.
    pub fn post(&self, fields: &[(&str, &str)], path: &str) -> RequestBuilder {
        let body: Vec<_> = fields.iter().map(|(name, value)| format!("{name}={}", encoded(value))).collect();
        self.client
            .post(format!("{}{path}", self.url))
            .header(COOKIE, &self.cookie)
            .header("content-type", "application/x-www-form-urlencoded")
            .body(body.join("&"))
    }
}

fn encoded(value: &str) -> String {
    value.bytes().map(|byte| format!("%{byte:02X}")).collect::<Vec<_>>().concat()
}

/// The form token in a page.
#[must_use]
pub fn form_token(page: &str) -> String {
    let after = page.split_once("name=\"form_token\" value=\"").expect("a form").1;
    after.split_once('"').unwrap().0.to_owned()
}

impl Page {
    async fn of(response: Response) -> Self {
        let (status, headers) = (response.status(), response.headers().clone());
        Self { status, headers, text: response.text().await.unwrap() }
    }

    /// Where it leads.
    #[must_use]
    pub fn location(&self) -> &str {
        self.headers[LOCATION].to_str().unwrap()
    }

    /// Its title, its headings and what its tables are about, a line each.
    #[must_use]
    pub fn outline(&self) -> String {
        let mut lines = Vec::new();
        let mut rest = self.text.as_str();
        while let Some(start) = rest.find('<') {
            rest = &rest[start + 1..];
            let name: String = rest.chars().take_while(char::is_ascii_alphanumeric).collect();
            if ["h1", "h2", "h3", "caption", "title"].contains(&name.as_str()) {
                let inner = rest.split_once('>').unwrap().1.split_once(&format!("</{name}>")).unwrap().0;
                lines.push(format!("{name}: {}", text_of(inner)));
            }
        }
        lines.join("\n")
    }
}

/// What is left of a source without its tags.
fn text_of(source: &str) -> String {
    let mut text = String::new();
    for part in source.split('<') {
        text.push_str(part.split_once('>').map_or(part, |(_, after)| after));
    }
    text.trim().to_owned()
}
