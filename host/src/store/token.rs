//! Tokens: who may ask the admin API.
//!
//! **A token is told once and kept nowhere**: the store has its SHA-256, which is enough
//! to know it again. It is 256 random bits, so that there is nothing to guess and the
//! digest needs no salt.

use std::fmt;
use std::str::FromStr;

use crate::digest::Digest;
use crate::facts::TenantId;

/// What the text of every token begins with, for those who search for leaked ones.
const PREFIX: &str = "portcullis_";

/// What a token may do, the least first: each may do what those before it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// Reads what is one tenant's.
    Viewer,
    /// Writes modules of one tenant, and tries them.
    Author,
    /// Does everything that is one tenant's own affair.
    Admin,
    /// Does everything, for all tenants.
    Operator,
}

/// All of them, by name.
const ROLES: [(&str, Role); 4] = [
    ("viewer", Role::Viewer),
    ("author", Role::Author),
    ("admin", Role::Admin),
    ("operator", Role::Operator),
];

impl Role {
    /// Its name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Author => "author",
            Self::Admin => "admin",
            Self::Operator => "operator",
        }
    }
}

impl Role {
    /// Its name in a sentence.
    pub fn with_article(self) -> &'static str {
        match self {
            Self::Viewer => "a viewer",
            Self::Author => "an author",
            Self::Admin => "an admin",
            Self::Operator => "an operator",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Not a role.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a role: write viewer, author, admin or operator")]
pub struct RoleError(String);

impl FromStr for Role {
    type Err = RoleError;

    fn from_str(text: &str) -> Result<Self, RoleError> {
        let mut known = ROLES.iter();
        let found = known.find(|(name, _)| *name == text);
        found
            .map(|(_, role)| *role)
            .ok_or_else(|| RoleError(text.to_owned()))
    }
}

/// A token that is to be made.
#[derive(Clone, Debug)]
pub struct NewToken {
    /// What people call it.
    pub name: String,
    /// What it may do.
    pub role: Role,
    /// Whose it is; none for operators, and only for them.
    pub tenant: Option<TenantId>,
    /// From when on it is worth nothing, in seconds since 1970; none for never.
    pub expires: Option<i64>,
}

/// What is kept of a token.
#[derive(Clone, Debug)]
pub struct Token {
    /// What the API calls it.
    pub id: String,
    /// What people call it.
    pub name: String,
    /// What it may do.
    pub role: Role,
    /// Whose it is; none for operators.
    pub tenant: Option<TenantId>,
    /// When it was made, in seconds since 1970.
    pub made: i64,
    /// By whom.
    pub who: String,
    /// From when on it is worth nothing, in seconds since 1970; none for never.
    pub expires: Option<i64>,
}

impl Token {
    /// Whether it is worth nothing any more at this second since 1970. The clock alone says
    /// so: where it is set back, a token is worth something again until it is over by it.
    pub fn is_over(&self, now: i64) -> bool {
        self.expires.is_some_and(|end| end <= now)
    }
}

/// The text of a token, for whoever is to use it.
pub struct Secret(String);

impl Secret {
    /// A new one.
    ///
    /// # Errors
    /// When the system gives no random bits.
    pub(super) fn new() -> Result<Self, aws_lc_rs::error::Unspecified> {
        let mut bits = [0; 32];
        aws_lc_rs::rand::fill(&mut bits)?;
        Ok(Self(format!("{PREFIX}{}", hex::encode(bits))))
    }

    /// What is kept of it.
    pub(super) fn digest(&self) -> Digest {
        Self::digest_of(&self.0)
    }

    /// The same of a text that somebody says is one.
    pub(super) fn digest_of(text: &str) -> Digest {
        Digest::of(text.as_bytes())
    }

    /// To be told to whoever asked for it, and nowhere else.
    pub fn reveal(self) -> String {
        self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a token")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roles_are_in_their_order_and_have_names() {
        assert!(ROLES.is_sorted_by_key(|(_, role)| *role));
        for (name, role) in ROLES {
            assert_eq!((role.as_str(), name.parse()), (name, Ok(role)));
        }
        let fault = "root".parse::<Role>().expect_err("none");
        assert!(fault.to_string().starts_with("\"root\" is not a role"));
    }

    #[test]
    fn a_token_is_over_by_the_clock() {
        let token = |expires| Token {
            id: "1".to_owned(),
            name: "amy".to_owned(),
            role: Role::Viewer,
            tenant: None,
            made: 1000,
            who: "test".to_owned(),
            expires,
        };
        // Forward, back, back before it was made, and right again.
        for (now, is_over) in [
            (1999, false),
            (2000, true),
            (9000, true),
            (1500, false),
            (1, false),
            (2000, true),
        ] {
            assert_eq!(token(Some(2000)).is_over(now), is_over, "{now}");
            assert!(!token(None).is_over(now));
        }
    }

    #[test]
    fn no_two_tokens_are_alike_and_none_is_shown() {
        let [one, other] = [Secret::new(), Secret::new()].map(|made| made.expect("random bits"));
        assert_ne!(one.digest(), other.digest());
        assert_eq!(format!("{one:?}"), "a token");
        let digest = one.digest();
        let text = one.reveal();
        assert_eq!(text.len(), PREFIX.len() + 64);
        assert_eq!(Secret::digest_of(&text), digest);
    }
}
