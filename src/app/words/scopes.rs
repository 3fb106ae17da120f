//! Scopes in words.

/// A scope as people read it.
#[derive(Clone)]
pub struct ScopeLine {
    pub name: String,
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
        "socials.twitter" => ("Your X account", "To show the account that you linked."),
        "socials.discord" => (
            "Your Discord account",
            "To show the account that you linked.",
        ),
        "socials.telegram" => (
            "Your Telegram account",
            "To show the account that you linked.",
        ),
        "roles" => ("Your roles", "To show the community roles that you hold."),
        "domains" => (
            "Your domains",
            "To show the domain names in your linked wallets.",
        ),
        other => (other, "This app asks for it by name."),
    };
    ScopeLine {
        name: scope.to_owned(),
        title: title.to_owned(),
        why: why.to_owned(),
    }
}

/// The scopes in words.
pub fn lines<'a>(scopes: impl IntoIterator<Item = &'a String>) -> Vec<ScopeLine> {
    scopes.into_iter().map(|scope| line(scope)).collect()
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
