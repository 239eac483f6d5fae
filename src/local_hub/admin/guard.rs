//! Who may talk to the admin server: programs on this machine, and its own page. A page of somebody else's in a browser on
//! this machine may not, whatever name it found for the loopback address.

use axum::extract::Request;
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use http::header::{HOST, ORIGIN};
use http::{HeaderMap, StatusCode};

/// Answers 403 to a request that comes from elsewhere.
pub(super) async fn guard(request: Request, next: Next) -> Response {
    match check(request.method().is_safe(), request.headers()) {
        Ok(()) => next.run(request).await,
        Err(why) => (StatusCode::FORBIDDEN, axum::Json(serde_json::json!({"message": why}))).into_response(),
    }
}

/// A name that an attacker's server resolved to the loopback address stands in `Host`; another page's address stands in
/// `Origin`, which browsers send with every call that may change something.
fn check(safe: bool, headers: &HeaderMap) -> Result<(), String> {
    let text = |name| headers.get(name).map(|value| value.to_str().unwrap_or("?"));
    let host = text(HOST).unwrap_or("");
    if !is_loopback(host) {
        return Err(format!("the admin port answers to localhost and 127.0.0.1 only, not to the host {host:?}"));
    }
    match text(ORIGIN) {
        Some(origin) if !safe && origin.strip_prefix("http://") != Some(host) => {
            Err(format!("the admin port takes changes from its own page and from programs, not from {origin:?}"))
        }
        _ => Ok(()),
    }
}

fn is_loopback(host: &str) -> bool {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    };
    ["localhost", "127.0.0.1", "[::1]"].iter().any(|known| name.eq_ignore_ascii_case(known))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_machine_and_the_own_page_are_heard() {
        let cases = [
            (true, "127.0.0.1:8444", None, true),
            (true, "LocalHost", None, true),
            (true, "[::1]:8444", None, true),
            (true, "evil.example:8444", None, false),
            (true, "localhost.evil.example", None, false),
            (true, "127.0.0.1.nip.io:8444", None, false),
            (true, "", None, false),
            (true, "localhost:", None, false),
            (true, "localhost:8444", Some("http://evil.example"), true),
            (false, "localhost:8444", None, true),
            (false, "localhost:8444", Some("http://localhost:8444"), true),
            (false, "localhost:8444", Some("http://localhost:9000"), false),
            (false, "localhost:8444", Some("https://localhost:8444"), false),
            (false, "localhost:8444", Some("http://evil.example"), false),
            (false, "localhost:8444", Some("null"), false),
        ];
        for (safe, host, origin, allowed) in cases {
            let mut headers = HeaderMap::new();
            headers.insert(HOST, host.parse().unwrap());
            headers.extend(origin.map(|origin| (ORIGIN, origin.parse().unwrap())));
            assert_eq!(check(safe, &headers).is_ok(), allowed, "{safe} {host} {origin:?}");
        }
        assert!(check(true, &HeaderMap::new()).is_err());
    }
}
