//! Which functions the hub answers for twins.
//!
//! `IS_DEFINED` is the only documented one; `STARTSWITH` and `ARRAY_CONTAINS` are what Microsoft's own tools send. The
//! others belong to message routes, where the language has further functions, and the hub refuses them for twins.

use super::error::Problem;

/// A function of conditions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Function {
    /// `IS_DEFINED(path)`: whether the path is there, `null` included.
    IsDefined,
    /// `STARTSWITH(text, prefix)`.
    StartsWith,
    /// `ARRAY_CONTAINS(array, value)`.
    ArrayContains,
}

impl Function {
    /// The name as this crate writes it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::IsDefined => "IS_DEFINED",
            Self::StartsWith => "STARTSWITH",
            Self::ArrayContains => "ARRAY_CONTAINS",
        }
    }

    pub(super) fn takes(self) -> &'static str {
        match self {
            Self::IsDefined => "one path, such as IS_DEFINED(tags.site)",
            Self::StartsWith => "a text and a prefix, such as STARTSWITH(deviceId, 'pump-')",
            Self::ArrayContains => "an array and a value, such as ARRAY_CONTAINS(parentScopes, 'scope')",
        }
    }

    /// The function of a name in any case.
    pub(super) fn named(name: &str) -> Result<Self, Problem> {
        let upper = name.to_ascii_uppercase();
        let known = [Self::IsDefined, Self::StartsWith, Self::ArrayContains];
        if let Some(function) = known.into_iter().find(|function| function.name() == upper) {
            return Ok(function);
        }
        match instead(&upper) {
            Some(instead) => Err(Problem::RefusedFunction { name: name.to_owned(), instead }),
            None => Err(Problem::UnknownFunction(name.to_owned())),
        }
    }
}

/// What to write instead of a function that exists only in other dialects.
fn instead(upper: &str) -> Option<&'static str> {
    Some(match upper {
        "STARTS_WITH" => "write STARTSWITH",
        "IS_NULL" => "null removes a key, so test NOT IS_DEFINED",
        "ENDS_WITH" | "ENDSWITH" | "CONTAINS" | "LIKE" => "only STARTSWITH looks into a text",
        "IS_BOOL" | "IS_NUMBER" | "IS_STRING" | "IS_OBJECT" | "IS_ARRAY" | "IS_PRIMITIVE" => {
            "a comparison is true only for values of its own type"
        }
        "AS_NUMBER" | "ABS" | "EXP" | "POWER" | "SQUARE" | "CEILING" | "FLOOR" | "SIGN" | "SQRT" | "CONCAT"
        | "LENGTH" | "LOWER" | "UPPER" | "SUBSTRING" | "INDEX_OF" => "it belongs to message routes",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_in_any_case_and_others_are_refused_by_name() {
        assert_eq!(Function::named("is_Defined"), Ok(Function::IsDefined));
        assert_eq!(Function::named("array_contains"), Ok(Function::ArrayContains));
        for name in ["STARTS_WITH", "is_null", "EndsWith", "contains", "IS_STRING", "lower"] {
            let told = Function::named(name).unwrap_err().to_string();
            assert!(told.starts_with(&format!("{name} is not available in queries of twins; ")), "{told}");
        }
        assert_eq!(Function::named("frob").unwrap_err().to_string(), "frob is not a function");
    }
}
