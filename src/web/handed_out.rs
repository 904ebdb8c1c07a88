//! Links that let whoever has one have one content, for a while: by a browser that has nothing installed, or any program
//! that speaks HTTP.

use std::time::Duration;

use hyper::StatusCode;
use serde::Deserialize;

use super::accounts::Secret;
use super::answer::{Answer, Problem};
use super::download;
use super::gifts::Gift;
use super::request::Asked;
use super::site::{Site, now, secret};
use super::swarm;
use crate::content::{FileId, SafeName, shown};

/// How long one is good, in hours.
const MAX_HOURS: u64 = 30 * 24;

/// A link that gives a content to whoever has it, for so long.
pub(super) fn link(site: &Site, (id, name, size): (FileId, SafeName, u64), valid: Duration) -> String {
    let (secret, now) = (secret(), now());
    let until = now.saturating_add(u64::try_from(valid.as_millis()).unwrap_or(u64::MAX));
    site.gifts.add(Secret::of(&secret), Gift { id, name, size, until }, now);
    format!("{}s/{secret}", site.url())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wish {
    hours: u64,
}

/// `POST /contents/{id}/links`
pub(super) fn hand_out(site: &Site, asked: &Asked) -> Result<Answer, Problem> {
    let Wish { hours } = asked.json()?;
    if !(1..=MAX_HOURS).contains(&hours) {
        return Err(Problem::bad(format!("a link is good for 1 to {MAX_HOURS} hours")));
    }
    let id: FileId = asked.place(0).parse().map_err(|_| Problem::bad("an id has 64 hexadecimal digits"))?;
    let here = site.peer()?.shared().into_iter().find(|offer| offer.id == id);
    let (name, size) = match here {
        Some(offer) => (offer.name.to_string(), offer.total),
        None => {
            let found = swarm::content(site, asked.place(0))?;
            (asked.value("name").map_or(found.name, str::to_owned), found.size)
        }
    };
    let name = SafeName::new(name).map_err(|error| Problem::bad(format!("no name for a file: {error}")))?;
    let valid = Duration::from_secs(hours * 3_600);
    let link = link(site, (id, name.clone(), size), valid);
    site.note(asked, format!("hands out {name} for {hours} h to whoever has the link"));
    Ok(Answer::json(&serde_json::json!({ "link": link })).status(StatusCode::CREATED))
}

/// What the link in the path gives.
fn gift(site: &Site, asked: &Asked) -> Result<Gift, Problem> {
    let gift = site.gifts.get(Secret::of(asked.place(0)), now());
    gift.ok_or_else(|| Problem::missing("this link is over, or was never good; ask who gave it for another"))
}

/// `GET /s/{secret}/data`
pub(super) fn data(site: &Site, asked: &Asked) -> Result<Answer, Problem> {
    let Gift { id, name, .. } = gift(site, asked)?;
    download::content(site, asked, id, Some(name))
}

/// `GET /s/{secret}`: what it is, and a button that saves it.
pub(super) fn page(site: &Site, asked: &Asked) -> Result<Answer, Problem> {
    let kind = "text/html; charset=utf-8";
    let (status, title, what) = match gift(site, asked) {
        Ok(gift) => {
            let name = escaped(gift.name.as_str().trim_end_matches('/'));
            let (zip, size) =
                (if gift.name.is_tree() { ", as a ZIP" } else { "" }, bytesize::ByteSize(gift.size));
            let save = format!(
                "<h1><bdi>{name}</bdi></h1><p>{}{zip}</p><p><a class=\"button main\" href=\"{}/data\" download>Save it</a></p>\
                 <p class=\"soft\">What is saved is proved to be what was shared, piece by piece, before it is sent.</p>",
                size.display().iec(),
                escaped(asked.place(0)),
            );
            (StatusCode::OK, name, save)
        }
        Err(problem) => (
            StatusCode::NOT_FOUND,
            "p2p".to_owned(),
            format!("<h1>Nothing here</h1><p>{}</p>", escaped(&problem.detail)),
        ),
    };
    let text = format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" \
         content=\"width=device-width, initial-scale=1\"><meta name=\"color-scheme\" content=\"light dark\">\
         <title>{title}</title><link rel=\"icon\" href=\"../icon.svg\" type=\"image/svg+xml\">\
         <link rel=\"stylesheet\" href=\"../style.css\"></head><body><main class=\"login gift\">\
         <img src=\"../icon.svg\" alt=\"\" width=\"56\" height=\"56\">{what}</main></body></html>"
    );
    Ok(Answer::of(kind, text).status(status))
}

/// A text of strangers inside HTML: what misleads is escaped as everywhere, and nothing in it is a tag.
fn escaped(text: &str) -> String {
    let mut out = String::new();
    for letter in shown(text).chars() {
        match letter {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            other => out.push(other),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_strangers_call_a_file_is_no_html() {
        assert_eq!(escaped("<b>'&\"\u{202e}"), "&lt;b&gt;&#39;&amp;&quot;\\u{202e}");
    }
}
