//! What all pages share: head, navigation, the way to be renewed.

use super::assets;
use super::forms;
use super::visitor::Visitor;
use axum::response::Html;
use maud::{DOCTYPE, Markup, html};

/// The rooms of the navigation.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Room {
    Overview,
    Runs,
    Drones,
    Generations,
    Health,
    Events,
}

const ROOMS: [(Room, &str, &str); 6] = [
    (Room::Overview, "/", "Overview"),
    (Room::Runs, "/runs", "Runs"),
    (Room::Drones, "/drones", "Drones"),
    (Room::Generations, "/generations", "Generations"),
    (Room::Health, "/health", "Health"),
    (Room::Events, "/events", "Events"),
];

/// A page's place.
pub(super) struct About<'a> {
    /// Its title.
    pub title: &'a str,
    /// The room that it is in.
    pub room: Room,
    /// What it shows, as the live stream names it; the parts marked `data-live` are fetched anew when that changes.
    pub topics: &'a [String],
}

/// A page for somebody who has signed in.
pub(super) fn full(visitor: &Visitor, about: &About<'_>, content: &Markup) -> Html<String> {
    let body = html! {
        a .skip href="#content" { "To the content" }
        header {
            nav aria-label="Rooms" {
                @for (room, path, name) in ROOMS {
                    a href=(path) aria-current=[(room == about.room).then_some("page")] { (name) }
                }
            }
            form method="post" action="/sign-out" {
                (hidden(visitor))
                span #pulse role="status" {}
                button .quiet { "Sign out" }
            }
        }
        main #content data-topics=(about.topics.join(" ")) data-version=(visitor.version()) { (content) }
    };
    document(about.title, &body)
}

/// A page for anybody.
pub(super) fn bare(title: &str, content: &Markup) -> Html<String> {
    document(title, &html! { main #content { (content) } })
}

fn document(title: &str, body: &Markup) -> Html<String> {
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                title { (title) " · Build Swarm" }
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                link rel="stylesheet" href=(assets::STYLE.path());
                link rel="icon" type="image/svg+xml" href=(assets::ICON.path());
                script src=(assets::LIVE.path()) defer {}
            }
            body { (body) }
        }
    };
    Html(page.into_string())
}

/// The field that makes a form one of ours.
pub(super) fn hidden(visitor: &Visitor) -> Markup {
    html! { input type="hidden" name=(forms::TOKEN) value=(visitor.form_token()); }
}

/// A form of one button, for admins.
pub(super) fn button(visitor: &Visitor, path: &str, label: &str) -> Markup {
    form(visitor, path, &html! { button { (label) } })
}

/// A form with fields, for admins.
pub(super) fn form(visitor: &Visitor, path: &str, fields: &Markup) -> Markup {
    html! {
        @if visitor.may_act() {
            form method="post" action=(path) { (hidden(visitor)) (fields) }
        }
    }
}

/// A table that may be wider than a telephone: it scrolls by itself, with the keyboard as well.
pub(super) fn table(caption: &str, columns: &[&str], rows: &Markup) -> Markup {
    html! {
        div .scroll tabindex="0" role="region" aria-label=(caption) {
            table {
                caption { (caption) }
                thead { tr { @for column in columns { th scope="col" { (column) } } } }
                tbody { (rows) }
            }
        }
    }
}
