//! The page of a peer, as far as the peer knows of it: somebody above makes links that let it be opened.

use std::fmt;
use std::sync::OnceLock;

/// Makes a link that is good once.
type Login = Box<dyn Fn() -> String + Send + Sync>;

/// The page of a peer, if it has one.
#[derive(Default)]
pub(super) struct Page(OnceLock<Login>);

impl Page {
    /// What makes its links; the first who says so is believed.
    pub(super) fn is_opened_by(&self, login: impl Fn() -> String + Send + Sync + 'static) {
        let _ = self.0.set(Box::new(login));
    }

    /// A link that lets it be opened once; none if there is no page.
    pub(super) fn login(&self) -> Option<String> {
        self.0.get().map(|login| login())
    }
}

impl fmt::Debug for Page {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Page").field(&self.0.get().is_some()).finish()
    }
}
