//! What a plain scalar of YAML is to kubectl: YAML 1.1 as its library (go-yaml 2) resolves it, then JSON.
//!
//! A test applies each spelling to a real API server and compares.

use std::fmt;

use serde_json::{Number, Value};

use super::node::Scalar;

/// How a plain scalar is read other than it looks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Surprise {
    /// A word that is a boolean in YAML 1.1.
    Word {
        /// As written.
        written: String,
        /// What it is.
        is: bool,
    },
    /// A number that is written another way once read.
    Number {
        /// As written.
        written: String,
        /// As it is stored.
        is: String,
    },
    /// An octal number.
    Octal {
        /// As written.
        written: String,
        /// As it is stored.
        is: String,
    },
}

impl fmt::Display for Surprise {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Word { written, is } => {
                write!(f, "plain {written} is the boolean {is}: quote it to have the text, or write {is}")
            }
            Self::Number { written, is } => {
                write!(f, "plain {written} is the number {is}: quote it to have the text, or write {is}")
            }
            Self::Octal { written, is } => {
                write!(f, "plain {written} is octal, the number {is}: quote it to have the text, or write {is}")
            }
        }
    }
}

/// A number that JSON cannot hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct NotInJson;

/// What a plain scalar without a tag is.
pub(super) fn plain(text: &str) -> Result<Scalar, NotInJson> {
    let sure = |value| Ok(Scalar { value, surprise: None });
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return sure(Value::Null),
        "true" | "True" | "TRUE" => return sure(Value::Bool(true)),
        "false" | "False" | "FALSE" => return sure(Value::Bool(false)),
        "y" | "Y" | "yes" | "Yes" | "YES" | "on" | "On" | "ON" => return Ok(word(text, true)),
        "n" | "N" | "no" | "No" | "NO" | "off" | "Off" | "OFF" => return Ok(word(text, false)),
        ".nan" | ".NaN" | ".NAN" | ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF" | "-.inf" | "-.Inf"
        | "-.INF" => return Err(NotInJson),
        _ => {}
    }
    match number(text) {
        None => sure(Value::String(text.to_owned())),
        Some(read) => {
            let (written, is) = (text.to_owned(), read.number.to_string());
            let surprise = match read.octal {
                // `1e+21` is how 1e21 is printed.
                _ if written == is || written == is.replace("e+", "e") => None,
                true => Some(Surprise::Octal { written, is }),
                false => Some(Surprise::Number { written, is }),
            };
            Ok(Scalar { value: Value::Number(read.number), surprise })
        }
    }
}

fn word(text: &str, is: bool) -> Scalar {
    Scalar { value: Value::Bool(is), surprise: Some(Surprise::Word { written: text.to_owned(), is }) }
}

struct Read {
    number: Number,
    octal: bool,
}

/// The number that a plain scalar is, as the API server stores it; `None` when it is a text.
fn number(text: &str) -> Option<Read> {
    let first = text.chars().next()?;
    if first == '.' {
        let float = is_float(text).then(|| text.parse().ok()).flatten();
        return float.and_then(stored).map(|number| Read { number, octal: false });
    }
    if !(first.is_ascii_digit() || first == '+' || first == '-') {
        return None;
    }
    let plain = text.replace('_', "");
    if let Some((integer, octal)) = integer(&plain) {
        return Some(Read { number: integer, octal });
    }
    let float = is_float(&plain).then(|| plain.parse().ok()).flatten();
    float.and_then(stored).map(|number| Read { number, octal: false })
}

/// An integer by the prefixes that Go knows, and whether it is octal.
fn integer(text: &str) -> Option<(Number, bool)> {
    let (negative, digits) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    let lower = digits.to_ascii_lowercase();
    let (radix, digits) = if let Some(rest) = lower.strip_prefix("0x") {
        (16, rest)
    } else if let Some(rest) = lower.strip_prefix("0b") {
        (2, rest)
    } else if let Some(rest) = lower.strip_prefix("0o") {
        (8, rest)
    } else if lower.len() > 1 && lower.starts_with('0') {
        (8, &lower[1..])
    } else {
        (10, lower.as_str())
    };
    // Rust's parser would take a second sign.
    if !digits.chars().all(|digit| digit.is_digit(radix)) {
        return None;
    }
    let magnitude = u64::from_str_radix(digits, radix).ok()?;
    let signed = if negative { 0_i64.checked_sub_unsigned(magnitude) } else { i64::try_from(magnitude).ok() };
    let number = match signed {
        Some(signed) => Number::from(signed),
        // Go knows unsigned numbers without a sign only.
        None if text.starts_with(|first: char| first.is_ascii_digit()) => stored(to_float(magnitude))?,
        None => return None,
    };
    Some((number, radix == 8))
}

#[expect(clippy::cast_precision_loss, reason = "kubectl keeps integers beyond 64 bits signed as floats")]
fn to_float(magnitude: u64) -> f64 {
    magnitude as f64
}

/// `[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?`
fn is_float(text: &str) -> bool {
    let digits = |text: &str| text.bytes().take_while(u8::is_ascii_digit).count();
    let rest = text.strip_prefix(['+', '-']).unwrap_or(text);
    let whole = digits(rest);
    let mut rest = &rest[whole..];
    if let Some(fraction) = rest.strip_prefix('.') {
        let count = digits(fraction);
        if whole + count == 0 {
            return false;
        }
        rest = &fraction[count..];
    } else if whole == 0 {
        return false;
    }
    let Some(exponent) = rest.strip_prefix(['e', 'E']) else { return rest.is_empty() };
    let exponent = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
    !exponent.is_empty() && digits(exponent) == exponent.len()
}

/// A float as the API server stores it and others read it: whole numbers lose their fraction. `None` when it is not finite:
/// then it stays a text.
pub(super) fn stored(float: f64) -> Option<Number> {
    if !float.is_finite() {
        return None;
    }
    // Go writes 1e21 and up, and what is below 1e-6, with an exponent; Rust's display never does, its debug otherwise.
    if float == 0.0 {
        return Some(Number::from(0));
    }
    let text = if float.abs() < 1e21 && float.abs() >= 1e-6 { format!("{float}") } else { format!("{float:e}") };
    serde_json::from_str(&text).ok()
}

/// The text that a key becomes that is no text.
pub(super) fn key(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Bool(is) => Some(is.to_string()),
        Value::Number(number) => number.as_i64().map(|integer| integer.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

/// The text that a float becomes as a key: the shortest that a 32-bit float needs, as kubectl's library has it.
pub(super) fn float_key(text: &str) -> Option<String> {
    let plain = if text.starts_with('.') { text.to_owned() } else { text.replace('_', "") };
    if integer(&plain).is_some() || !is_float(&plain) {
        return None;
    }
    #[expect(clippy::cast_possible_truncation, reason = "as kubectl's library does it")]
    let float = plain.parse::<f64>().ok().filter(|float| float.is_finite())? as f32;
    let scientific = format!("{float:e}");
    let (mantissa, exponent) = scientific.split_once('e')?;
    let power: i32 = exponent.parse().ok()?;
    if float != 0.0 && !(-4..6).contains(&power) {
        let sign = if power < 0 { '-' } else { '+' };
        return Some(format!("{mantissa}e{sign}{:02}", power.abs()));
    }
    Some(format!("{float}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read(text: &str) -> Value {
        plain(text).unwrap().value
    }

    #[test]
    fn plain_scalars_are_what_kubectl_makes_of_them() {
        let cases = [
            ("on", json!(true)),
            ("No", json!(false)),
            ("y", json!(true)),
            ("oN", json!("oN")),
            ("3.10", json!(3.1)),
            ("1.0", json!(1)),
            ("1e3", json!(1000)),
            ("12e03", json!(12000)),
            ("010", json!(8)),
            ("08", json!(8)),
            ("0o17", json!(15)),
            ("0x1F", json!(31)),
            ("-0b11", json!(-3)),
            ("1_000", json!(1000)),
            ("-_1", json!(-1)),
            ("_1", json!("_1")),
            ("+5", json!(5)),
            (".5", json!(0.5)),
            ("5.", json!(5)),
            ("+-5", json!("+-5")),
            ("1:30", json!("1:30")),
            ("1.2.3", json!("1.2.3")),
            ("2001-12-14", json!("2001-12-14")),
            ("1e400", json!("1e400")),
            ("~", Value::Null),
            ("9223372036854775807", json!(i64::MAX)),
            ("-9223372036854775808", json!(i64::MIN)),
            ("-9223372036854775809", json!(-9.223_372_036_854_776e18)),
            ("18446744073709551616", json!(18446744073709551616.0)),
            ("1234567890123456768.0", json!(1_234_567_890_123_456_800_i64)),
            ("0", json!(0)),
            ("-0.0", json!(0)),
            ("0x", json!("0x")),
            ("-", json!("-")),
        ];
        for (text, expected) in cases {
            assert_eq!(read(text), expected, "{text}");
        }
        assert_eq!(plain(".inf"), Err(NotInJson));
    }

    #[test]
    fn what_may_not_be_meant_is_told() {
        let told = |text: &str| plain(text).unwrap().surprise.map(|surprise| surprise.to_string());
        assert_eq!(told("on").unwrap(), "plain on is the boolean true: quote it to have the text, or write true");
        assert_eq!(told("3.10").unwrap(), "plain 3.10 is the number 3.1: quote it to have the text, or write 3.1");
        assert!(told("010").unwrap().contains("octal, the number 8"));
        for quiet in ["true", "3.1", "8", "-1", "0", "text", "1.5e-7", "1e21"] {
            assert_eq!(told(quiet), None, "{quiet}");
        }
    }

    #[test]
    fn floats_as_keys_are_short() {
        for (text, key) in [("3.10", "3.1"), ("1e3", "1000"), ("1234567.5", "1.2345675e+06"), ("0.00001", "1e-05")] {
            assert_eq!(float_key(text).as_deref(), Some(key), "{text}");
        }
        assert_eq!(float_key("3"), None);
    }
}
