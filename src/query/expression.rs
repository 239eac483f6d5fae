//! Reads conditions: `OR`, `AND`, `NOT`, comparisons, `+ -`, `* / %`, from loose to tight.

use super::ast::{ArithmeticOp, CompareOp, Expr, Literal};
use super::error::{ParseError, Problem};
use super::functions::Function;
use super::lexer::Token;
use super::limits::{MAX_NESTING, MAX_PREDICATES};
use super::parser::{Parser, aggregate_named};

impl Parser {
    pub(super) fn condition(&mut self) -> Result<Expr, ParseError> {
        self.chain("OR", Expr::Or, |parser| parser.chain("AND", Expr::And, Self::negation))
    }

    fn chain(
        &mut self,
        word: &str,
        join: fn(Vec<Expr>) -> Expr,
        part: impl Fn(&mut Self) -> Result<Expr, ParseError>,
    ) -> Result<Expr, ParseError> {
        let first = part(self)?;
        let mut parts = vec![first];
        while self.eat_word(word) {
            parts.push(part(self)?);
        }
        Ok(if parts.len() == 1 { parts.swap_remove(0) } else { join(parts) })
    }

    /// Runs `part` one level deeper. Every recursion of the parser passes here, which bounds its stack and that of all
    /// who walk the tree.
    fn deeper<T>(&mut self, part: impl FnOnce(&mut Self) -> Result<T, ParseError>) -> Result<T, ParseError> {
        if self.depth == MAX_NESTING {
            return Err(self.place().error(Problem::TooDeep));
        }
        self.depth += 1;
        let result = part(self);
        self.depth -= 1;
        result
    }

    fn predicate(&mut self) -> Result<(), ParseError> {
        self.predicates += 1;
        if self.predicates > MAX_PREDICATES {
            return Err(self.place().error(Problem::TooManyPredicates));
        }
        Ok(())
    }

    fn negation(&mut self) -> Result<Expr, ParseError> {
        if self.eat_word("NOT") {
            return Ok(Expr::Not(Box::new(self.deeper(Self::negation)?)));
        }
        self.comparison()
    }

    fn comparison(&mut self) -> Result<Expr, ParseError> {
        let left = self.sum()?;
        let negated = matches!(self.peek(), Token::Word(word) if word.eq_ignore_ascii_case("NIN"));
        let compared = if negated || matches!(self.peek(), Token::Word(word) if word.eq_ignore_ascii_case("IN")) {
            self.predicate()?;
            self.advance();
            Expr::In { negated, value: Box::new(left), list: self.list()? }
        } else if let Some(op) = self.compare_op() {
            self.predicate()?;
            self.advance();
            Expr::Compare(op, Box::new(left), Box::new(self.sum()?))
        } else {
            return Ok(left);
        };
        if self.compare_op().is_some() {
            return Err(self.place().error(Problem::Chained));
        }
        Ok(compared)
    }

    fn compare_op(&self) -> Option<CompareOp> {
        let Token::Symbol(symbol) = self.peek() else { return None };
        Some(match *symbol {
            "=" => CompareOp::Equal,
            "!=" | "<>" => CompareOp::NotEqual,
            "<" => CompareOp::Less,
            "<=" => CompareOp::LessOrEqual,
            ">" => CompareOp::Greater,
            ">=" => CompareOp::GreaterOrEqual,
            _ => return None,
        })
    }

    fn list(&mut self) -> Result<Vec<Expr>, ParseError> {
        self.need_symbol("[", "a list in brackets, such as ['a', 'b']")?;
        let list = self.deeper(|parser| {
            let mut list = vec![parser.sum()?];
            while parser.eat_symbol(",") {
                list.push(parser.sum()?);
            }
            Ok(list)
        })?;
        self.need_symbol("]", "\",\" or \"]\"")?;
        Ok(list)
    }

    fn sum(&mut self) -> Result<Expr, ParseError> {
        const OPS: [(&str, ArithmeticOp); 2] = [("+", ArithmeticOp::Add), ("-", ArithmeticOp::Subtract)];
        self.arithmetic(&OPS, Self::product)
    }

    fn product(&mut self) -> Result<Expr, ParseError> {
        const OPS: [(&str, ArithmeticOp); 3] =
            [("*", ArithmeticOp::Multiply), ("/", ArithmeticOp::Divide), ("%", ArithmeticOp::Remainder)];
        self.arithmetic(&OPS, Self::operand)
    }

    fn arithmetic(
        &mut self,
        ops: &[(&str, ArithmeticOp)],
        part: fn(&mut Self) -> Result<Expr, ParseError>,
    ) -> Result<Expr, ParseError> {
        let first = part(self)?;
        let mut rest = Vec::new();
        while let Some((_, op)) = ops.iter().find(|(symbol, _)| self.eat_symbol(symbol)) {
            rest.push((*op, part(self)?));
        }
        Ok(if rest.is_empty() { first } else { Expr::Arithmetic(Box::new(first), rest) })
    }

    fn operand(&mut self) -> Result<Expr, ParseError> {
        if let Some(name) = self.call_name() {
            return self.call(&name);
        }
        if *self.peek() == Token::Symbol("[") {
            return self.list().map(Expr::Array);
        }
        if self.eat_symbol("(") {
            let inner = self.deeper(Self::condition)?;
            self.need_symbol(")", "\")\", AND, OR or an operator")?;
            return Ok(inner);
        }
        let negative = self.eat_symbol("-");
        let literal = match self.peek().clone() {
            Token::Integer(number) if negative => Literal::Integer(-number),
            Token::Float(number) if negative => Literal::Float(-number),
            _ if negative => return Err(self.expected("a number after \"-\"")),
            Token::Integer(number) => Literal::Integer(number),
            Token::Float(number) => Literal::Float(number),
            Token::Text(text) => Literal::Text(text),
            Token::Word(word) => match word.to_ascii_lowercase().as_str() {
                "true" => Literal::Bool(true),
                "false" => Literal::Bool(false),
                "null" => Literal::Null,
                "undefined" => Literal::Undefined,
                _ => return self.path("a path, a constant, a function or \"(\"").map(Expr::Path),
            },
            _ => return Err(self.expected("a path, a constant, a function or \"(\"")),
        };
        self.advance();
        Ok(Expr::Literal(literal))
    }

    fn call(&mut self, name: &str) -> Result<Expr, ParseError> {
        let place = self.place();
        if let Some(aggregate) = aggregate_named(name) {
            return Err(place.error(Problem::AggregateHere(aggregate.name())));
        }
        if name.eq_ignore_ascii_case("count") {
            return Err(place.error(Problem::AggregateHere("count")));
        }
        let function = Function::named(name, self.functions).map_err(|problem| place.error(problem))?;
        self.predicate()?;
        self.advance();
        self.need_symbol("(", "\"(\"")?;
        let arguments = self.deeper(|parser| {
            let mut arguments = Vec::new();
            if *parser.peek() != Token::Symbol(")") {
                arguments.push(parser.sum()?);
                while parser.eat_symbol(",") {
                    arguments.push(parser.sum()?);
                }
            }
            Ok(arguments)
        })?;
        self.need_symbol(")", "\",\" or \")\"")?;
        let path_wanted = function == Function::IsDefined;
        let fits = function.arguments().contains(&arguments.len());
        if !fits || path_wanted && !matches!(arguments.as_slice(), [Expr::Path(_)]) {
            return Err(place.error(Problem::Arguments { name: function.name(), takes: function.takes() }));
        }
        Ok(Expr::Call(function, arguments))
    }
}

#[cfg(test)]
mod tests {
    use super::super::parse;
    use super::*;

    fn where_(condition: &str) -> Result<String, String> {
        let query = parse(&format!("SELECT * FROM devices WHERE {condition}")).map_err(|e| e.to_string())?;
        Ok(query.filter().unwrap().to_string())
    }

    #[test]
    fn operators_bind_as_in_sql() {
        let cases = [
            ("tags.a = 1 OR tags.b = 2 AND tags.c = 3", "tags.a = 1 OR tags.b = 2 AND tags.c = 3"),
            ("(tags.a = 1 or tags.b <> 2) and tags.c = 3", "(tags.a = 1 OR tags.b != 2) AND tags.c = 3"),
            ("not tags.a = 1 and tags.b", "NOT tags.a = 1 AND tags.b"),
            ("NOT (tags.a = 1 AND tags.b)", "NOT (tags.a = 1 AND tags.b)"),
            ("(tags.a) + 2*3 - (4 - 1) > 0x1F", "tags.a + 2 * 3 - (4 - 1) > 31"),
            ("(tags.a + 1) * -2 >= -1.5", "(tags.a + 1) * -2 >= -1.5"),
            ("tags.a in [1, 'x', null]", "tags.a IN [1, 'x', null]"),
            ("(tags.a = tags.b) = true", "(tags.a = tags.b) = true"),
            ("startswith(DeviceId, \"p'\")", r"STARTSWITH(deviceId, 'p\'')"),
            ("array_contains( [ [1], 2 ] , [1])", "ARRAY_CONTAINS([ [1], 2], [1])"),
        ];
        for (written, expected) in cases {
            assert_eq!(where_(written).as_deref(), Ok(expected), "{written}");
        }
    }

    #[test]
    fn mistakes_are_told_with_place_and_expectation() {
        let operand = "expected a path, a constant, a function or \"(\"";
        let cases = [
            ("tags.a =", format!("37: {operand}, found the end of the query")),
            ("tags.a = NOT tags.b", format!("38: {operand}, found \"NOT\"")),
            ("tags.a IN ('x')", "39: expected a list in brackets, such as ['a', 'b'], found \"(\"".to_owned()),
            ("tags.a IN []", format!("40: {operand}, found \"]\"")),
            ("tags.a IN ['x'", "43: expected \",\" or \"]\", found the end of the query".to_owned()),
            ("tags.a = 1 = 2", "40: comparisons do not chain; join them by AND".to_owned()),
            ("(tags.a = 1", "40: expected \")\", AND, OR or an operator, found the end of the query".to_owned()),
            ("tags.a = -tags.b", "39: expected a number after \"-\", found \"tags\"".to_owned()),
            ("tags.a LIKE 'x'", "36: expected AND, OR, GROUP BY or the end of the query, found \"LIKE\"".to_owned()),
            ("COUNT() > 1", "29: count stands only in the select list".to_owned()),
            ("is_defined('a')", "29: IS_DEFINED takes one path, such as IS_DEFINED(tags.site)".to_owned()),
            (
                "STARTSWITH(deviceId)",
                "29: STARTSWITH takes a text and a prefix, such as STARTSWITH(deviceId, 'pump-')".to_owned(),
            ),
            (
                "starts_with(deviceId, 'x')",
                "29: starts_with is not available in queries of twins; write STARTSWITH".to_owned(),
            ),
        ];
        for (written, expected) in cases {
            assert_eq!(where_(written), Err(format!("line 1, column {expected}")), "{written}");
        }
    }

    #[test]
    fn depth_and_predicates_are_bounded() {
        let nested = |levels| format!("{}tags.a{}", "(".repeat(levels), ")".repeat(levels));
        assert!(where_(&nested(MAX_NESTING)).is_ok());
        assert!(where_(&nested(MAX_NESTING + 1)).unwrap_err().ends_with(&Problem::TooDeep.to_string()));
        assert!(where_(&format!("{}tags.a", "NOT ".repeat(1000))).unwrap_err().ends_with("levels are allowed"));
        assert!(where_(&"(".repeat(8000)).is_err());

        let chained = |predicates| vec!["tags.a=1"; predicates].join(" OR ");
        assert!(where_(&chained(MAX_PREDICATES)).is_ok());
        let told = where_(&chained(MAX_PREDICATES + 1)).unwrap_err();
        assert!(told.ends_with(&Problem::TooManyPredicates.to_string()), "{told}");
        assert!(where_(&format!("0{} = 1", "+1".repeat(4000))).is_ok());
    }
}
