//! The page itself: its files are in the program, as they lie in `web/`.

use std::sync::OnceLock;

use hyper::StatusCode;
use hyper::header::{CACHE_CONTROL, HeaderValue, IF_NONE_MATCH};

use super::answer::Answer;
use super::request::Asked;

/// What the browser may load, and from where: only what this page brings, and no text becomes code.
pub(super) const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; \
    connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; \
    require-trusted-types-for 'script'; trusted-types 'none'";

macro_rules! assets {
    ($($path:literal $kind:ident)*) => {
        /// Each file with its path and type.
        const ASSETS: &[(&str, &str, &[u8])] =
            &[$(($path, $kind, include_bytes!(concat!("../../web/", $path)))),*];
    };
}

const HTML: &str = "text/html; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";
const STYLE: &str = "text/css; charset=utf-8";
const IMAGE: &str = "image/svg+xml";

assets! {
    "index.html" HTML
    "style.css" STYLE
    "icon.svg" IMAGE
    "app.js" SCRIPT
    "api.js" SCRIPT
    "ui.js" SCRIPT
    "table.js" SCRIPT
    "plot.js" SCRIPT
    "words.js" SCRIPT
    "upload.js" SCRIPT
    "pages/login.js" SCRIPT
    "pages/transfers.js" SCRIPT
    "pages/get.js" SCRIPT
    "pages/files.js" SCRIPT
    "pages/members.js" SCRIPT
    "pages/peer.js" SCRIPT
    "pages/people.js" SCRIPT
    "pages/swarm.js" SCRIPT
    "pages/cluster.js" SCRIPT
    "vendor/preact.js" SCRIPT
    "vendor/hooks.js" SCRIPT
    "vendor/htm.js" SCRIPT
    "vendor/signals-core.js" SCRIPT
    "vendor/signals.js" SCRIPT
    "vendor/uplot.js" SCRIPT
}

/// By which a browser knows what it has: one tag for all, as they come with one program.
fn tag() -> &'static str {
    static TAG: OnceLock<String> = OnceLock::new();
    TAG.get_or_init(|| {
        let mut hasher = blake3::Hasher::new();
        ASSETS.iter().for_each(|(path, _, bytes)| {
            hasher.update(path.as_bytes()).update(bytes);
        });
        format!("\"{}\"", &hasher.finalize().to_hex()[..16])
    })
}

/// The file at a path, if there is one; the empty path is the page.
pub(super) fn asset(path: &str, asked: &Asked) -> Option<Answer> {
    let path = if path.is_empty() { "index.html" } else { path };
    let (_, kind, bytes) = ASSETS.iter().find(|(name, ..)| *name == path)?;
    let is_known = asked.header(IF_NONE_MATCH.as_str()) == Some(tag());
    let answer = match is_known {
        true => Answer::empty(StatusCode::NOT_MODIFIED),
        false => Answer::of(kind, *bytes),
    };
    let answer = answer.with_text(hyper::header::ETAG, tag());
    Some(answer.with(CACHE_CONTROL, HeaderValue::from_static("no-cache")))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs;
    use std::path::Path;

    use super::*;

    fn files(folder: &Path, below: &str, all: &mut BTreeSet<String>) {
        for entry in fs::read_dir(folder).unwrap() {
            let entry = entry.unwrap();
            let name = entry.file_name().into_string().unwrap();
            match entry.file_type().unwrap().is_dir() {
                true if name != "node_modules" => files(&entry.path(), &format!("{below}{name}/"), all),
                true => {}
                false => drop(all.insert(format!("{below}{name}"))),
            }
        }
    }

    #[test]
    fn all_that_the_page_is_made_of_is_in_the_program() {
        let mut there = BTreeSet::new();
        files(&Path::new(env!("CARGO_MANIFEST_DIR")).join("web"), "", &mut there);
        let is_made_of =
            |name: &String| [".html", ".css", ".js", ".svg"].iter().any(|end| name.ends_with(end));
        there.retain(is_made_of);
        let served: BTreeSet<String> = ASSETS.iter().map(|(path, ..)| (*path).to_owned()).collect();
        assert_eq!(served, there);
    }

    /// A browser that learns of a module by the one that needs it asks for it a round trip later.
    #[test]
    fn every_module_that_the_page_begins_with_is_asked_for_at_once() {
        let text = |path: &str| {
            let asset = ASSETS.iter().find(|(name, ..)| *name == path);
            std::str::from_utf8(asset.unwrap().2).unwrap()
        };
        for (path, ..) in ASSETS.iter().filter(|(_, kind, _)| *kind == SCRIPT) {
            let asked = text("index.html").contains(&format!("\"{path}\""));
            let later = text("plot.js").contains(&format!("import('./{path}')"));
            assert!(asked != later, "{path}");
        }
    }

    /// What a first look costs: uncompressed here, and compressed by `tests/web`.
    #[test]
    fn the_page_is_small() {
        let bytes: usize = ASSETS.iter().map(|(.., bytes)| bytes.len()).sum();
        assert!(bytes <= 300 << 10, "{bytes} bytes");
        assert!(ASSETS.len() <= 26, "{} requests", ASSETS.len());
    }
}
