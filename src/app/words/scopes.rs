//! Scopes in words.

/// A scope as people read it.
#[derive(Clone)]
pub struct ScopeLine {
    pub title: String,
    pub why: String,
}

/// Scopes are free strings. An unknown one is shown by its name.
fn line(scope: &str) -> ScopeLine {
    let (title, why) = match scope {
        "profile" => (
            "Your profile",
            "To know who you are: your name and picture.",
        ),
        "wallets" => (
            "Your wallets",
            "To show which wallets you linked, and what is in them.",
        ),
        "nfts" => ("Your NFTs", "To show the NFTs in your linked wallets."),
        "email" => (
            "Your e-mail address",
            "To show the address that you gave Matrica.",
        ),
        "roles" => ("Your roles", "To show the community roles that you hold."),
        "domains" => (
            "Your domains",
            "To show the domain names in your linked wallets.",
        ),
        other => (other, "This app asks for it by name."),
    };
    ScopeLine {
        title: title.to_owned(),
        why: why.to_owned(),
    }
}

/// The scopes in words. Social accounts share one line.
pub fn lines<'a>(scopes: impl IntoIterator<Item = &'a String>) -> Vec<ScopeLine> {
    let mut lines = Vec::new();
    let mut services = Vec::new();
    for scope in scopes {
        match service(scope) {
            Some(service) => services.push(service),
            None => lines.push(line(scope)),
        }
    }
    if !services.is_empty() {
        let many = if services.len() == 1 { "" } else { "s" };
        lines.push(ScopeLine {
            title: format!("Your {} account{many}", listed(&services)),
            why: "To show which accounts you linked at Matrica.".to_owned(),
        });
    }
    lines
}

/// The service of the scope of a social account.
fn service(scope: &str) -> Option<&'static str> {
    match scope {
        "socials.twitter" => Some("X"),
        "socials.discord" => Some("Discord"),
        "socials.telegram" => Some("Telegram"),
        _ => None,
    }
}

/// "X, Discord and Telegram"
fn listed(words: &[&str]) -> String {
    match words {
        [others @ .., last] if !others.is_empty() => format!("{} and {last}", others.join(", ")),
        words => words.concat(),
    }
}

/// The data that a scope stands for, behind "your".
pub fn noun(scope: &str) -> &str {
    match scope {
        "nfts" => "NFTs",
        "email" => "e-mail address",
        "socials.twitter" => "X account",
        "socials.discord" => "Discord account",
        "socials.telegram" => "Telegram account",
        other => other,
    }
}
