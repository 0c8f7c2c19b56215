//! The secret of a webhook, and what is signed with it, as Standard Webhooks has it: with
//! HMAC-SHA256, over the id, the time and the body.

use std::fmt;

use aws_lc_rs::hmac;
use aws_lc_rs::rand;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// What its text begins with.
const PREFIX: &str = "whsec_";

/// As many as the digest has: more would not make it any stronger.
const OCTETS: usize = 32;

/// A secret that host and receiver have in common.
#[derive(Clone, PartialEq, Eq)]
pub struct SigningSecret(Vec<u8>);

/// Not the text of a secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it is no secret of a webhook")]
pub struct SecretError;

impl SigningSecret {
    /// A fresh one.
    ///
    /// # Errors
    /// When the system gives no random bits.
    pub fn fresh() -> Result<Self, SecretError> {
        let mut octets = vec![0; OCTETS];
        rand::fill(&mut octets).map_err(|_| SecretError)?;
        Ok(Self(octets))
    }

    /// From its text.
    ///
    /// # Errors
    /// When it is none.
    pub fn parse(text: &str) -> Result<Self, SecretError> {
        let octets = text
            .strip_prefix(PREFIX)
            .and_then(|text| STANDARD.decode(text).ok());
        octets.map(Self).ok_or(SecretError)
    }

    /// Its text: for the receiver, and for the store.
    pub fn text(&self) -> String {
        format!("{PREFIX}{}", STANDARD.encode(&self.0))
    }

    /// The field `webhook-signature` of a message.
    pub fn sign(&self, id: &str, seconds: u64, body: &str) -> String {
        let key = hmac::Key::new(hmac::HMAC_SHA256, &self.0);
        let signed = format!("{id}.{seconds}.{body}");
        let tag = hmac::sign(&key, signed.as_bytes());
        format!("v1,{}", STANDARD.encode(tag))
    }
}

/// It is in no log.
impl fmt::Debug for SigningSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SigningSecret(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of the specification.
    #[test]
    fn signatures_are_those_of_standard_webhooks() {
        let secret = SigningSecret::parse("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw");
        let signed = secret.expect("a secret").sign(
            "msg_p5jXN8AQM9LWM0D4loKWxJek",
            1_614_265_330,
            "{\"test\": 2432232314}",
        );
        assert_eq!(signed, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn texts_are_read_as_the_same_and_debug_shows_nothing() {
        let secret = SigningSecret::fresh().expect("random bits");
        assert_eq!(SigningSecret::parse(&secret.text()), Ok(secret.clone()));
        assert_ne!(SigningSecret::fresh(), Ok(secret.clone()));
        assert!(!format!("{secret:?}").contains(&secret.text()[6..20]));
        for text in ["", "whsec_", "whsec_?", "MfKQ9r8G"] {
            let parsed = SigningSecret::parse(text);
            assert_eq!(parsed.is_ok(), text == "whsec_", "{text}");
        }
    }
}
