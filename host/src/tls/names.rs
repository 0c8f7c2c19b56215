//! IANA names of cipher suites and key exchange groups, from tables of ours: rustls'
//! own names differ (`TLS13_AES_128_GCM_SHA256`, `secp256r1MLKEM768`) and may change.

use rustls::{CipherSuite, NamedGroup};

/// A cipher suite as facts show it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Suite {
    /// IANA name; the code in hex for one that is not in the table.
    pub(super) name: String,
    /// Strength of the cipher's key in bits; 0 for one that is not in the table.
    pub(super) secret_bits: u16,
}

/// A key exchange group as facts show it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Group {
    /// IANA name; the code in hex for one that is not in the table.
    pub(super) name: String,
    /// It resists an attacker with a quantum computer.
    pub(super) post_quantum: bool,
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
    fn what_is_not_in_the_table_shows_its_code() {
        assert_eq!(suite(CipherSuite::from(0xfefe)).name, "0xfefe");
        assert_eq!(group(NamedGroup::from(0x0a0a)).name, "0x0a0a");
    }
}
