//! Why a field of a form is refused. The app has the words.

use std::ops::RangeInclusive;

/// Why a field was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mistake {
    Missing,
    /// The fewest characters.
    TooShort(usize),
    /// The most characters.
    TooLong(usize),
    /// A control character, or bytes that are no UTF-8.
    Characters,
    /// No whole number of this range.
    Number(RangeInclusive<i64>),
    /// None of the choices.
    Choice,
    /// Sent more than once.
    Repeated,
    /// A rule of the app, in its own words.
    Other(&'static str),
}
