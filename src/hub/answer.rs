//! Reads the hub's refusals, in all the forms that it uses.
//!
//! Form A is `{"Message": "ErrorCode:<Name>;<text>"}`, form B has JSON with a number inside the `Message`, form C is that
//! JSON by itself, and some answers have no body. The header `iothub-errorcode` gives the name too. The code decides, not
//! the status: a 403 may be a quota, a tier, a disabled device or a twin that is too large.
//!
//! Source: the error handling of the public service SDKs.

use std::time::Duration;

use serde_json::Value;

use super::codes;
use super::error::{Failure, Kind, Rejection};

/// The longest text of a hub that is passed on, in characters.
const LONGEST_TEXT: usize = 200;
/// No pause that a server asks for is believed beyond this.
const LONGEST_PAUSE: Duration = Duration::from_secs(3600);

/// What matters of an answer that is no success.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Refusal<'a> {
    pub(super) status: u16,
    /// The header `iothub-errorcode`.
    pub(super) code_header: Option<&'a str>,
    /// The header `Retry-After`.
    pub(super) retry_after: Option<&'a str>,
    pub(super) body: &'a [u8],
}

/// The failure that a refusal stands for.
pub(super) fn failure(refusal: Refusal<'_>) -> Failure {
    let Refusal { status, code_header, retry_after, body } = refusal;
    let told = told(body);
    let header = code_header.filter(|code| !code.trim().is_empty()).map(str::trim);
    // A page of HTML, or JSON of another shape, with no header of the hub: somebody else answered.
    let foreign = header.is_none() && told.is_none() && !body.iter().all(u8::is_ascii_whitespace);
    let (body_code, message) = told.unwrap_or_default();
    let mut failure = if foreign && status != 429 {
        Failure::new(Kind::Unreachable, format!("an answer that is not the hub's (HTTP {status})"))
    } else {
        refused(status, header, body_code.as_deref(), &message)
    };
    failure.retry_after = retry_after
        .and_then(|text| text.trim().parse().ok())
        .map(|seconds| Duration::from_secs(seconds).min(LONGEST_PAUSE));
    failure
}

fn refused(status: u16, header: Option<&str>, body: Option<&str>, message: &str) -> Failure {
    let from_header = header.and_then(codes::known);
    let from_body = body.and_then(codes::known);
    let known = match (from_header, from_body) {
        // Two codes of different classes: neither is believed.
        (Some((_, one)), Some((_, other))) if one != other => None,
        (header, body) => body.or(header),
    };
    let kind = match known {
        // A server error stays one whatever code came with it.
        _ if !(400..500).contains(&status) => Kind::Unreachable,
        Some((_, kind)) => kind,
        None => codes::by_status(status),
    };
    let code = known.map(|(name, _)| name).or(body).or(header).unwrap_or_default();
    let code: String = code.chars().filter(char::is_ascii_alphanumeric).take(64).collect();
    let message = one_line(message);
    let mut detail = kind.to_string();
    match (code.is_empty(), message.is_empty()) {
        (true, true) => detail.push_str(&format!(" (HTTP {status})")),
        (false, true) => detail.push_str(&format!(" ({code})")),
        (true, false) => detail.push_str(&format!(" (HTTP {status}: {message})")),
        (false, false) => detail.push_str(&format!(" ({code}: {message})")),
    }
    let mut failure = Failure::new(kind, detail);
    failure.rejection = Some(Rejection { status, code, message });
    failure
}

/// The code, by name or number, and the text of a body; `None` when the body is not of the hub's making.
fn told(body: &[u8]) -> Option<(Option<String>, String)> {
    let Ok(Value::Object(outer)) = serde_json::from_slice(body) else { return None };
    if let Some(inner) = numbered(&outer) {
        return Some(inner);
    }
    let message = outer.iter().find(|(key, _)| key.eq_ignore_ascii_case("Message"))?.1.as_str()?;
    if let Ok(Value::Object(inner)) = serde_json::from_str(message) {
        return Some(numbered(&inner).unwrap_or_default());
    }
    match message.strip_prefix("ErrorCode:").map(|rest| rest.split_once(';').unwrap_or((rest, ""))) {
        Some((code, text)) => Some((Some(code.trim().to_owned()), text.to_owned())),
        None => Some((None, message.to_owned())),
    }
}

fn numbered(members: &serde_json::Map<String, Value>) -> Option<(Option<String>, String)> {
    let code = match members.get("errorCode")? {
        Value::String(name) => name.clone(),
        Value::Number(number) => number.to_string(),
        _ => return None,
    };
    let message = members.get("message").and_then(Value::as_str).unwrap_or_default();
    Some((Some(code), message.to_owned()))
}

/// One line of at most [`LONGEST_TEXT`] printable characters.
fn one_line(text: &str) -> String {
    let words: String = text.chars().map(|c| if printable(c) { c } else { ' ' }).take(4096).collect();
    let line = words.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(LONGEST_TEXT) {
        None => line,
        Some(_) => line.chars().take(LONGEST_TEXT - 1).chain(['…']).collect(),
    }
}

/// Controls, and marks that change the direction of what follows, could make a terminal or a page show something else.
fn printable(c: char) -> bool {
    !c.is_control()
        && !matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(status: u16, header: Option<&str>, body: &str) -> Failure {
        failure(Refusal { status, code_header: header, retry_after: None, body: body.as_bytes() })
    }

    #[test]
    fn every_form_is_read_by_its_code() {
        let b = |number: u32| {
            format!(
                r#"{{"Message":"{{\"errorCode\":{number},\"trackingId\":\"t\",\"message\":\"no\"}}","ExceptionMessage":""}}"#
            )
        };
        let a = |code: &str| format!(r#"{{"Message":"ErrorCode:{code};text","ExceptionMessage":"Tracking ID:1"}}"#);
        let html = "<html><body>Bad gateway</body></html>";
        let cases = [
            (404, Some("DeviceNotFound"), a("DeviceNotFound"), Kind::DeviceNotFound),
            (404, None, a("DeviceNotFound"), Kind::DeviceNotFound),
            (404, Some("DeviceNotFound"), String::new(), Kind::DeviceNotFound),
            (404, None, b(404_001), Kind::DeviceNotFound),
            (404, None, r#"{"errorCode":404010,"message":"m"}"#.to_owned(), Kind::ModuleNotFound),
            (404, Some("DeviceNotFound"), a("ModuleNotFound"), Kind::Unreachable),
            (404, None, String::new(), Kind::Unreachable),
            (404, None, a("SomethingNew"), Kind::Unreachable),
            (404, None, html.to_owned(), Kind::Unreachable),
            (401, None, a("IotHubUnauthorizedAccess"), Kind::Unauthorized),
            (401, None, r#"{"Message":"Principal is not authorized"}"#.to_owned(), Kind::Unauthorized),
            (401, Some("IotHubNotFound"), a("IotHubNotFound"), Kind::Unreachable),
            (403, None, a("IotHubQuotaExceeded"), Kind::QuotaExceeded),
            (403, None, b(403_100), Kind::TooLarge),
            (403, None, a("OperationNotAvailableInCurrentTier"), Kind::WrongTier),
            (403, None, a("Other"), Kind::Forbidden),
            (403, None, html.to_owned(), Kind::Unreachable),
            (412, None, a("PreconditionFailed"), Kind::PreconditionFailed),
            (412, None, String::new(), Kind::PreconditionFailed),
            (409, None, a("DeviceAlreadyExists"), Kind::Conflict),
            (400, None, a("ArgumentInvalid"), Kind::BadRequest),
            (400, None, r#"{"Message":"The query is invalid."}"#.to_owned(), Kind::BadRequest),
            (400, None, "bad request".to_owned(), Kind::Unreachable),
            (429, None, a("ThrottlingException"), Kind::Throttled),
            (429, None, html.to_owned(), Kind::Throttled),
            (500, None, a("ServerError"), Kind::Unreachable),
            (503, None, a("DeviceNotFound"), Kind::Unreachable),
            (302, None, String::new(), Kind::Unreachable),
        ];
        for (status, header, body, kind) in cases {
            assert_eq!(read(status, header, &body).kind, kind, "{status} {header:?} {body}");
        }
    }

    #[test]
    fn what_the_hub_says_is_one_short_line() {
        let body = format!("{{\"Message\":\"ErrorCode:ArgumentInvalid;a\\r\\n\\u001b[31mb {}\"}}", "x".repeat(500));
        let rejection = read(400, None, &body).rejection.unwrap();
        assert_eq!(rejection.code, "ArgumentInvalid");
        assert_eq!(rejection.message.chars().count(), 200);
        assert!(rejection.message.starts_with("a [31mb xxx"), "{}", rejection.message);
        let told = read(400, None, r#"{"Message":"ErrorCode:ArgumentInvalid;Error in Tag b"}"#);
        assert_eq!(told.detail, "the hub finds the request wrong (ArgumentInvalid: Error in Tag b)");
    }

    #[test]
    fn the_pause_is_read_and_bounded() {
        for (text, expected) in [("7", Some(7)), ("999999", Some(3600)), ("soon", None), ("-1", None)] {
            let refusal = Refusal { status: 429, retry_after: Some(text), ..Refusal::default() };
            assert_eq!(failure(refusal).retry_after, expected.map(Duration::from_secs), "{text}");
        }
    }
}
