//! What a fault makes of an answer that is on its way.

use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::response::Response;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderValue, StatusCode};
use hyper::body::Frame;
use tokio::time::{Sleep, sleep};

use super::super::knobs::Effect;

/// In how many pieces a slow body goes out.
const PIECES: usize = 10;
/// What a proxy says.
const PAGE: &str = "<html><head><title>Bad gateway</title></head><body><h1>The proxy had a problem</h1></body></html>";

/// Spoils an answer whose body is `text`.
pub(super) fn spoil(effect: &Effect, response: Response, text: &str) -> Response {
    match effect {
        Effect::SlowBody(ms) => {
            let size = text.len().div_ceil(PIECES).max(1);
            let pieces = text.as_bytes().chunks(size).map(Bytes::copy_from_slice).collect();
            let pause = Duration::from_millis(*ms) / u32::try_from(PIECES).unwrap_or(1);
            dripping(response, text.len(), Drip { pieces, pause, sleep: None, cut: false })
        }
        Effect::TruncatedBody => {
            let half = Bytes::copy_from_slice(&text.as_bytes()[..text.len() / 2]);
            let drip = Drip { pieces: VecDeque::from([half]), pause: Duration::ZERO, sleep: None, cut: true };
            dripping(response, text.len(), drip)
        }
        Effect::NotJson => {
            let (mut head, _) = response.into_parts();
            head.headers.remove(CONTENT_LENGTH);
            Response::from_parts(head, Body::from("this is no JSON"))
        }
        Effect::Html(status) => {
            let mut page = Response::new(Body::from(PAGE));
            *page.status_mut() = StatusCode::from_u16(*status).unwrap_or(StatusCode::BAD_GATEWAY);
            page.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/html"));
            page
        }
        _ => response,
    }
}

fn dripping(response: Response, length: usize, drip: Drip) -> Response {
    let (mut head, _) = response.into_parts();
    head.headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
    Response::from_parts(head, Body::new(drip))
}

/// A body that goes out piece by piece, and may end too early.
#[derive(Debug)]
struct Drip {
    pieces: VecDeque<Bytes>,
    pause: Duration,
    sleep: Option<Pin<Box<Sleep>>>,
    cut: bool,
}

impl hyper::body::Body for Drip {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, std::io::Error>>> {
        let pause = self.pause;
        ready!(self.sleep.get_or_insert_with(|| Box::pin(sleep(pause))).as_mut().poll(context));
        self.sleep = None;
        Poll::Ready(match self.pieces.pop_front() {
            Some(piece) => Some(Ok(Frame::data(piece))),
            None if self.cut => Some(Err(std::io::Error::other("a fault that was asked for"))),
            None => None,
        })
    }
}
