//! `Requirement`: a condition for opening a page.

/// Something that a person must own. Only ids decide. Names are not unique.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Requirement {
    /// An NFT of a collection, by Matrica's id of the collection. Needs the scope `nfts`.
    NftOf {
        collection_id: &'static str,
        collection: &'static str,
    },
    /// A role in a Discord community, by the ids of both. Needs the scope `roles`.
    DiscordRole {
        role_id: &'static str,
        guild_id: &'static str,
        role: &'static str,
    },
}

impl Requirement {
    /// What people call it.
    pub fn name(self) -> &'static str {
        match self {
            Self::NftOf { collection, .. } => collection,
            Self::DiscordRole { role, .. } => role,
        }
    }

    /// The scope that the check needs.
    pub fn scope(self) -> &'static str {
        match self {
            Self::NftOf { .. } => "nfts",
            Self::DiscordRole { .. } => "roles",
        }
    }
}
