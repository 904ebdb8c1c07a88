//! Answers: JSON, text, bytes as they come, and problems as RFC 9457 has them.

use std::convert::Infallible;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::body::{Frame, SizeHint};
use hyper::header::{
    CONTENT_DISPOSITION, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, HeaderName, HeaderValue, RETRY_AFTER,
};
use hyper::{Response, StatusCode};
use serde::Serialize;

use crate::api::Exit;
use crate::api::control::Fault;

/// Bytes that come one piece after the other.
pub(super) trait Source: Send {
    /// The next piece, none after the last; an error cuts the connection.
    fn next(&mut self, context: &mut Context<'_>) -> Poll<Option<io::Result<Bytes>>>;

    /// How many bytes are still to come, if that is known.
    fn left(&self) -> Option<u64>;
}

/// What an answer carries.
pub(super) enum Body {
    Whole(Bytes),
    Source(Box<dyn Source>),
}

impl hyper::body::Body for Body {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        match &mut *self {
            Body::Whole(bytes) if bytes.is_empty() => Poll::Ready(None),
            Body::Whole(bytes) => Poll::Ready(Some(Ok(Frame::data(std::mem::take(bytes))))),
            Body::Source(source) => {
                source.next(context).map(|piece| piece.map(|piece| piece.map(Frame::data)))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self, Body::Whole(bytes) if bytes.is_empty())
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Body::Whole(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Body::Source(source) => source.left().map_or_else(SizeHint::default, SizeHint::with_exact),
        }
    }
}

/// An answer.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: Vec<(HeaderName, HeaderValue)>,
    pub(super) body: Body,
}

impl Answer {
    /// Nothing but this status.
    pub(super) fn empty(status: StatusCode) -> Answer {
        Answer { status, headers: Vec::new(), body: Body::Whole(Bytes::new()) }
    }

    /// Bytes of a type.
    pub(super) fn of(kind: &'static str, bytes: impl Into<Bytes>) -> Answer {
        Answer { body: Body::Whole(bytes.into()), ..Answer::empty(StatusCode::OK) }
            .with(CONTENT_TYPE, HeaderValue::from_static(kind))
    }

    pub(super) fn json(value: &impl Serialize) -> Answer {
        match serde_json::to_vec(value) {
            Ok(bytes) => Answer::of("application/json", bytes),
            Err(error) => Problem::internal(error.to_string()).into(),
        }
    }

    /// The same with a tag by which it is known again.
    pub(super) fn tagged(value: &impl Serialize) -> Answer {
        let answer = Answer::json(value);
        let Body::Whole(bytes) = &answer.body else { return answer };
        let tag = format!("\"{}\"", &blake3::hash(bytes).to_hex()[..16]);
        answer.with_text(ETAG, &tag)
    }

    /// Bytes as they come.
    pub(super) fn source(source: impl Source + 'static) -> Answer {
        Answer { body: Body::Source(Box::new(source)), ..Answer::empty(StatusCode::OK) }
    }

    /// With these bytes, as they come.
    pub(super) fn streams(self, source: impl Source + 'static) -> Answer {
        Answer { body: Body::Source(Box::new(source)), ..self }
    }

    pub(super) fn status(self, status: StatusCode) -> Answer {
        Answer { status, ..self }
    }

    pub(super) fn with(mut self, name: HeaderName, value: HeaderValue) -> Answer {
        self.headers.push((name, value));
        self
    }

    /// The header with a text, which is left out if it can be in none.
    pub(super) fn with_text(self, name: HeaderName, value: &str) -> Answer {
        match HeaderValue::from_str(value) {
            Ok(value) => self.with(name, value),
            Err(_) => self,
        }
    }

    /// To be saved under this name, never shown: it comes from strangers.
    pub(super) fn attachment(self, name: &str) -> Answer {
        let plain: String = name
            .chars()
            .map(|c| if c.is_ascii_alphanumeric() || " .-_()[]".contains(c) { c } else { '_' })
            .collect();
        let encoded = percent_encoding::utf8_percent_encode(name, percent_encoding::NON_ALPHANUMERIC);
        self.with_text(
            CONTENT_DISPOSITION,
            &format!("attachment; filename=\"{plain}\"; filename*=UTF-8''{encoded}"),
        )
        .with_text(CONTENT_SECURITY_POLICY, "sandbox; default-src 'none'")
    }

    /// The tag, if there is one.
    pub(super) fn tag(&self) -> Option<&HeaderValue> {
        self.headers.iter().find(|(name, _)| *name == ETAG).map(|(_, value)| value)
    }

    pub(super) fn response(self) -> Response<Body> {
        let mut response = Response::new(self.body);
        *response.status_mut() = self.status;
        for (name, value) in self.headers {
            response.headers_mut().append(name, value);
        }
        response
    }
}

/// Why something was not done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Problem {
    #[serde(rename = "type")]
    kind: &'static str,
    title: &'static str,
    pub(super) status: u16,
    pub(super) detail: String,
    /// A word for programs.
    pub(super) code: &'static str,
    /// Seconds after which it may be tried again.
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_after: Option<u64>,
}

impl Problem {
    pub(super) fn new(status: StatusCode, code: &'static str, detail: impl Into<String>) -> Problem {
        let title = status.canonical_reason().unwrap_or("Problem");
        Problem {
            kind: "about:blank",
            title,
            status: status.as_u16(),
            detail: detail.into(),
            code,
            retry_after: None,
        }
    }

    /// It may be tried again after so many seconds.
    pub(super) fn after(self, seconds: u64) -> Problem {
        Problem { retry_after: Some(seconds), ..self }
    }

    pub(super) fn bad(detail: impl Into<String>) -> Problem {
        Problem::new(StatusCode::BAD_REQUEST, "bad-request", detail)
    }

    pub(super) fn missing(detail: impl Into<String>) -> Problem {
        Problem::new(StatusCode::NOT_FOUND, "not-found", detail)
    }

    pub(super) fn conflict(detail: impl Into<String>) -> Problem {
        Problem::new(StatusCode::CONFLICT, "conflict", detail)
    }

    pub(super) fn unreachable(detail: impl Into<String>) -> Problem {
        Problem::new(StatusCode::SERVICE_UNAVAILABLE, "unreachable", detail)
    }

    pub(super) fn internal(detail: impl Into<String>) -> Problem {
        Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", detail)
    }

    pub(super) fn too_large(most: usize) -> Problem {
        let detail = format!("a request of this kind has at most {most} bytes");
        Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "too-large", detail)
    }
}

/// What a running peer says of why it does not do something.
impl From<Fault> for Problem {
    fn from(fault: Fault) -> Problem {
        match fault.code {
            Exit::Usage => Problem::bad(fault.message),
            Exit::NotFound => Problem::missing(fault.message),
            Exit::Unreachable => Problem::unreachable(fault.message),
            _ => Problem::internal(fault.message),
        }
    }
}

impl From<Problem> for Answer {
    fn from(problem: Problem) -> Answer {
        let status = StatusCode::from_u16(problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let bytes = serde_json::to_vec(&problem).unwrap_or_default();
        let answer = Answer::of("application/problem+json", bytes).status(status);
        match problem.retry_after {
            Some(seconds) => answer.with(RETRY_AFTER, HeaderValue::from(seconds)),
            None => answer,
        }
    }
}

/// A response, as hyper has it: nothing fails here any more.
pub(super) type Answered = Result<Response<Body>, Infallible>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_says_what_happened_for_people_and_programs() {
        let problem = Problem::missing("there is no such thing").after(3);
        let said = serde_json::to_string(&problem).unwrap();
        assert_eq!(
            said,
            r#"{"type":"about:blank","title":"Not Found","status":404,"detail":"there is no such thing","code":"not-found","retry_after":3}"#
        );
        let answer = Answer::from(problem).response();
        assert_eq!(answer.status(), StatusCode::NOT_FOUND);
        assert_eq!(answer.headers()["retry-after"], "3");
        assert_eq!(answer.headers()["content-type"], "application/problem+json");
    }

    #[test]
    fn a_name_of_strangers_stays_a_name() {
        let answer = Answer::empty(StatusCode::OK).attachment("a\"\r\nx: y\u{202e}.p2p").response();
        assert_eq!(
            answer.headers()["content-disposition"],
            "attachment; filename=\"a___x_ y_.p2p\"; filename*=UTF-8''a%22%0D%0Ax%3A%20y%E2%80%AE%2Ep2p"
        );
    }

    #[test]
    fn what_is_the_same_has_the_same_tag() {
        let tag = |value: &str| Answer::tagged(&value).tag().cloned().unwrap();
        assert_eq!(tag("a"), tag("a"));
        assert_ne!(tag("a"), tag("b"));
    }
}
