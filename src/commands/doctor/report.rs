//! What the checks have found, as lines and as JSON.

use serde::Serialize;

/// The result of one check. Holds no secret.
#[derive(Debug, Serialize)]
pub struct Finding {
    pub check: String,
    /// `None` if it could not be checked.
    pub ok: Option<bool>,
    /// What was found. For a failed check the cause.
    pub detail: String,
    /// What to do. Beside a passed check it is a hint. May be empty.
    pub remedy: String,
}

impl Finding {
    pub fn right(check: impl Into<String>, detail: impl Into<String>) -> Self {
        Self::new(check, Some(true), detail, "")
    }

    pub fn wrong(
        check: impl Into<String>,
        detail: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self::new(check, Some(false), detail, remedy)
    }

    pub fn unknown(
        check: impl Into<String>,
        detail: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self::new(check, None, detail, remedy)
    }

    /// A check that needs another one, which has failed.
    pub fn skipped(check: impl Into<String>, failed: &str) -> Self {
        let detail = format!("not checked, because {failed} has failed");
        Self::new(check, None, detail, "")
    }

    #[must_use]
    pub fn hint(mut self, remedy: impl Into<String>) -> Self {
        self.remedy = remedy.into();
        self
    }

    fn new(
        check: impl Into<String>,
        ok: Option<bool>,
        detail: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self {
            check: check.into(),
            ok,
            detail: detail.into(),
            remedy: remedy.into(),
        }
    }

    pub fn has_failed(&self) -> bool {
        self.ok == Some(false)
    }
}

/// Prints everything to standard output.
pub fn print(findings: &[Finding], json: bool) -> anyhow::Result<()> {
    if json {
        println!("{}", serde_json::to_string_pretty(findings)?);
        return Ok(());
    }
    for finding in findings {
        let Finding {
            check,
            ok,
            detail,
            remedy,
        } = finding;
        let mark = match ok {
            Some(true) => '✓',
            Some(false) => '✗',
            None => '–',
        };
        println!("{mark} {check}: {detail}");
        if !remedy.is_empty() {
            println!("    {remedy}");
        }
    }
    Ok(())
}
