//! Which functions there are, and which of them the hub answers for twins.
//!
//! `IS_DEFINED` is the only one that is documented for twins; `STARTSWITH` and `ARRAY_CONTAINS` are what Microsoft's own
//! tools send. The others are documented for message routes; whether the hub answers them for twins nobody tells.

use serde::{Deserialize, Serialize};

use super::error::{Problem, short};

/// Which functions a query may call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Functions {
    /// Those that are known to work for twins: `IS_DEFINED`, `STARTSWITH`, `ARRAY_CONTAINS`.
    #[default]
    Evidence,
    /// Also those that are documented for message routes.
    Documented,
}

macro_rules! functions {
    ($($(#[$doc:meta])* $variant:ident: $name:literal, $arguments:expr, $takes:literal;)*) => {
        /// A function of conditions. Where an argument has a type that it does not take, the result is undefined.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Function {
            $($(#[$doc])* $variant,)*
        }

        /// Every function.
        pub(super) const ALL: &[Function] = &[$(Function::$variant,)*];

        impl Function {
            /// The name as this crate writes it.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                }
            }

            /// How many arguments it takes.
            pub(super) fn arguments(self) -> std::ops::RangeInclusive<usize> {
                match self {
                    $(Self::$variant => $arguments,)*
                }
            }

            /// Its arguments in words.
            pub(super) fn takes(self) -> &'static str {
                match self {
                    $(Self::$variant => $takes,)*
                }
            }
        }
    };
}

functions! {
    /// Whether the path is there, `null` included.
    IsDefined: "IS_DEFINED", 1..=1, "one path, such as IS_DEFINED(tags.site)";
    /// Whether a text starts with another.
    StartsWith: "STARTSWITH", 2..=2, "a text and a prefix, such as STARTSWITH(deviceId, 'pump-')";
    /// Whether an array holds a value.
    ArrayContains: "ARRAY_CONTAINS", 2..=2, "an array and a value, such as ARRAY_CONTAINS(parentScopes, 'scope')";
    /// Whether it is `null`; false for what is not there, as for all type checks.
    IsNull: "IS_NULL", 1..=1, "one value";
    /// Whether it is `true` or `false`.
    IsBool: "IS_BOOL", 1..=1, "one value";
    /// Whether it is a number.
    IsNumber: "IS_NUMBER", 1..=1, "one value";
    /// Whether it is a text.
    IsString: "IS_STRING", 1..=1, "one value";
    /// Whether it is an object.
    IsObject: "IS_OBJECT", 1..=1, "one value";
    /// Whether it is an array.
    IsArray: "IS_ARRAY", 1..=1, "one value";
    /// Whether it is a text, a number, a truth value or `null`.
    IsPrimitive: "IS_PRIMITIVE", 1..=1, "one value";
    /// The number that a text writes; a number itself.
    AsNumber: "AS_NUMBER", 1..=1, "one text or number";
    /// The number without its sign.
    Abs: "ABS", 1..=1, "one number";
    /// e to the power of the number.
    Exp: "EXP", 1..=1, "one number";
    /// The first number to the power of the second.
    Power: "POWER", 2..=2, "two numbers";
    /// The number times itself.
    Square: "SQUARE", 1..=1, "one number";
    /// The smallest whole number that is not below.
    Ceiling: "CEILING", 1..=1, "one number";
    /// The greatest whole number that is not above.
    Floor: "FLOOR", 1..=1, "one number";
    /// -1, 0 or 1.
    Sign: "SIGN", 1..=1, "one number";
    /// The square root.
    Sqrt: "SQRT", 1..=1, "one number";
    /// The texts, one behind the other.
    Concat: "CONCAT", 2..=usize::MAX, "two or more texts";
    /// How many characters a text has.
    Length: "LENGTH", 1..=1, "one text";
    /// The text in lower case.
    Lower: "LOWER", 1..=1, "one text";
    /// The text in upper case.
    Upper: "UPPER", 1..=1, "one text";
    /// The part of a text from a character on, counted from 0, to its end or of a length.
    Substring: "SUBSTRING", 2..=3, "a text, a start from 0 on and perhaps a length";
    /// Where a text stands within another, from 0 on; -1 when it does not.
    IndexOf: "INDEX_OF", 2..=2, "a text and what to look for";
    /// Whether a text ends with another.
    EndsWith: "ENDS_WITH", 2..=2, "a text and an ending";
    /// Whether a text holds another.
    Contains: "CONTAINS", 2..=2, "a text and what to look for";
}

impl Function {
    /// The function of a name in any case.
    pub(super) fn named(name: &str, functions: Functions) -> Result<Self, Problem> {
        let upper = name.to_ascii_uppercase();
        // Twins and routes spell these apart.
        let spelled = match (upper.as_str(), functions) {
            ("STARTS_WITH", Functions::Documented) => "STARTSWITH",
            ("ENDSWITH", _) => "ENDS_WITH",
            (upper, _) => upper,
        };
        let known = ALL.iter().copied().find(|function| function.name() == spelled);
        match (known, functions) {
            (Some(function), Functions::Documented) => Ok(function),
            (Some(function @ (Self::IsDefined | Self::StartsWith | Self::ArrayContains)), Functions::Evidence) => {
                Ok(function)
            }
            (Some(function), Functions::Evidence) => {
                Err(Problem::RefusedFunction { name: name.to_owned(), instead: function.instead() })
            }
            (None, _) if upper == "STARTS_WITH" => {
                Err(Problem::RefusedFunction { name: name.to_owned(), instead: "write STARTSWITH" })
            }
            (None, _) => Err(Problem::UnknownFunction(short(name))),
        }
    }

    /// What to write instead of a function that is documented only for other dialects.
    fn instead(self) -> &'static str {
        match self {
            Self::IsNull => "null removes a key, so test NOT IS_DEFINED",
            Self::EndsWith | Self::Contains => "only STARTSWITH looks into a text",
            Self::IsBool | Self::IsNumber | Self::IsString | Self::IsObject | Self::IsArray | Self::IsPrimitive => {
                "a comparison is true only for values of its own type"
            }
            _ => "it belongs to message routes",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_in_any_case_and_others_are_refused_by_name() {
        let evidence = |name| Function::named(name, Functions::Evidence);
        assert_eq!(evidence("is_Defined"), Ok(Function::IsDefined));
        assert_eq!(evidence("array_contains"), Ok(Function::ArrayContains));
        for name in ["STARTS_WITH", "is_null", "EndsWith", "contains", "IS_STRING", "lower"] {
            let told = evidence(name).unwrap_err().to_string();
            assert!(told.starts_with(&format!("{name} is not available in queries of twins; ")), "{told}");
        }
        assert_eq!(evidence("frob").unwrap_err().to_string(), "frob is not a function");
    }

    #[test]
    fn documented_functions_have_the_names_of_both_dialects() {
        let documented = |name: &str| Function::named(name, Functions::Documented);
        for function in ALL {
            assert_eq!(documented(&function.name().to_ascii_lowercase()), Ok(*function));
        }
        assert_eq!(documented("starts_with"), Ok(Function::StartsWith));
        assert_eq!(documented("endswith"), Ok(Function::EndsWith));
        assert!(documented("LIKE").is_err());
    }
}
