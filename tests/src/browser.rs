//! A real browser: Debian's Chromium, driven by its chromedriver over `WebDriver` (W3C). The few commands that tests need are
//! JSON over HTTP.

use crate::port::Port;
use crate::process::Process;
use crate::wait;
use base64::{Engine, prelude::BASE64_STANDARD};
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::process::Command;
use std::time::Duration;
use tempfile::TempDir;

/// How an element is named in answers (W3C `WebDriver`, 12).
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

/// A window of a browser that ends with the test.
pub struct Browser {
    client: reqwest::Client,
    session: String,
    _driver: Process,
    _directory: TempDir,
    _port: Port,
}

impl Browser {
    /// A fresh browser with a window of this size.
    pub async fn open(width: u32, height: u32) -> Self {
        let directory = tempfile::Builder::new().prefix("swarm-browser.").tempdir().unwrap();
        let port = Port::reserve(Ipv4Addr::LOCALHOST.into());
        let mut command = Command::new("chromedriver");
        command.arg(format!("--port={}", port.address.port())).env("HOME", directory.path());
        let driver = Process::start(&mut command, &directory.path().join("driver.log"));
        let client = reqwest::Client::builder().timeout(Duration::from_mins(1)).build().unwrap();
        let url = format!("http://{}", port.address);
        wait::until(30, "chromedriver to be ready", async || {
            let status: Value = client.get(format!("{url}/status")).send().await.ok()?.json().await.ok()?;
            status["value"]["ready"].as_bool().filter(|ready| *ready)
        })
        .await;
        let profile = directory.path().join("profile");
        let arguments = json!([
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--disable-dev-shm-usage",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--disable-default-apps",
            "--force-color-profile=srgb",
            format!("--window-size={width},{height}"),
            format!("--user-data-dir={}", profile.display()),
        ]);
        let wanted = json!({ "capabilities": { "alwaysMatch": {
            "browserName": "chrome",
            "goog:loggingPrefs": { "browser": "ALL" },
            "goog:chromeOptions": { "args": arguments },
        } } });
        let answer = client.post(format!("{url}/session")).json(&wanted).send().await.unwrap();
        let answer: Value = answer.json().await.unwrap();
        let id = answer["value"]["sessionId"].as_str().unwrap_or_else(|| panic!("no session: {answer}"));
        let session = format!("{url}/session/{id}");
        Self { client, session, _driver: driver, _directory: directory, _port: port }
    }

    async fn command(&self, path: &str, body: Value) -> Value {
        let answer = self.client.post(format!("{}/{path}", self.session)).json(&body).send().await.unwrap();
        let answer: Value = answer.json().await.unwrap();
        assert!(answer["value"]["error"].is_null(), "{path} {body}: {}", answer["value"]);
        answer["value"].clone()
    }

    /// Opens a page.
    pub async fn go(&self, url: &str) {
        self.command("url", json!({ "url": url })).await;
    }

    /// What a script gives.
    pub async fn run(&self, script: &str) -> Value {
        self.command("execute/sync", json!({ "script": script, "args": [] })).await
    }

    /// Waits until a script gives something that is neither null nor false.
    pub async fn until(&self, what: &str, script: &str) -> Value {
        wait::until(30, what, async || {
            Some(self.run(script).await).filter(|value| !value.is_null() && *value != Value::Bool(false))
        })
        .await
    }

    async fn element(&self, selector: &str) -> String {
        let found = self.command("element", json!({ "using": "css selector", "value": selector })).await;
        found[ELEMENT].as_str().unwrap().to_owned()
    }

    /// Clicks what a selector finds first.
    pub async fn click(&self, selector: &str) {
        let element = self.element(selector).await;
        self.command(&format!("element/{element}/click"), json!({})).await;
    }

    /// Types into what a selector finds first.
    pub async fn type_into(&self, selector: &str, text: &str) {
        let element = self.element(selector).await;
        self.command(&format!("element/{element}/value"), json!({ "text": text })).await;
    }

    /// Presses a key, as `WebDriver` names it.
    pub async fn press(&self, key: char) {
        let actions = json!([{ "type": "keyDown", "value": key }, { "type": "keyUp", "value": key }]);
        self.command("actions", json!({ "actions": [{ "type": "key", "id": "keys", "actions": actions }] }))
            .await;
    }

    /// From now on the window is that of a telephone, which has no scroll bars.
    pub async fn telephone(&self, width: u32, height: u32) {
        let metrics = json!({ "width": width, "height": height, "deviceScaleFactor": 2, "mobile": true });
        self.emulate("Emulation.setDeviceMetricsOverride", metrics).await;
    }

    /// From now on dark colours are preferred.
    pub async fn dark(&self) {
        let features = json!({ "features": [{ "name": "prefers-color-scheme", "value": "dark" }] });
        self.emulate("Emulation.setEmulatedMedia", features).await;
    }

    async fn emulate(&self, what: &str, how: Value) {
        self.command("goog/cdp/execute", json!({ "cmd": what, "params": how })).await;
    }

    /// What is seen, as PNG.
    pub async fn screenshot(&self) -> Vec<u8> {
        let answer = self.client.get(format!("{}/screenshot", self.session)).send().await.unwrap();
        let answer: Value = answer.json().await.unwrap();
        BASE64_STANDARD.decode(answer["value"].as_str().unwrap()).unwrap()
    }

    /// What the console says since the last question, but for what is merely told.
    pub async fn complaints(&self) -> Vec<String> {
        let log = self.command("se/log", json!({ "type": "browser" })).await;
        let told = |entry: &&Value| matches!(entry["level"].as_str(), Some("SEVERE" | "WARNING"));
        log.as_array().unwrap().iter().filter(told).map(|entry| entry["message"].to_string()).collect()
    }
}

impl Drop for Browser {
    /// However the test ends, its browser ends: the driver, which is killed next, would leave it behind.
    fn drop(&mut self) {
        let Some((_, rest)) = self.session.split_once("://") else { return };
        let Some((host, path)) = rest.split_once('/') else { return };
        let Ok(mut driver) = TcpStream::connect(host) else { return };
        let _ = driver.set_read_timeout(Some(Duration::from_secs(10)));
        let request = format!("DELETE /{path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n");
        let _ = driver.write_all(request.as_bytes()).and_then(|()| driver.read(&mut [0; 64]));
    }
}
