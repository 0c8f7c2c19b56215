//! IANA names of cipher suites and key exchange groups, from tables of ours: rustls'
//! own names differ (`TLS13_AES_128_GCM_SHA256`, `secp256r1MLKEM768`) and may change,
//! and proxies tell OpenSSL's (`ECDHE-RSA-AES128-GCM-SHA256`, `prime256v1`).

use rustls::{CipherSuite, NamedGroup};

/// A cipher suite as facts show it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Suite {
    /// IANA name; for one that is not in the table the code in hex, or the word for it.
    pub name: String,
    /// Strength of the cipher's key in bits; 0 for one that is not in the table.
    pub secret_bits: u16,
}

/// A key exchange group as facts show it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// IANA name; for one that is not in the table the code in hex, or the word for it.
    pub name: String,
    /// It resists an attacker with a quantum computer.
    pub post_quantum: bool,
}

/// TLS Cipher Suites registry: code, name, bits of the cipher's key.
const SUITES: &[(u16, &str, u16)] = &[
    (0x1301, "TLS_AES_128_GCM_SHA256", 128),
    (0x1302, "TLS_AES_256_GCM_SHA384", 256),
    (0x1303, "TLS_CHACHA20_POLY1305_SHA256", 256),
    (0xc02b, "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256", 128),
    (0xc02c, "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384", 256),
    (0xc02f, "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", 128),
    (0xc030, "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384", 256),
    (0xcca8, "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256", 256),
    (0xcca9, "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256", 256),
];

/// TLS Supported Groups registry: code, name, post-quantum.
const GROUPS: &[(u16, &str, bool)] = &[
    (0x0017, "secp256r1", false),
    (0x0018, "secp384r1", false),
    (0x0019, "secp521r1", false),
    (0x001d, "x25519", false),
    (0x001e, "x448", false),
    (0x0100, "ffdhe2048", false),
    (0x0101, "ffdhe3072", false),
    (0x0102, "ffdhe4096", false),
    (0x0103, "ffdhe6144", false),
    (0x0104, "ffdhe8192", false),
    (0x0200, "MLKEM512", true),
    (0x0201, "MLKEM768", true),
    (0x0202, "MLKEM1024", true),
    (0x11eb, "SecP256r1MLKEM768", true),
    (0x11ec, "X25519MLKEM768", true),
    (0x11ed, "SecP384r1MLKEM1024", true),
];

/// Name and strength of this suite.
pub(super) fn suite(suite: CipherSuite) -> Suite {
    let code = u16::from(suite);
    match SUITES.iter().find(|row| row.0 == code) {
        Some(&(_, name, secret_bits)) => Suite {
            name: name.to_owned(),
            secret_bits,
        },
        None => Suite {
            name: format!("{code:#06x}"),
            secret_bits: 0,
        },
    }
}

/// Name and kind of this group.
pub(super) fn group(group: NamedGroup) -> Group {
    let code = u16::from(group);
    match GROUPS.iter().find(|row| row.0 == code) {
        Some(&(_, name, post_quantum)) => Group {
            name: name.to_owned(),
            post_quantum,
        },
        None => Group {
            name: format!("{code:#06x}"),
            post_quantum: false,
        },
    }
}

/// OpenSSL's names of suites of TLS 1.2, and IANA's. Those of TLS 1.3 have IANA's.
const OPENSSL_SUITES: &[(&str, &str)] = &[
    (
        "ECDHE-ECDSA-AES128-GCM-SHA256",
        "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",
    ),
    (
        "ECDHE-ECDSA-AES256-GCM-SHA384",
        "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384",
    ),
    (
        "ECDHE-RSA-AES128-GCM-SHA256",
        "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
    ),
    (
        "ECDHE-RSA-AES256-GCM-SHA384",
        "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384",
    ),
    (
        "ECDHE-RSA-CHACHA20-POLY1305",
        "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256",
    ),
    (
        "ECDHE-ECDSA-CHACHA20-POLY1305",
        "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256",
    ),
];

/// Other names of groups, and IANA's.
const OTHER_GROUPS: &[(&str, &str)] = &[
    ("P-256", "secp256r1"),
    ("prime256v1", "secp256r1"),
    ("P-384", "secp384r1"),
    ("P-521", "secp521r1"),
];

/// The suite that somebody else calls so, by OpenSSL's name or IANA's.
pub fn suite_in_words(word: &str) -> Suite {
    let translated = OPENSSL_SUITES.iter().find(|(theirs, _)| *theirs == word);
    let name = translated.map_or(word, |(_, ours)| *ours);
    let known = SUITES.iter().find(|(_, known, _)| *known == name);
    Suite {
        name: name.to_owned(),
        secret_bits: known.map_or(0, |(_, _, bits)| *bits),
    }
}

/// The group that somebody else calls so, in any case.
pub fn group_in_words(word: &str) -> Group {
    let translated = OTHER_GROUPS
        .iter()
        .find(|(theirs, _)| theirs.eq_ignore_ascii_case(word));
    let name = translated.map_or(word, |(_, ours)| *ours);
    let known = GROUPS
        .iter()
        .find(|(_, known, _)| known.eq_ignore_ascii_case(name));
    Group {
        name: known.map_or(name, |(_, known, _)| *known).to_owned(),
        post_quantum: known.is_some_and(|(_, _, post_quantum)| *post_quantum),
    }
}

/// The name of a group that is in the table, as a label of a metric.
pub fn group_label(name: &str) -> Option<&'static str> {
    GROUPS.iter().map(|row| row.1).find(|known| *known == name)
}

#[cfg(test)]
mod tests {
    use rustls::crypto::aws_lc_rs;

    use super::*;

    #[test]
    fn every_suite_of_the_provider_is_in_the_table() {
        for offered in aws_lc_rs::ALL_CIPHER_SUITES {
            let named = suite(offered.suite());
            assert!(named.name.starts_with("TLS_"), "{offered:?}: {named:?}");
            assert!(named.secret_bits >= 128, "{named:?}");
            // rustls' name for a TLS 1.3 suite is IANA's but for the prefix.
            let theirs = format!("{:?}", offered.suite());
            assert_eq!(named.name, theirs.replacen("TLS13_", "TLS_", 1));
        }
    }

    #[test]
    fn every_group_of_the_provider_is_in_the_table() {
        for offered in aws_lc_rs::ALL_KX_GROUPS {
            let named = group(offered.name());
            let theirs = format!("{:?}", offered.name());
            assert_eq!(
                named.name.to_ascii_lowercase(),
                theirs.to_ascii_lowercase(),
                "{named:?}"
            );
            assert_eq!(named.post_quantum, named.name.contains("MLKEM"));
        }
    }

    #[test]
    fn words_of_others() {
        for (word, name, bits) in [
            (
                "ECDHE-RSA-AES128-GCM-SHA256",
                "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
                128,
            ),
            ("TLS_AES_256_GCM_SHA384", "TLS_AES_256_GCM_SHA384", 256),
            ("AES128-SHA", "AES128-SHA", 0),
            ("", "", 0),
        ] {
            let suite = suite_in_words(word);
            assert_eq!((suite.name.as_str(), suite.secret_bits), (name, bits));
        }
        for (word, name, post_quantum) in [
            ("X25519", "x25519", false),
            ("prime256v1", "secp256r1", false),
            ("x25519mlkem768", "X25519MLKEM768", true),
            ("sect571r1", "sect571r1", false),
        ] {
            let group = group_in_words(word);
            assert_eq!(
                (group.name.as_str(), group.post_quantum),
                (name, post_quantum)
            );
        }
    }

    /// Otherwise a translation would be to nothing.
    #[test]
    fn every_translation_is_to_a_name_of_the_tables() {
        for (_, name) in OPENSSL_SUITES {
            assert!(SUITES.iter().any(|(_, known, _)| known == name), "{name}");
        }
        for (_, name) in OTHER_GROUPS {
            assert!(GROUPS.iter().any(|(_, known, _)| known == name), "{name}");
        }
    }

    #[test]
    fn what_is_not_in_the_table_shows_its_code() {
        assert_eq!(suite(CipherSuite::from(0xfefe)).name, "0xfefe");
        assert_eq!(group(NamedGroup::from(0x0a0a)).name, "0x0a0a");
    }
}
