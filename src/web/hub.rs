//! What changes, told to those who listen: one stream a page, and only what is not as it was.
//!
//! A listener that does not take what it is told has [`MAX_QUEUED`] of it waiting and is then told to ask anew.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::sync::{Arc, Mutex, Weak};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use bytes::Bytes;
use serde_json::{Map, Value};

use super::answer::Source;
use super::drive::Clock;
use crate::threads::lock;

/// Listeners at a time: fewer than the connections that one address may have, so that requests find room beside them.
pub(super) const MAX_LISTENERS: usize = 48;
/// Events that wait for a listener.
const MAX_QUEUED: usize = 16;
/// A sign of life goes out so often, by which proxies and browsers know that nothing happened.
const SIGN_OF_LIFE: Duration = Duration::from_secs(15);

/// What there is to be seen: for each topic its objects by their keys.
pub(super) type Picture = BTreeMap<&'static str, BTreeMap<String, Value>>;

/// Who listens, and what they were told last.
#[derive(Debug, Default)]
pub(super) struct Hub {
    listeners: Mutex<Vec<Weak<Listener>>>,
    last: Mutex<(u64, Picture)>,
}

#[derive(Debug, Default)]
struct Listener {
    queue: Mutex<(VecDeque<Bytes>, Option<Waker>)>,
}

impl Listener {
    fn tell(&self, event: &Bytes) {
        let mut queue = lock(&self.queue);
        if queue.0.len() >= MAX_QUEUED {
            queue.0.clear();
            queue.0.push_back(Bytes::from_static(b"event: resync\ndata: {}\n\n"));
        } else {
            queue.0.push_back(event.clone());
        }
        if let Some(waker) = queue.1.take() {
            waker.wake();
        }
    }
}

/// The stream of one listener.
pub(super) struct Events {
    listener: Arc<Listener>,
    clock: Clock,
    next: Instant,
}

impl Hub {
    /// A new listener, who is told at once that he is one; none if there are too many.
    pub(super) fn listen(&self, clock: Clock) -> Option<Events> {
        let mut listeners = lock(&self.listeners);
        listeners.retain(|listener| listener.strong_count() > 0);
        if listeners.len() >= MAX_LISTENERS {
            return None;
        }
        let listener = Arc::<Listener>::default();
        listener.tell(&Bytes::from_static(b"retry: 1000\nevent: hello\ndata: {}\n\n"));
        listeners.push(Arc::downgrade(&listener));
        Some(Events { listener, clock, next: Instant::now() + SIGN_OF_LIFE })
    }

    /// How many listen.
    pub(super) fn listeners(&self) -> usize {
        lock(&self.listeners).iter().filter(|listener| listener.strong_count() > 0).count()
    }

    /// Tells those who listen what is not as it was.
    pub(super) fn show(&self, picture: Picture) {
        let mut last = lock(&self.last);
        let events = changes(&last.1, &picture, last.0 + 1);
        last.1 = picture;
        if events.is_empty() {
            return;
        }
        last.0 += 1;
        drop(last);
        let listeners: Vec<_> = lock(&self.listeners).iter().filter_map(Weak::upgrade).collect();
        for event in events {
            listeners.iter().for_each(|listener| listener.tell(&event));
        }
    }
}

/// An event for each topic in which something is not as it was.
fn changes(before: &Picture, now: &Picture, revision: u64) -> Vec<Bytes> {
    let none = BTreeMap::new();
    let mut events = Vec::new();
    for (topic, objects) in now {
        let old = before.get(topic).unwrap_or(&none);
        let changed: Map<String, Value> = objects
            .iter()
            .filter(|(key, value)| old.get(*key) != Some(value))
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect();
        let gone: Vec<&String> = old.keys().filter(|key| !objects.contains_key(*key)).collect();
        if !changed.is_empty() || !gone.is_empty() {
            let data = serde_json::json!({ "changed": changed, "gone": gone });
            events.push(Bytes::from(format!("id: {revision}\nevent: {topic}\ndata: {data}\n\n")));
        }
    }
    events
}

impl Source for Events {
    fn next(&mut self, context: &mut Context<'_>) -> Poll<Option<io::Result<Bytes>>> {
        let mut queue = lock(&self.listener.queue);
        if !queue.0.is_empty() {
            let all: Vec<u8> = queue.0.drain(..).flatten().collect();
            return Poll::Ready(Some(Ok(all.into())));
        }
        queue.1 = Some(context.waker().clone());
        drop(queue);
        let now = Instant::now();
        if now >= self.next {
            self.next = now + SIGN_OF_LIFE;
            return Poll::Ready(Some(Ok(Bytes::from_static(b":\n\n"))));
        }
        self.clock.by(self.next);
        Poll::Pending
    }

    fn left(&self) -> Option<u64> {
        None
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn picture(objects: &[(&str, Value)]) -> Picture {
        let objects = objects.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect();
        Picture::from([("transfers", objects)])
    }

    #[test]
    fn only_what_changed_is_told() {
        let before = picture(&[("1", json!(1)), ("2", json!(2))]);
        let now = picture(&[("2", json!(3)), ("3", json!(4))]);
        let told = changes(&before, &now, 7);
        let expected = "id: 7\nevent: transfers\ndata: {\"changed\":{\"2\":3,\"3\":4},\"gone\":[\"1\"]}\n\n";
        assert_eq!(told, [Bytes::from(expected)]);
        assert!(changes(&now, &now, 8).is_empty());
    }

    #[test]
    fn who_does_not_listen_is_told_to_ask_anew() {
        let listener = Listener::default();
        for number in 0..=MAX_QUEUED {
            listener.tell(&Bytes::from(number.to_string()));
        }
        let queue = lock(&listener.queue);
        assert_eq!(queue.0.len(), 1);
        assert!(queue.0[0].starts_with(b"event: resync"));
    }
}
