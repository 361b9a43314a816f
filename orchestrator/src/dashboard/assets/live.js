// Renews what has changed, and follows logs. Everything is readable without it.
"use strict";

const main = document.querySelector("main");
const pulse = document.getElementById("pulse");
const say = (text) => { if (pulse) pulse.textContent = text; };

const STOPS = "a, button, summary, [tabindex]";

// The parts of this page that live are fetched anew. A part in which somebody types stays; what is open and what has the
// keyboard's focus stay so.
async function renew() {
  const answer = await fetch(location.href, { headers: { accept: "text/html" } });
  if (answer.redirected) say("signed out");
  if (!answer.ok || answer.redirected) return;
  const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
  for (const part of document.querySelectorAll("[data-live]")) {
    const next = fresh.getElementById(part.id);
    if (!next || next.innerHTML === part.innerHTML || part.querySelector("input:focus, select:focus")) continue;
    const open = new Set([...part.querySelectorAll("details[open]")].map((details) => details.id));
    const focus = [...part.querySelectorAll(STOPS)].indexOf(document.activeElement);
    part.replaceChildren(...next.childNodes);
    for (const details of part.querySelectorAll("details")) if (open.has(details.id)) details.open = true;
    if (focus >= 0) part.querySelectorAll(STOPS)[focus]?.focus();
  }
}

// One look at a time. All viewers share the time that the server names: each looks at some moment of it and then rests as
// long. A page that nobody sees waits until it is seen.
let wanted = false;
let busy = false;
let spread = 0;
const after = (milliseconds) => new Promise((done) => setTimeout(done, milliseconds));
async function look() {
  if (!wanted || busy || document.hidden) return;
  busy = true;
  await after(Math.random() * spread);
  wanted = false;
  try { await renew(); } catch { wanted = true; }
  await after(Math.max(spread, 1000));
  busy = false;
  look();
}

// Browsers allow few connections to a host: a page that nobody sees gives its own back. What it missed, the server tells
// by the version that it saw last, in one message however long it slept.
function watch() {
  const topics = new Set((main.dataset.topics || "").split(" ").filter(Boolean));
  if (!topics.size) return;
  let version = main.dataset.version;
  let source = null;
  const listen = () => {
    if (document.hidden) { source?.close(); source = null; say(""); return; }
    if (source) return;
    source = new EventSource("/live?version=" + encodeURIComponent(version));
    source.addEventListener("open", () => say("live"));
    source.addEventListener("error", () => say(source?.readyState === EventSource.CLOSED ? "not live" : "connecting"));
    source.addEventListener("changed", (event) => {
      const change = JSON.parse(event.data);
      version = event.lastEventId;
      spread = change.spread_ms;
      if (change.topics.some((topic) => topic === "*" || topics.has(topic))) {
        wanted = true;
        look();
      }
    });
  };
  document.addEventListener("visibilitychange", () => { listen(); look(); });
  listen();
}

// The end of a log. The lines come escaped, as in the page. It scrolls along as long as the reader is at the end.
function follow(tail) {
  const source = new EventSource(tail.dataset.follow);
  source.addEventListener("open", () => say("following"));
  source.addEventListener("lines", (event) => {
    const atEnd = innerHeight + scrollY >= document.documentElement.scrollHeight - 80;
    const fragment = new DOMParser().parseFromString(event.data, "text/html").querySelector("pre");
    tail.append(...fragment.childNodes);
    while (tail.childNodes.length > 20000) tail.firstChild.remove();
    if (atEnd) scrollTo(0, document.documentElement.scrollHeight);
  });
  source.addEventListener("ended", () => { source.close(); say("the attempt has ended"); });
}

const tail = document.querySelector("[data-follow]");
if (tail) follow(tail); else if (main) watch();
