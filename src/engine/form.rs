//! Typed fields of a form, or of a JSON object below `/api/`.
//!
//! [`Form<T>`](Form) reads the body, and [`Fields::read`] of `T` has the rule of each field. A
//! handler gets the value, or [`Refused`] with the typed text and one [`Mistake`] per field.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::str::FromStr;

use axum::body::Bytes;
use axum::extract::{FromRequest, Request};
use axum::http::header;
use serde_json::Value;
use url::form_urlencoded;

use crate::engine::error::{Failure, is_api};
use crate::engine::mistake::Mistake;
use crate::engine::state::Engine;

/// Media type of JSON (RFC 8259).
pub const JSON: &str = "application/json";

/// A body that was read. Rejects only bodies without fields: too large, or no JSON object.
pub struct Form<T>(pub Result<T, Refused>);

/// A type whose fields come from a form.
pub trait Fields: Sized {
    /// Reads every field, so that no mistake hides another. `None` if one was refused.
    fn read(fields: &mut FieldReader) -> Option<Self>;
}

/// A refused form.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Refused {
    values: BTreeMap<String, String>,
    mistakes: BTreeMap<&'static str, Mistake>,
}

impl Refused {
    /// The typed text, for showing the form again. Empty for a field that was not sent.
    pub fn value(&self, name: &str) -> &str {
        self.values.get(name).map_or("", String::as_str)
    }

    pub fn mistake(&self, name: &str) -> Option<&Mistake> {
        self.mistakes.get(name)
    }

    /// All mistakes by the name of their field.
    pub fn mistakes(&self) -> &BTreeMap<&'static str, Mistake> {
        &self.mistakes
    }

    /// The form with what was typed into a field, for a mistake that was found after reading it.
    #[must_use]
    pub fn typed(mut self, name: &str, value: impl Into<String>) -> Self {
        self.values.insert(name.to_owned(), value.into());
        self
    }

    /// The form with one more mistake, which only the database could find.
    #[must_use]
    pub fn with(mut self, name: &'static str, mistake: Mistake) -> Self {
        self.mistakes.insert(name, mistake);
        self
    }
}

/// For programs. A page shows the form again instead.
impl From<Refused> for Failure {
    fn from(refused: Refused) -> Self {
        Self::InvalidFields(refused.mistakes)
    }
}

/// Reads fields by name, and collects the mistakes.
#[derive(Default)]
pub struct FieldReader {
    sent: BTreeMap<String, Vec<String>>,
    mistakes: BTreeMap<&'static str, Mistake>,
}

impl FieldReader {
    /// One line of text without white space at its edges. `length` is in characters. With a minimum
    /// of 0 the field may be absent.
    pub fn text(&mut self, name: &'static str, length: RangeInclusive<usize>) -> Option<String> {
        self.checked_text(name, length, char::is_control)
    }

    /// Text of several lines. Browsers send CRLF, which becomes LF and counts as one character.
    pub fn lines(&mut self, name: &'static str, length: RangeInclusive<usize>) -> Option<String> {
        let is_wrong = |character: char| character.is_control() && !"\n\t".contains(character);
        self.checked_text(name, length, is_wrong)
    }

    /// A whole number.
    pub fn number(&mut self, name: &'static str, range: RangeInclusive<i64>) -> Option<i64> {
        let text = self.required(name)?;
        match text.parse() {
            Ok(number) if range.contains(&number) => Some(number),
            _ => self.refuse(name, Mistake::Number(range)),
        }
    }

    /// One of the values of a type, such as an enum.
    pub fn choice<T: FromStr>(&mut self, name: &'static str) -> Option<T> {
        let text = self.required(name)?;
        match text.parse() {
            Ok(choice) => Some(choice),
            Err(_) => self.refuse(name, Mistake::Choice),
        }
    }

    /// A box that is ticked. A browser sends nothing for an empty one.
    pub fn flag(&mut self, name: &'static str) -> Option<bool> {
        let text = self.sent_once(name)?;
        match text.as_str() {
            "" | "false" => Some(false),
            "on" | "yes" | "true" => Some(true),
            _ => self.refuse(name, Mistake::Choice),
        }
    }

    /// Refuses a field by a rule of the app. Returns `None`, so that a reader can end with it.
    pub fn refuse<T>(&mut self, name: &'static str, mistake: Mistake) -> Option<T> {
        self.mistakes.entry(name).or_insert(mistake);
        None
    }

    fn checked_text(
        &mut self,
        name: &'static str,
        length: RangeInclusive<usize>,
        is_wrong: impl Fn(char) -> bool,
    ) -> Option<String> {
        let text = self.sent_once(name)?;
        // Decoding puts this in the place of bytes that are no UTF-8.
        let is_wrong = |character| is_wrong(character) || character == char::REPLACEMENT_CHARACTER;
        let characters = text.chars().count();
        let mistake = if text.contains(is_wrong) {
            Mistake::Characters
        } else if characters == 0 && *length.start() > 0 {
            Mistake::Missing
        } else if characters < *length.start() && characters > 0 {
            Mistake::TooShort(*length.start())
        } else if characters > *length.end() {
            Mistake::TooLong(*length.end())
        } else {
            return Some(text);
        };
        self.refuse(name, mistake)
    }

    fn required(&mut self, name: &'static str) -> Option<String> {
        let text = self.sent_once(name)?;
        if text.is_empty() {
            return self.refuse(name, Mistake::Missing);
        }
        Some(text)
    }

    /// The value without white space at its edges, empty if the field is absent. Which of two
    /// values counts would depend on the reader, so two are refused.
    fn sent_once(&mut self, name: &'static str) -> Option<String> {
        match self.sent.get(name).map(Vec::as_slice) {
            None => Some(String::new()),
            Some([value]) => Some(trimmed(value)),
            Some(_) => self.refuse(name, Mistake::Repeated),
        }
    }

    fn refused(self) -> Refused {
        let first = |(name, values): (String, Vec<String>)| {
            let value = values.first().map(|value| trimmed(value));
            (name, value.unwrap_or_default())
        };
        Refused {
            values: self.sent.into_iter().map(first).collect(),
            mistakes: self.mistakes,
        }
    }
}

/// With LF at the end of each line.
fn trimmed(value: &str) -> String {
    value.trim().replace("\r\n", "\n")
}

impl<T: Fields> FromRequest<Engine> for Form<T> {
    type Rejection = Failure;

    async fn from_request(request: Request, engine: &Engine) -> Result<Self, Failure> {
        let has_json = has_media_type(&request, JSON);
        if has_json && !is_api(request.uri()) {
            return Err(Failure::UnsupportedFormat);
        }
        let bytes = Bytes::from_request(request, engine).await;
        let bytes = bytes.map_err(|rejection| Failure::from_status(rejection.status()))?;
        let sent = if has_json {
            json_fields(&bytes)?
        } else {
            form_fields(&bytes)
        };
        let mut reader = FieldReader {
            sent,
            ..FieldReader::default()
        };
        let fields = T::read(&mut reader).filter(|_| reader.mistakes.is_empty());
        Ok(Self(fields.ok_or_else(|| reader.refused())))
    }
}

/// Whether the body says that it has this media type, with or without parameters.
pub fn has_media_type(request: &Request, expected: &str) -> bool {
    let content_type = request.headers().get(header::CONTENT_TYPE);
    let media_type = content_type.and_then(|value| value.to_str().ok()?.split(';').next());
    media_type.is_some_and(|media_type| media_type.trim().eq_ignore_ascii_case(expected))
}

fn form_fields(bytes: &[u8]) -> BTreeMap<String, Vec<String>> {
    let mut sent = BTreeMap::<String, Vec<String>>::new();
    for (name, value) in form_urlencoded::parse(bytes) {
        let values = sent.entry(name.into_owned()).or_default();
        values.push(value.into_owned());
    }
    sent
}

/// The members of an object. Numbers and booleans become text, null counts as absent.
fn json_fields(bytes: &[u8]) -> Result<BTreeMap<String, Vec<String>>, Failure> {
    let object: serde_json::Map<String, Value> =
        serde_json::from_slice(bytes).map_err(|_| Failure::BadRequest)?;
    let mut sent = BTreeMap::new();
    for (name, value) in object {
        let value = match value {
            Value::Null => continue,
            Value::String(text) => text,
            Value::Bool(flag) => flag.to_string(),
            Value::Number(number) => number.to_string(),
            Value::Array(_) | Value::Object(_) => return Err(Failure::BadRequest),
        };
        sent.insert(name, vec![value]);
    }
    Ok(sent)
}
