//! Cuts a query text into tokens.

use std::iter::Peekable;
use std::str::Chars;

use super::error::{ParseError, Problem, short};

/// A place in the text, both from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub line: usize,
    pub column: usize,
}

impl Place {
    pub const START: Self = Self { line: 1, column: 1 };

    pub fn error(self, problem: Problem) -> ParseError {
        ParseError { line: self.line, column: self.column, problem }
    }
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Token {
    /// A name or a keyword.
    Word(String),
    /// `[[name]]`
    Raw(String),
    Text(String),
    Integer(i64),
    Float(f64),
    /// A symbol of one or two characters.
    Symbol(&'static str),
    End,
}

impl Token {
    /// How a message shows the token.
    pub fn shown(&self) -> String {
        match self {
            Self::Word(word) => format!("\"{}\"", short(word)),
            Self::Raw(name) => format!("[[{}]]", short(name)),
            Self::Text(text) => format!("the text \"{}\"", short(text)),
            Self::Integer(number) => format!("the number {number}"),
            Self::Float(number) => format!("the number {number}"),
            Self::Symbol(symbol) => format!("\"{symbol}\""),
            Self::End => "the end of the query".to_owned(),
        }
    }
}

/// Longer symbols first, so that `<=` is not read as `<`.
const SYMBOLS: [&str; 17] = ["!=", "<>", "<=", ">=", "=", "<", ">", "+", "-", "*", "/", "%", "(", ")", "[", "]", ","];

pub(super) fn is_name_start(c: char) -> bool {
    c.is_alphabetic() || matches!(c, '_' | '$')
}

pub(super) fn is_name_part(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '_' | '$')
}

/// Every token with its place; the last is [`Token::End`].
pub(super) fn tokens(text: &str) -> Result<Vec<(Place, Token)>, ParseError> {
    let mut lexer = Lexer { rest: text.chars().peekable(), place: Place::START };
    let mut found = Vec::new();
    loop {
        while lexer.rest.next_if(|c| c.is_whitespace()).map(|c| lexer.place.pass(c)).is_some() {}
        let place = lexer.place;
        let token = lexer.token().map_err(|problem| place.error(problem))?;
        let end = token == Token::End;
        found.push((place, token));
        if end {
            return Ok(found);
        }
    }
}

impl Place {
    fn pass(&mut self, c: char) {
        if c == '\n' {
            *self = Self { line: self.line + 1, column: 1 };
        } else {
            self.column += 1;
        }
    }
}

struct Lexer<'t> {
    rest: Peekable<Chars<'t>>,
    place: Place,
}

impl Lexer<'_> {
    fn next(&mut self) -> Option<char> {
        let c = self.rest.next()?;
        self.place.pass(c);
        Some(c)
    }

    fn take_while(&mut self, wanted: impl Fn(char) -> bool) -> String {
        let mut taken = String::new();
        while let Some(c) = self.rest.next_if(|c| wanted(*c)) {
            self.place.pass(c);
            taken.push(c);
        }
        taken
    }

    fn starts_with(&self, symbol: &str) -> bool {
        let mut rest = self.rest.clone();
        symbol.chars().all(|c| rest.next() == Some(c))
    }

    fn skip(&mut self, characters: usize) {
        for _ in 0..characters {
            self.next();
        }
    }

    fn token(&mut self) -> Result<Token, Problem> {
        let Some(&first) = self.rest.peek() else { return Ok(Token::End) };
        if is_name_start(first) {
            return Ok(Token::Word(self.take_while(is_name_part)));
        }
        match first {
            '0'..='9' => self.number(),
            '\'' | '"' => self.text(),
            '.' => {
                self.skip(1);
                Ok(Token::Symbol("."))
            }
            '[' if self.starts_with("[[") => self.raw(),
            other => {
                let symbol = SYMBOLS.into_iter().find(|symbol| self.starts_with(symbol));
                let symbol = symbol.ok_or(Problem::Character(other))?;
                self.skip(symbol.len());
                Ok(Token::Symbol(symbol))
            }
        }
    }

    /// `[[name]]`: everything up to the first `]]`.
    fn raw(&mut self) -> Result<Token, Problem> {
        self.skip(2);
        let mut name = String::new();
        while !self.starts_with("]]") {
            name.push(self.next().ok_or(Problem::Unclosed("the name in [["))?);
        }
        self.skip(2);
        Ok(Token::Raw(name))
    }

    /// A number and everything glued to it, so that `2floor` is one mistake and not two tokens.
    fn number(&mut self) -> Result<Token, Problem> {
        let mut written = self.take_while(is_name_part);
        let hexadecimal = written.starts_with("0x") || written.starts_with("0X");
        if !hexadecimal {
            if self.starts_with(".") {
                self.skip(1);
                written.push('.');
                written.push_str(&self.take_while(is_name_part));
            }
            // The sign of an exponent is the only one inside a number.
            if written.ends_with(['e', 'E']) && (self.starts_with("+") || self.starts_with("-")) {
                written.extend(self.next());
                written.push_str(&self.take_while(is_name_part));
            }
        }
        read_number(&written, hexadecimal).ok_or_else(|| Problem::Number(short(&written)))
    }

    fn text(&mut self) -> Result<Token, Problem> {
        const UNCLOSED: Problem = Problem::Unclosed("the text");
        let quote = self.next().ok_or(UNCLOSED)?;
        let mut text = String::new();
        loop {
            match self.next().ok_or(UNCLOSED)? {
                '\\' => text.push(self.escaped()?),
                c if c == quote => return Ok(Token::Text(text)),
                c => text.push(c),
            }
        }
    }

    fn escaped(&mut self) -> Result<char, Problem> {
        match self.next().ok_or(Problem::Unclosed("the text"))? {
            c @ ('\'' | '"' | '\\') => Ok(c),
            'u' => {
                const ALONE: Problem = Problem::Escape("half a surrogate pair stands alone");
                let unit = self.code_unit()?;
                if !(0xD800..0xE000).contains(&unit) {
                    return char::from_u32(unit).ok_or(ALONE);
                }
                if unit >= 0xDC00 || !self.starts_with("\\u") {
                    return Err(ALONE);
                }
                self.skip(2);
                let low = self.code_unit()?;
                if !(0xDC00..0xE000).contains(&low) {
                    return Err(ALONE);
                }
                char::from_u32(0x10000 + ((unit - 0xD800) << 10) + (low - 0xDC00)).ok_or(ALONE)
            }
            _ => Err(Problem::Escape("the backslash escapes nothing")),
        }
    }

    fn code_unit(&mut self) -> Result<u32, Problem> {
        (0..4).try_fold(0, |unit, _| {
            let digit = self.next().and_then(|c| c.to_digit(16)).ok_or(Problem::Escape("\\u needs four digits"))?;
            Ok(unit * 16 + digit)
        })
    }
}

/// Digits that fit no 64-bit integer are a float, as in JSON.
fn read_number(written: &str, hexadecimal: bool) -> Option<Token> {
    if hexadecimal {
        let digits = written.get(2..)?;
        return i64::from_str_radix(digits, 16).ok().filter(|_| !digits.starts_with('+')).map(Token::Integer);
    }
    let whole = written.chars().all(|c| c.is_ascii_digit());
    if let Some(number) = written.parse().ok().filter(|_| whole) {
        return Some(Token::Integer(number));
    }
    let float = written.chars().all(|c| c.is_ascii_digit() || matches!(c, '.' | 'e' | 'E' | '+' | '-'));
    let number: f64 = written.parse().ok().filter(|_| float && !written.ends_with('.'))?;
    number.is_finite().then_some(Token::Float(number))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Vec<Token> {
        let mut found: Vec<Token> = tokens(text).unwrap().into_iter().map(|(_, token)| token).collect();
        found.pop();
        found
    }

    #[test]
    fn numbers_and_texts_are_read_by_value() {
        let cases = [
            ("0x14", Token::Integer(20)),
            ("007", Token::Integer(7)),
            ("1.50", Token::Float(1.5)),
            ("2e-3", Token::Float(0.002)),
            ("1.5E+2", Token::Float(150.0)),
            ("9223372036854775808", Token::Float(9_223_372_036_854_775_808.0)),
            (r#"'it\'s \"x\" \\ \u00fc \ud83d\ude00'"#, Token::Text("it's \"x\" \\ ü 😀".to_owned())),
            (r#""a'b""#, Token::Text("a'b".to_owned())),
            ("[[rollout-7 ]]", Token::Raw("rollout-7 ".to_owned())),
            ("$lastUpdated", Token::Word("$lastUpdated".to_owned())),
        ];
        for (text, expected) in cases {
            assert_eq!(read(text), [expected], "{text}");
        }
    }

    #[test]
    fn symbols_are_read_longest_first() {
        let shown: Vec<String> = read("a<=b<>c>=d!=e<f").iter().map(Token::shown).collect();
        assert_eq!(shown.join(" "), r#""a" "<=" "b" "<>" "c" ">=" "d" "!=" "e" "<" "f""#);
    }

    #[test]
    fn mistakes_are_told_with_their_place() {
        let cases = [
            ("a\n  'b", "line 2, column 3: the text is not closed"),
            ("ü ;", "line 1, column 3: ';' has no meaning here"),
            ("[[a]", "line 1, column 1: the name in [[ is not closed"),
            (r"'\t'", r#"line 1, column 1: the backslash escapes nothing; the escapes are \', \", \\ and \uXXXX"#),
            ("2floor", "line 1, column 1: \"2floor\" is not a number, or is too large"),
            ("1e999", "line 1, column 1: \"1e999\" is not a number, or is too large"),
            ("0x", "line 1, column 1: \"0x\" is not a number, or is too large"),
            ("1.", "line 1, column 1: \"1.\" is not a number, or is too large"),
        ];
        for (text, expected) in cases {
            assert_eq!(tokens(text).unwrap_err().to_string(), expected);
        }
        for text in [r"'\ud83d'", r"'\ude00'", r"'\ud83dA'", r"'\u12'", "'\\"] {
            assert!(tokens(text).is_err(), "{text}");
        }
    }
}
