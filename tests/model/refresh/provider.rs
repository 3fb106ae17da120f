//! The provider: token endpoint and revocation endpoint.

use super::guards::Guard;

/// Logins of one run, and so the chains of tokens.
pub const LOGINS_MAX: usize = 2;

/// The tokens of one answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Tokens {
    /// The login that they descend from.
    pub login: u8,
    /// Number of the refresh token. Without rotation it is always 1.
    pub refresh: u8,
    /// Number of the access token.
    pub access: u8,
}

/// How a provider treats refresh tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rotation {
    /// The refresh token stays.
    Never,
    /// Each refresh replaces it. The use of a replaced one ends the family (reuse detection).
    Strict,
    /// Each refresh replaces it. A replaced one is accepted again for some time.
    Grace,
}

#[derive(Debug, Clone, Copy)]
pub struct Rules {
    pub rotation: Rotation,
    /// All logins of a person are one family, which ends as a whole.
    pub one_family: bool,
    /// The guard of the code that is taken out.
    pub without: Option<Guard>,
}

impl Rules {
    /// After the end of a grace period.
    pub fn strict(self) -> Self {
        let rotation = match self.rotation {
            Rotation::Grace => Rotation::Strict,
            other => other,
        };
        Self { rotation, ..self }
    }

    pub fn has(self, guard: Guard) -> bool {
        self.without != Some(guard)
    }
}

/// The tokens that descend from one login.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Chain {
    /// Number of the newest refresh token. 0 before the login.
    pub refresh: u8,
    pub access: u8,
    pub alive: bool,
    /// The newest tokens never came to a commit, because of a fault that the page names.
    pub lost: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Provider {
    pub chains: [Chain; LOGINS_MAX],
}

impl Provider {
    pub fn chain(&mut self, login: u8) -> &mut Chain {
        &mut self.chains[usize::from(login)]
    }

    /// The exchange of a code.
    pub fn log_in(&mut self, login: u8) -> Tokens {
        *self.chain(login) = Chain {
            refresh: 1,
            access: 1,
            alive: true,
            lost: false,
        };
        Tokens {
            login,
            refresh: 1,
            access: 1,
        }
    }

    pub fn logins(&self) -> usize {
        let is_used = |chain: &&Chain| chain.refresh > 0;
        self.chains.iter().filter(is_used).count()
    }

    pub fn accepts(&self, rules: Rules, token: Tokens) -> bool {
        let chain = self.chains[usize::from(token.login)];
        chain.alive && (token.refresh == chain.refresh || rules.rotation == Rotation::Grace)
    }

    /// Whether this token has been replaced, so that its use is taken for theft.
    pub fn is_reuse(&self, rules: Rules, token: Tokens) -> bool {
        let chain = self.chains[usize::from(token.login)];
        chain.alive && !self.accepts(rules, token)
    }

    /// A refresh. `None` is `invalid_grant`.
    pub fn refresh(&mut self, rules: Rules, used: Tokens) -> Option<Tokens> {
        if !self.accepts(rules, used) {
            self.end(rules, used.login);
            return None;
        }
        let chain = self.chain(used.login);
        chain.access += 1;
        if rules.rotation != Rotation::Never {
            chain.refresh += 1;
        }
        Some(Tokens {
            login: used.login,
            refresh: chain.refresh,
            access: chain.access,
        })
    }

    /// A revocation. Of a replaced token it has no effect. Returns whether it has one.
    pub fn revoke(&mut self, rules: Rules, token: Tokens) -> bool {
        let has_effect = self.accepts(rules, token);
        if has_effect {
            self.end(rules, token.login);
        }
        has_effect
    }

    pub fn end(&mut self, rules: Rules, login: u8) {
        for (number, chain) in self.chains.iter_mut().enumerate() {
            chain.alive &= !rules.one_family && number != usize::from(login);
        }
    }
}
