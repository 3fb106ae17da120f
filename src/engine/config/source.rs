//! Where settings come from: named values, each also from the file that `NAME_FILE` points to.

use std::{collections::BTreeMap, fmt};

use secrecy::{ExposeSecret, SecretString};

/// A set of variables, and the mistakes found in them so far.
pub struct Source<'a> {
    variables: &'a BTreeMap<String, String>,
    problems: Vec<(String, String)>,
}

/// Every mistake in a configuration: which variable, which rule. Never the value.
#[derive(Debug, thiserror::Error)]
pub struct ConfigError(Vec<(String, String)>);

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.0.len();
        write!(
            f,
            "the configuration has {count} mistake{}:",
            if count == 1 { "" } else { "s" }
        )?;
        self.0
            .iter()
            .try_for_each(|(name, rule)| write!(f, "\n  {name} {rule}"))
    }
}

impl<'a> Source<'a> {
    pub fn new(variables: &'a BTreeMap<String, String>) -> Self {
        Self {
            variables,
            problems: Vec::new(),
        }
    }

    /// Everything in the process's environment. Values that are not Unicode count as absent.
    pub fn environment() -> BTreeMap<String, String> {
        std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect()
    }

    /// A setting that must be there.
    pub fn required<T>(
        &mut self,
        name: &str,
        rule: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<T> {
        match self.plain(name) {
            Some(value) => self.checked(name, rule(&value)),
            None => self.missing(name),
        }
    }

    /// A setting with a default, which goes through the same rule.
    pub fn or_default<T>(
        &mut self,
        name: &str,
        default: &str,
        rule: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<T> {
        let value = self.plain(name).unwrap_or_else(|| default.to_owned());
        self.checked(name, rule(&value))
    }

    /// A setting that may be absent; checked when it is there.
    pub fn optional<T>(
        &mut self,
        name: &str,
        rule: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<T> {
        self.plain(name)
            .and_then(|value| self.checked(name, rule(&value)))
    }

    /// A secret that must be there, as `NAME` or in the file named by `NAME_FILE`.
    pub fn required_secret<T>(
        &mut self,
        name: &str,
        rule: impl FnOnce(&SecretString) -> Result<T, String>,
    ) -> Option<T> {
        let file = format!("{name}_FILE");
        let value = match (self.plain(name), self.plain(&file)) {
            (Some(_), Some(_)) => {
                return self.checked(name, Err(format!("is set twice: here and through {file}")));
            }
            (Some(value), None) => value,
            (None, Some(path)) => match std::fs::read_to_string(path) {
                Ok(content) => content.trim_end_matches(['\r', '\n']).to_owned(),
                Err(error) => {
                    return self.checked(
                        &file,
                        Err(format!(
                            "names a file that cannot be read: {}",
                            error.kind()
                        )),
                    );
                }
            },
            (None, None) => return self.missing(name),
        };
        self.checked(name, rule(&value.into()))
    }

    /// Whether the variable, or its `_FILE` form, has a value.
    pub fn is_set(&self, name: &str) -> bool {
        self.plain(name)
            .or_else(|| self.plain(&format!("{name}_FILE")))
            .is_some()
    }

    /// The names of all variables.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.variables.keys().map(String::as_str)
    }

    /// Records a broken rule.
    pub fn problem(&mut self, name: &str, rule: &str) {
        self.problems.push((name.to_owned(), rule.to_owned()));
    }

    pub fn is_clean(&self) -> bool {
        self.problems.is_empty()
    }

    pub fn into_error(self) -> ConfigError {
        ConfigError(self.problems)
    }

    /// An empty value counts as absent: that is what `NAME=` in a compose file means.
    fn plain(&self, name: &str) -> Option<String> {
        self.variables
            .get(name)
            .filter(|value| !value.trim().is_empty())
            .cloned()
    }

    fn missing<T>(&mut self, name: &str) -> Option<T> {
        self.checked(name, Err("is required".to_owned()))
    }

    fn checked<T>(&mut self, name: &str, result: Result<T, String>) -> Option<T> {
        result.map_err(|rule| self.problem(name, &rule)).ok()
    }
}

/// Secrets are compared and measured here only, so that `expose_secret` stays rare elsewhere.
pub(super) fn is_blank(secret: &SecretString) -> bool {
    secret.expose_secret().trim().is_empty()
}
