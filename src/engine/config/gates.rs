//! `GATES_FILE`: rules of gates by name, in TOML or JSON.

use std::collections::BTreeMap;

use crate::engine::rule::Rule;

/// Longest name of a gate, in characters.
const NAME_MAX: usize = 64;
/// Largest file, in bytes.
const FILE_MAX: usize = 256 * 1024;

/// Rules by name. Empty without `GATES_FILE`.
#[derive(Debug, Clone, Default)]
pub struct Gates(BTreeMap<String, Rule>);

impl Gates {
    /// Reads and checks the file at this path. The error continues "`GATES_FILE` …".
    pub(super) fn read(path: &str) -> Result<Self, String> {
        let text = std::fs::read_to_string(path);
        let text =
            text.map_err(|error| format!("names a file that cannot be read: {}", error.kind()))?;
        if text.len() > FILE_MAX {
            return Err("names a file above 256 KiB".to_owned());
        }
        let is_json = std::path::Path::new(path)
            .extension()
            .is_some_and(|ending| ending.eq_ignore_ascii_case("json"));
        let gates: BTreeMap<String, Rule> = if is_json {
            serde_json::from_str(&text).map_err(|error| format!("is no list of rules: {error}"))?
        } else {
            toml::from_str(&text).map_err(|error| not_toml(&text, &error))?
        };
        for (name, rule) in &gates {
            let legal =
                |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
            if !(1..=NAME_MAX).contains(&name.len()) || !name.bytes().all(legal) {
                return Err(format!(
                    "names a gate {name:?}. Use up to {NAME_MAX} lower-case letters, digits and hyphens"
                ));
            }
            if let Some(mistake) = rule.mistake() {
                return Err(format!("has the gate {name}, which {mistake}"));
            }
        }
        Ok(Self(gates))
    }

    pub fn get(&self, name: &str) -> Option<&Rule> {
        self.0.get(name)
    }

    /// One line for each gate that asks for data the app does not ask people to share.
    pub(super) fn warnings(&self, scopes: &[String]) -> Vec<String> {
        let unasked = |rule: &Rule| {
            let needed = rule.scopes().into_iter();
            let mut unasked = needed.filter(|scope| !scopes.iter().any(|asked| asked == scope));
            unasked.next()
        };
        let warning = |(name, scope)| {
            format!("the gate {name} needs the scope {scope}, which MATRICA_SCOPES does not have")
        };
        let gates = self.0.iter();
        gates
            .filter_map(|(name, rule)| Some((name, unasked(rule)?)))
            .map(warning)
            .collect()
    }
}

fn not_toml(text: &str, error: &toml::de::Error) -> String {
    let line = error.span().map(|span| {
        let before = text.get(..span.start).unwrap_or_default();
        format!(" at line {}", before.matches('\n').count() + 1)
    });
    let line = line.unwrap_or_default();
    format!("is no list of rules: {}{line}", error.message())
}
