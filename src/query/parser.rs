//! Reads the clauses of a query; conditions are in `expression`.

use std::collections::BTreeSet;

use super::ast::{Aggregate, Column, ColumnValue, Query, Select, Source};
use super::error::{ParseError, Problem, short};
use super::functions::Functions;
use super::lexer::{Place, Token, tokens};
use super::limits::{MAX_CHARACTERS, MAX_COLUMNS};
use super::path::{Path, Segment};

/// Words that are no plain keys; as a key they stand in `[[ ]]`.
const RESERVED: [&str; 16] = [
    "select",
    "top",
    "from",
    "where",
    "group",
    "by",
    "as",
    "and",
    "or",
    "not",
    "in",
    "nin",
    "true",
    "false",
    "null",
    "undefined",
];

pub(super) fn is_reserved(word: &str) -> bool {
    RESERVED.iter().any(|reserved| reserved.eq_ignore_ascii_case(word))
}

/// Reads a query.
///
/// # Errors
///
/// [`ParseError`] says where the text stops being a query, what could stand there, and what does.
pub fn parse(text: &str) -> Result<Query, ParseError> {
    parse_with(text, Functions::Evidence)
}

/// As [`parse`], with a say in which functions there are.
///
/// # Errors
///
/// As [`parse`].
pub fn parse_with(text: &str, functions: Functions) -> Result<Query, ParseError> {
    let characters = text.chars().count();
    if characters > MAX_CHARACTERS {
        return Err(Place::START.error(Problem::TooLong(characters)));
    }
    Parser::new(tokens(text)?, functions).query()
}

/// What `AVG` and its like are called in any case.
pub(super) fn aggregate_named(name: &str) -> Option<Aggregate> {
    let all = [Aggregate::Avg, Aggregate::Sum, Aggregate::Min, Aggregate::Max];
    all.into_iter().find(|aggregate| aggregate.name().eq_ignore_ascii_case(name))
}

pub(super) struct Parser {
    tokens: Vec<(Place, Token)>,
    pub(super) functions: Functions,
    next: usize,
    pub(super) depth: usize,
    pub(super) predicates: usize,
}

impl Parser {
    fn new(tokens: Vec<(Place, Token)>, functions: Functions) -> Self {
        Self { tokens, functions, next: 0, depth: 0, predicates: 0 }
    }

    // Tokens.

    /// The token `ahead` of the next one; the end goes on for ever.
    fn at(&self, ahead: usize) -> &(Place, Token) {
        let last = self.tokens.len() - 1;
        &self.tokens[(self.next + ahead).min(last)]
    }

    pub(super) fn peek(&self) -> &Token {
        &self.at(0).1
    }

    pub(super) fn place(&self) -> Place {
        self.at(0).0
    }

    pub(super) fn advance(&mut self) {
        self.next = (self.next + 1).min(self.tokens.len() - 1);
    }

    pub(super) fn eat_symbol(&mut self, symbol: &str) -> bool {
        let found = matches!(self.peek(), Token::Symbol(found) if *found == symbol);
        if found {
            self.advance();
        }
        found
    }

    pub(super) fn eat_word(&mut self, word: &str) -> bool {
        let found = matches!(self.peek(), Token::Word(found) if found.eq_ignore_ascii_case(word));
        if found {
            self.advance();
        }
        found
    }

    pub(super) fn expected(&self, expected: &'static str) -> ParseError {
        self.place().error(Problem::Expected { expected, found: self.peek().shown() })
    }

    pub(super) fn need_symbol(&mut self, symbol: &'static str, expected: &'static str) -> Result<(), ParseError> {
        if self.eat_symbol(symbol) { Ok(()) } else { Err(self.expected(expected)) }
    }

    fn need_word(&mut self, word: &'static str) -> Result<(), ParseError> {
        if self.eat_word(word) { Ok(()) } else { Err(self.expected(word)) }
    }

    /// The name of the call that stands here, as in `name(`.
    pub(super) fn call_name(&self) -> Option<String> {
        match (self.peek(), &self.at(1).1) {
            (Token::Word(name), Token::Symbol("(")) if !is_reserved(name) => Some(name.clone()),
            _ => None,
        }
    }

    // Clauses.

    fn query(&mut self) -> Result<Query, ParseError> {
        self.need_word("SELECT")?;
        let top = self.top()?;
        let list_place = self.place();
        let columns = self.select_list()?;
        self.need_word("FROM")?;
        let source_place = self.place();
        let source = self.source()?;
        let filter = if self.eat_word("WHERE") { Some(self.condition()?) } else { None };
        let grouped = self.group_by(source)?;
        if *self.peek() != Token::End {
            return Err(self.expected(match (&filter, grouped.is_empty()) {
                (_, false) => "\",\" or the end of the query",
                (Some(_), true) => "AND, OR, GROUP BY or the end of the query",
                (None, true) => "WHERE, GROUP BY or the end of the query",
            }));
        }
        check_columns(&columns, &grouped, list_place)?;
        let select = match columns {
            None => Select::Star,
            Some(_) if source == Source::Jobs => {
                return Err(source_place.error(Problem::NotForSource("devices.jobs allows only SELECT *")));
            }
            Some(columns) => Select::Columns(columns.into_iter().map(|(_, column)| column).collect()),
        };
        Ok(Query { source, select, top, filter, group_by: grouped })
    }

    fn top(&mut self) -> Result<Option<u64>, ParseError> {
        if !self.eat_word("TOP") {
            return Ok(None);
        }
        let rows = match self.peek() {
            Token::Integer(rows) => u64::try_from(*rows).ok().filter(|rows| *rows > 0),
            _ => None,
        };
        let rows = rows.ok_or_else(|| self.place().error(Problem::Top))?;
        self.advance();
        Ok(Some(rows))
    }

    /// The columns with their places; `None` for `*`.
    fn select_list(&mut self) -> Result<Option<Vec<(Place, Column)>>, ParseError> {
        if self.eat_symbol("*") {
            return Ok(None);
        }
        let mut columns = Vec::new();
        loop {
            if columns.len() == MAX_COLUMNS {
                return Err(self.place().error(Problem::TooManyColumns));
            }
            columns.push((self.place(), self.column()?));
            if !self.eat_symbol(",") {
                return Ok(Some(columns));
            }
        }
    }

    fn column(&mut self) -> Result<Column, ParseError> {
        let value = match self.call_name() {
            Some(name) => self.aggregate(&name)?,
            None => ColumnValue::Path(self.path("\"*\", a path or an aggregate")?),
        };
        let alias = if self.eat_word("AS") { Some(self.alias()?) } else { None };
        Ok(Column { value, alias })
    }

    fn aggregate(&mut self, name: &str) -> Result<ColumnValue, ParseError> {
        let place = self.place();
        let count = name.eq_ignore_ascii_case("count");
        let Some(aggregate) = aggregate_named(name).map(Some).or(count.then_some(None)) else {
            let expected = "COUNT, AVG, SUM, MIN, MAX or a path";
            return Err(place.error(Problem::Expected { expected, found: format!("the call of {}", short(name)) }));
        };
        self.advance();
        self.need_symbol("(", "\"(\"")?;
        let value = match aggregate {
            None => ColumnValue::Count,
            Some(aggregate) => ColumnValue::Aggregate(aggregate, self.path("a path")?),
        };
        self.need_symbol(")", if count { "\")\": COUNT takes no argument" } else { "\")\"" })?;
        Ok(value)
    }

    fn alias(&mut self) -> Result<String, ParseError> {
        match self.peek().clone() {
            Token::Word(name) if !is_reserved(&name) => {
                self.advance();
                Ok(name)
            }
            _ => Err(self.expected("a name that is no reserved word")),
        }
    }

    fn source(&mut self) -> Result<Source, ParseError> {
        const SOURCES: &str = "devices, devices.modules or devices.jobs";
        if !self.eat_word("devices") {
            return Err(self.expected(SOURCES));
        }
        if !self.eat_symbol(".") {
            return Ok(Source::Devices);
        }
        if self.eat_word("modules") {
            Ok(Source::Modules)
        } else if self.eat_word("jobs") {
            Ok(Source::Jobs)
        } else {
            Err(self.expected(SOURCES))
        }
    }

    fn group_by(&mut self, source: Source) -> Result<Vec<Path>, ParseError> {
        let mut paths = Vec::new();
        let place = self.place();
        if !self.eat_word("GROUP") {
            return Ok(paths);
        }
        self.need_word("BY")?;
        if source != Source::Devices {
            return Err(place.error(Problem::NotForSource("GROUP BY is available only FROM devices")));
        }
        loop {
            paths.push(self.path("a path")?);
            if !self.eat_symbol(",") {
                return Ok(paths);
            }
        }
    }

    // Paths.

    pub(super) fn path(&mut self, expected: &'static str) -> Result<Path, ParseError> {
        let mut written = match self.peek().clone() {
            Token::Word(name) if !is_reserved(&name) => vec![Segment::Name(name)],
            _ => return Err(self.expected(expected)),
        };
        self.advance();
        while self.eat_symbol(".") {
            written.push(match self.peek().clone() {
                Token::Word(name) if is_reserved(&name) => return Err(self.place().error(Problem::Reserved(name))),
                Token::Word(name) => Segment::Name(name),
                Token::Raw(name) => Segment::Raw(name),
                _ => return Err(self.expected("a key, or [[key]] where it is no plain name")),
            });
            self.advance();
        }
        Ok(Path::resolve(written))
    }
}

/// Each column of a grouped answer is grouped by or aggregated, and names are used once.
fn check_columns(columns: &Option<Vec<(Place, Column)>>, grouped: &[Path], list: Place) -> Result<(), ParseError> {
    let Some(columns) = columns else {
        return if grouped.is_empty() { Ok(()) } else { Err(list.error(Problem::StarGrouped)) };
    };
    let plain = |column: &Column| matches!(column.value, ColumnValue::Path(_));
    let many_rows_in_one = !grouped.is_empty() || columns.iter().any(|(_, column)| !plain(column));
    let mut names = BTreeSet::new();
    for (place, column) in columns {
        if let ColumnValue::Path(path) = &column.value
            && many_rows_in_one
            && !grouped.contains(path)
        {
            return Err(place.error(Problem::NotGrouped(short(&path.to_string()))));
        }
        if !names.insert(column.name()) {
            return Err(place.error(Problem::SameName(short(column.name()))));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::ast::ItemType;
    use super::*;

    #[test]
    fn clauses_are_read_in_any_case() {
        let query = parse("select top 5 DEVICEID, tags.a as x from Devices where tags.a > 1 Group by tags.a, deviceid");
        let query = query.unwrap();
        assert_eq!((query.source(), query.top(), query.is_star()), (Source::Devices, Some(5), false));
        assert!(query.is_aggregate() && query.filter().is_some());
        assert_eq!(query.group_by().len(), 2);
        let Select::Columns(columns) = query.select() else { panic!("columns") };
        assert_eq!(columns.iter().map(Column::name).collect::<Vec<_>>(), ["deviceId", "x"]);
    }

    #[test]
    fn items_are_named_as_on_the_wire() {
        let cases = [
            ("SELECT * FROM devices", ItemType::Twin, "Twin"),
            ("SELECT * FROM devices.modules", ItemType::Twin, "Twin"),
            ("SELECT deviceId FROM devices", ItemType::Raw, "Raw"),
            ("SELECT COUNT() FROM devices", ItemType::Raw, "Raw"),
            ("SELECT * FROM devices.jobs", ItemType::DeviceJob, "DeviceJob"),
        ];
        for (text, item, word) in cases {
            let query = parse(text).unwrap();
            assert_eq!((query.item_type(), query.item_type().as_str()), (item, word), "{text}");
        }
    }

    #[test]
    fn mistakes_are_told_with_place_and_expectation() {
        let cases = [
            ("", "line 1, column 1: expected SELECT, found the end of the query"),
            ("SELECT FROM devices", "line 1, column 8: expected \"*\", a path or an aggregate, found \"FROM\""),
            ("SELECT *\nFORM devices", "line 2, column 1: expected FROM, found \"FORM\""),
            (
                "SELECT * FROM twins",
                "line 1, column 15: expected devices, devices.modules or devices.jobs, found \"twins\"",
            ),
            (
                "SELECT * FROM devices ORDER BY deviceId",
                "line 1, column 23: expected WHERE, GROUP BY or the end of the query, found \"ORDER\"",
            ),
            (
                "SELECT * FROM devices WHERE tags.a = 1 tags",
                "line 1, column 40: expected AND, OR, GROUP BY or the end of the query, found \"tags\"",
            ),
            (
                "SELECT * FROM devices WHERE tags.group.a = 1",
                "line 1, column 34: \"group\" is a reserved word; write the key as [[group]]",
            ),
            (
                "SELECT * FROM devices WHERE tags.'a' = 1",
                "line 1, column 34: expected a key, or [[key]] where it is no plain name, found the text \"a\"",
            ),
            ("SELECT TOP 0 * FROM devices", "line 1, column 12: TOP needs a number of at least 1"),
            ("SELECT deviceId id FROM devices", "line 1, column 17: expected FROM, found \"id\""),
            ("SELECT COUNT(*) FROM devices", "line 1, column 14: expected \")\": COUNT takes no argument, found \"*\""),
            (
                "SELECT LOWER(tags.a) FROM devices",
                "line 1, column 8: expected COUNT, AVG, SUM, MIN, MAX or a path, found the call of LOWER",
            ),
            ("SELECT tags.a, COUNT() FROM devices", "line 1, column 8: tags.a is neither aggregated nor in GROUP BY"),
            ("SELECT * FROM devices GROUP BY tags.a", "line 1, column 8: SELECT * cannot be grouped; name the columns"),
            (
                "SELECT tags.v, properties.desired.v FROM devices",
                "line 1, column 16: two columns are named \"v\"; give one another name by AS",
            ),
            ("SELECT jobId FROM devices.jobs", "line 1, column 19: devices.jobs allows only SELECT *"),
            (
                "SELECT COUNT() FROM devices.modules GROUP BY moduleId",
                "line 1, column 37: GROUP BY is available only FROM devices",
            ),
        ];
        for (text, expected) in cases {
            assert_eq!(parse(text).unwrap_err().to_string(), expected, "{text}");
        }
    }

    #[test]
    fn messages_repeat_little_of_the_query() {
        let long = "x".repeat(3000);
        let texts = [
            format!("SELECT * FROM {long}"),
            format!("SELECT * FROM devices WHERE tags.a '{long}'"),
            format!("SELECT * FROM devices WHERE {long}(1)"),
            format!("SELECT * FROM devices WHERE 1{long}"),
            format!("SELECT {long}() FROM devices"),
            format!("SELECT {long}, COUNT() FROM devices"),
            format!("SELECT tags.{long}, {long} FROM devices"),
            format!("SELECT * FROM devices WHERE tags.a 'xxx{}'", "\u{1}".repeat(3000)),
            format!("SELECT tags.a [[xxx{}\n]]", "\n".repeat(3000)),
        ];
        for text in texts {
            let told = parse(&text).unwrap_err().to_string();
            assert!(told.contains("xxx") && told.contains('…') && told.len() < 250, "{told}");
            assert!(!told.contains(char::is_control), "{told}");
        }
    }

    #[test]
    fn columns_are_counted() {
        let text = |columns: usize| {
            let columns: Vec<String> = (0..columns).map(|number| format!("tags.c{number}")).collect();
            format!("SELECT {} FROM devices", columns.join(", "))
        };
        assert!(parse(&text(MAX_COLUMNS)).is_ok());
        assert_eq!(parse(&text(MAX_COLUMNS + 1)).unwrap_err().problem, Problem::TooManyColumns);
    }

    #[test]
    fn long_texts_are_refused() {
        let text = |spaces| format!("SELECT * FROM devices{}", " ".repeat(spaces));
        assert!(parse(&text(MAX_CHARACTERS - 21)).is_ok());
        assert_eq!(parse(&text(MAX_CHARACTERS - 20)).unwrap_err().problem, Problem::TooLong(MAX_CHARACTERS + 1));
    }
}
