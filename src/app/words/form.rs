//! The sentence beside a field that is refused.

use crate::engine::Mistake;

/// A sentence for the reader.
pub fn mistake(mistake: &Mistake) -> String {
    let characters = |count: &usize| match count {
        1 => "1 character".to_owned(),
        count => format!("{count} characters"),
    };
    match mistake {
        Mistake::Missing => "Fill this in.".to_owned(),
        Mistake::TooShort(min) => format!("Use at least {}.", characters(min)),
        Mistake::TooLong(max) => format!("Use at most {}.", characters(max)),
        Mistake::Characters => "This has characters that can't be shown. Delete them.".to_owned(),
        Mistake::Number(range) => {
            let (min, max) = (range.start(), range.end());
            format!("Enter a whole number from {min} to {max}.")
        }
        Mistake::Choice => "Choose one of the options.".to_owned(),
        Mistake::Repeated => "This was sent more than once. Send the form again.".to_owned(),
        Mistake::Other(text) => (*text).to_owned(),
    }
}
