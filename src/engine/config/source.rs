//! Reads settings by name, collects every mistake, and remembers which names the program knows.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::{fmt, fs, io};

use secrecy::SecretString;

/// Parses a setting. The error continues the sentence that the variable's name begins.
type Rule<T> = fn(&str) -> Result<T, String>;

/// A set of variables, with the mistakes and warnings found in them so far.
pub struct Source<'a> {
    variables: &'a BTreeMap<String, String>,
    known: BTreeSet<String>,
    problems: Vec<(String, String)>,
    warnings: Vec<String>,
}

/// All mistakes of a configuration, as variable and broken rule. Never holds a value.
#[derive(Debug, thiserror::Error)]
pub struct ConfigError {
    problems: Vec<(String, String)>,
    /// A misspelt name is often the reason why another one is missing.
    pub warnings: Vec<String>,
}

impl ConfigError {
    /// Each variable with the rule that it breaks.
    pub fn problems(&self) -> impl Iterator<Item = (&str, &str)> {
        let problems = self.problems.iter();
        problems.map(|(name, rule)| (name.as_str(), rule.as_str()))
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.problems.len();
        let plural = if count == 1 { "" } else { "s" };
        write!(f, "the configuration has {count} mistake{plural}:")?;
        self.problems
            .iter()
            .try_for_each(|(name, rule)| write!(f, "\n  {name} {rule}"))
    }
}

/// Variables whose rule trims white space by itself.
const TRIMMED: [&str; 2] = ["MATRICA_SCOPES", "TOKEN_KEYS"];

/// Marks at the edges of a value that a file or a shell left there.
fn broken_edges(name: &str, value: &str) -> Option<&'static str> {
    let quoted = |quote| value.len() > 1 && value.starts_with(quote) && value.ends_with(quote);
    if value.trim_end() != value && !TRIMMED.contains(&name) {
        Some("ends in white space, such as a newline")
    } else if quoted('"') || quoted('\'') {
        Some("is wrapped in quotes, which `docker --env-file` keeps. Write it without them")
    } else {
        None
    }
}

/// Folders where containers mount secrets, often readable by every user. A container has one.
const SECRET_MOUNTS: [&str; 2] = ["/run/secrets", "/var/run/secrets"];

/// The end of the warning about a secret file.
pub(super) const READABLE_BY_ALL: &str = " names a file that every user can read";

/// The content of a file without the newline at its end, and whether other users are kept out.
/// A file that every user can change holds no secret but theirs.
fn secret_file(path: &Path) -> Result<(String, bool), String> {
    let unreadable =
        |error: io::Error| format!("names a file that cannot be read: {}", error.kind());
    let mode = fs::metadata(path).map_err(unreadable)?.permissions().mode();
    if mode & 0o002 != 0 {
        return Err("names a file that every user can change".to_owned());
    }
    let content = fs::read_to_string(path).map_err(unreadable)?;
    let is_mount = SECRET_MOUNTS.iter().any(|mount| path.starts_with(mount));
    let content = content.trim_end_matches(['\r', '\n']).to_owned();
    Ok((content, is_mount || mode & 0o004 == 0))
}

impl<'a> Source<'a> {
    pub fn new(variables: &'a BTreeMap<String, String>) -> Self {
        Self {
            variables,
            known: BTreeSet::new(),
            problems: Vec::new(),
            warnings: Vec::new(),
        }
    }

    /// The process's environment. A value that is not Unicode counts as absent.
    pub fn environment() -> BTreeMap<String, String> {
        std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect()
    }

    pub fn required<T>(&mut self, name: &str, rule: Rule<T>) -> Option<T> {
        match self.value(name) {
            Some(value) => self.checked(name, rule(&value)),
            None => self.checked(name, Err("is required".to_owned())),
        }
    }

    /// The default goes through the same rule.
    pub fn or_default<T>(&mut self, name: &str, default: &str, rule: Rule<T>) -> Option<T> {
        let value = self.value(name);
        self.checked(name, rule(value.as_deref().unwrap_or(default)))
    }

    /// A setting that may be absent.
    pub fn optional<T>(&mut self, name: &str, rule: Rule<T>) -> Option<T> {
        let value = self.value(name)?;
        self.checked(name, rule(&value))
    }

    /// A secret, as `NAME` or as the content of the file that `NAME_FILE` names.
    pub fn required_secret<T>(
        &mut self,
        name: &str,
        rule: impl FnOnce(&SecretString) -> Result<T, String>,
    ) -> Option<T> {
        let file = format!("{name}_FILE");
        let secret = match (self.value(name), self.value(&file)) {
            (Some(_), Some(_)) => Err(format!("is set twice: here and through {file}")),
            (Some(value), None) => Ok(value),
            (None, Some(path)) => match secret_file(Path::new(&path)) {
                Ok((content, is_private)) => {
                    if !is_private {
                        self.warn(format!("{file}{READABLE_BY_ALL}"));
                    }
                    match broken_edges(name, &content) {
                        Some(rule) => Err(rule.to_owned()),
                        None => Ok(content),
                    }
                }
                Err(reason) => return self.checked(&file, Err(reason)),
            },
            (None, None) => Err("is required".to_owned()),
        };
        self.checked(name, secret.and_then(|secret| rule(&secret.into())))
    }

    /// A secret that may be absent.
    pub fn optional_secret<T>(
        &mut self,
        name: &str,
        rule: impl FnOnce(&SecretString) -> Result<T, String>,
    ) -> Option<T> {
        if self.is_set(name) {
            self.required_secret(name, rule)
        } else {
            None
        }
    }

    /// Whether the variable or its `_FILE` form has a value.
    pub fn is_set(&mut self, name: &str) -> bool {
        let (value, file) = (self.value(name), self.value(&format!("{name}_FILE")));
        value.or(file).is_some()
    }

    /// The names of the variables that have a value and were asked for. For the log.
    pub fn names(&self) -> Vec<String> {
        let names = self.variables.iter();
        let set = names
            .filter(|(name, value)| !value.trim().is_empty() && self.known.contains(name.as_str()));
        set.map(|(name, _)| name.clone()).collect()
    }

    /// Records an oddity that does not stop the start.
    pub fn warn(&mut self, warning: String) {
        self.warnings.push(warning);
    }

    /// Records a broken rule.
    pub fn problem(&mut self, name: &str, rule: &str) {
        self.problems.push((name.to_owned(), rule.to_owned()));
    }

    /// Warns of each variable with this prefix that was never asked for, and of each `NAME_FILE`
    /// whose `NAME` is no secret. Returns all warnings.
    pub fn warn_of_unknown(&mut self, prefix: &str) -> Vec<String> {
        let unknown = self.variables.keys().filter_map(|name| {
            let stem = name.strip_suffix("_FILE").unwrap_or_default();
            if self.known.contains(name) {
                None
            } else if self.known.contains(stem) {
                Some(format!(
                    "{name} is ignored. Only secrets are read from a file: set {stem} itself"
                ))
            } else {
                let unknown =
                    || format!("{name} is not a variable of this server: a typing mistake?");
                name.starts_with(prefix).then(unknown)
            }
        });
        let unknown: Vec<String> = unknown.collect();
        self.warnings.extend(unknown);
        self.warnings.clone()
    }

    /// The settings, if they are complete and nothing is wrong with any variable.
    pub fn finish<T>(self, settings: Option<T>) -> Result<T, ConfigError> {
        settings
            .filter(|_| self.problems.is_empty())
            .ok_or(ConfigError {
                problems: self.problems,
                warnings: self.warnings,
            })
    }

    /// An empty value counts as absent, because `NAME=` in a compose file means that.
    fn value(&mut self, name: &str) -> Option<String> {
        let first = self.known.insert(name.to_owned());
        let value = self.variables.get(name)?;
        let value = Some(value)
            .filter(|value| !value.trim().is_empty())?
            .clone();
        if first && let Some(rule) = broken_edges(name, &value) {
            self.problem(name, rule);
            // The other rules judge the rest, so that one mistake is not reported twice.
            let rest = value.trim_end().trim_matches(['"', '\'']);
            return Some(rest.to_owned());
        }
        Some(value)
    }

    fn checked<T>(&mut self, name: &str, result: Result<T, String>) -> Option<T> {
        result.map_err(|rule| self.problem(name, &rule)).ok()
    }
}
