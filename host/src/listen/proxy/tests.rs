//! Headers as the specification has them, and what is none.

use proptest::prelude::*;

use super::*;
use crate::facts::{ClaimedCertificate, ClientCertificate, Origin, TlsVersion};

const FIRST: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";
const TCP4: [u8; 12] = [192, 0, 2, 1, 198, 51, 100, 25, 0xdc, 0x04, 0, 25];

/// A header of version 2.
fn v2(version: u8, family: u8, block: &[u8]) -> Vec<u8> {
    let length = u16::try_from(block.len()).expect("a length");
    let fixed = [FIRST, &[version, family], &length.to_be_bytes()].concat();
    [fixed, block.to_vec()].concat()
}

/// One with a client's addresses and these extensions.
fn with(extensions: &[u8]) -> Vec<u8> {
    v2(0x21, 0x11, &[&TCP4, extensions].concat())
}

fn element(kind: u8, value: &[u8]) -> Vec<u8> {
    let length = u16::try_from(value.len()).expect("a length");
    [&[kind], &length.to_be_bytes()[..], value].concat()
}

fn ssl(flags: u8, verify: u32, details: &[(u8, &[u8])]) -> Vec<u8> {
    let mut value = vec![flags];
    value.extend(verify.to_be_bytes());
    for (kind, detail) in details {
        value.extend(element(*kind, detail));
    }
    element(0x20, &value)
}

fn proxied(octets: &[u8]) -> Proxied {
    match parse(octets) {
        Ok(Progress::Whole(Header::Proxied(proxied), length)) => {
            assert_eq!(length, octets.len());
            *proxied
        }
        other => unreachable!("{other:?}"),
    }
}

#[test]
fn lines() {
    for (line, client, server) in [
        (
            "PROXY TCP4 192.0.2.1 198.51.100.25 56324 25\r\n",
            "192.0.2.1:56324",
            "198.51.100.25:25",
        ),
        (
            "PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n",
            "255.255.255.255:65535",
            "255.255.255.255:65535",
        ),
        (
            "PROXY TCP4 0.0.0.0 0.0.0.0 0 0\r\n",
            "0.0.0.0:0",
            "0.0.0.0:0",
        ),
        (
            "PROXY TCP6 2001:db8::1 2001:DB8::25 1 25\r\n",
            "[2001:db8::1]:1",
            "[2001:db8::25]:25",
        ),
        (
            "PROXY TCP6 ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n",
            "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535",
            "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535",
        ),
    ] {
        let found = proxied(line.as_bytes());
        assert_eq!(found.client.to_string(), client);
        assert_eq!(found.server.to_string(), server);
        assert_eq!(found.tls, None);
    }
}

#[test]
fn connections_of_the_proxys_own() {
    let longest = format!(
        "PROXY UNKNOWN {} {} 65535 65535\r\n",
        "ffff:".repeat(8).trim_end_matches(':'),
        "ffff:".repeat(8).trim_end_matches(':')
    );
    assert_eq!(longest.len(), 107);
    for octets in [
        b"PROXY UNKNOWN\r\n".to_vec(),
        b"PROXY UNKNOWN what ever \r\xff\0\n\r\n".to_vec(),
        longest.into_bytes(),
        v2(0x20, 0x00, b""),
        // Its block is to be discarded, whatever it says and holds.
        v2(0x20, 0x11, &TCP4),
        v2(0x20, 0x11, b""),
        v2(0x20, 0xff, b"anything"),
        // Valid, and nothing that a mail server can make use of.
        v2(0x21, 0x00, b""),
        v2(0x21, 0x00, b"\x01"),
        v2(0x21, 0x12, &TCP4),
        v2(0x21, 0x31, &[0; 216]),
    ] {
        let whole = Progress::Whole(Header::Local, octets.len());
        assert_eq!(parse(&octets), Ok(whole), "{octets:?}");
    }
}

#[test]
fn what_is_no_header() {
    let too_long = b"PROXY UNKNOWN ".to_vec();
    let too_long = [too_long, vec![b'x'; 200]].concat();
    let block = vec![0; binary::LONGEST_BLOCK + 1];
    for (octets, error) in [
        (b"EHLO client.example\r\n".to_vec(), HeaderError::Missing),
        (b"E".to_vec(), HeaderError::Missing),
        (b"PROXZ".to_vec(), HeaderError::Missing),
        (b"\x16\x03\x01".to_vec(), HeaderError::Missing),
        (b"\r\n\r\n\x01".to_vec(), HeaderError::Missing),
        (too_long, HeaderError::TooLong),
        (v2(0x20, 0, &block), HeaderError::TooLong),
        (v2(0x11, 0x11, &TCP4), HeaderError::Malformed),
        (v2(0x22, 0x11, &TCP4), HeaderError::Malformed),
        (v2(0x21, 0x13, &TCP4), HeaderError::Malformed),
        (v2(0x21, 0x41, &TCP4), HeaderError::Malformed),
        (v2(0x21, 0x11, &TCP4[1..]), HeaderError::Malformed),
        (v2(0x21, 0x21, &[0; 35]), HeaderError::Malformed),
    ] {
        assert_eq!(parse(&octets), Err(error), "{octets:?}");
    }
}

#[test]
fn lines_that_break_the_grammar() {
    for line in [
        "PROXY \r\n        ",
        "PROXY UNKNOWNS\r\n",
        "PROXY  TCP4 192.0.2.1 192.0.2.2 1 2\r\n",
        "PROXY TCP4 192.0.2.1 192.0.2.2 1 2 \r\n",
        "PROXY TCP4 192.0.2.1 192.0.2.2 1\r\n",
        "PROXY TCP4 192.0.2.1 192.0.2.2 1 2 3\r\n",
        "PROXY TCP4 192.0.2.01 192.0.2.2 1 2\r\n",
        "PROXY TCP4 192.0.2 192.0.2.2 1 2\r\n",
        "PROXY TCP4 192.0.2.256 192.0.2.2 1 2\r\n",
        "PROXY TCP4 2001:db8::1 2001:db8::2 1 2\r\n",
        "PROXY TCP6 192.0.2.1 192.0.2.2 1 2\r\n",
        "PROXY TCP6 2001:db8::1%lo 2001:db8::2 1 2\r\n",
        "PROXY TCP5 192.0.2.1 192.0.2.2 1 2\r\n",
        "PROXY tcp4 192.0.2.1 192.0.2.2 1 2\r\n",
        "PROXY TCP4 192.0.2.1 192.0.2.2 01 2\r\n",
        "PROXY TCP4 192.0.2.1 192.0.2.2 +1 2\r\n",
        "PROXY TCP4 192.0.2.1 192.0.2.2 65536 2\r\n",
        "PROXY TCP4 192.0.2.1 192.0.2.2 1 \r\n",
        "PROXY TCP4 192.0.2.1 192.0.2.2 1 2\n\r\n",
        "PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\r\n",
        "PROXY TCP4 192.0.2.1 192.0.2.\u{663} 1 2\r\n",
    ] {
        let found = parse(line.as_bytes());
        assert_eq!(found, Err(HeaderError::Malformed), "{line:?}");
    }
}

#[test]
fn a_session_that_the_proxy_ended() {
    let details: &[(u8, &[u8])] = &[
        (0x21, b"TLSv1.3"),
        (0x22, b"mx.partner.example"),
        (0x23, b"TLS_AES_256_GCM_SHA384"),
        (0x24, b"RSA-SHA256"),
        (0x26, b"X25519MLKEM768"),
    ];
    let authority = element(0x02, b"MX.acme.example");
    let octets = with(&[authority, ssl(0x03, 0, details), element(0xe0, b"x")].concat());
    let found = proxied(&octets);
    assert_eq!(found.client.to_string(), "192.0.2.1:56324");
    let certificate = ClaimedCertificate {
        common_name: Some("mx.partner.example".into()),
        verified: true,
    };
    assert_eq!(
        found.tls,
        Some(Tls {
            origin: Origin::Proxy,
            version: TlsVersion::TLS13,
            cipher_suite: "TLS_AES_256_GCM_SHA384".into(),
            secret_bits: 256,
            key_exchange: Some("X25519MLKEM768".into()),
            post_quantum: true,
            server_name: Some("mx.acme.example".into()),
            resumed: false,
            client_certificate: ClientCertificate::Claimed(certificate),
        })
    );
}

#[test]
fn a_claim_says_no_more_than_it_says() {
    let tls = |flags, verify, details: &[(u8, &[u8])]| {
        let octets = with(&ssl(flags, verify, details));
        proxied(&octets).tls
    };
    assert_eq!(tls(0x00, 0, &[(0x21, b"TLSv1.3")]), None);
    let bare = tls(0x01, 1, &[]).expect("there is TLS");
    assert_eq!(bare.version, TlsVersion(0));
    assert_eq!((bare.secret_bits, bare.post_quantum), (0, false));
    assert_eq!((bare.key_exchange, bare.server_name), (None, None));
    assert_eq!(bare.client_certificate, ClientCertificate::NotAsked);
    let odd = [(0x21, b"TLSv9".as_slice()), (0x23, b"\x1b[2J(x)\r\n")];
    let odd = tls(0x05, 1, &odd).expect("there is TLS");
    assert_eq!(odd.version, TlsVersion(0));
    assert_eq!(odd.cipher_suite, "??2J?x???");
    assert!(odd.resumed, "its certificate is of an earlier connection");
    let claimed = ClaimedCertificate {
        common_name: None,
        verified: false,
    };
    assert_eq!(odd.client_certificate, ClientCertificate::Claimed(claimed));
    let name = [b"a\r\n\xff".as_slice(), &[b'x'; 300]].concat();
    let long = tls(0x03, 0, &[(0x22, &name)]).expect("there is TLS");
    let ClientCertificate::Claimed(claimed) = long.client_certificate else {
        unreachable!("a certificate is claimed");
    };
    let name = claimed.common_name.expect("a name is claimed");
    assert!(name.starts_with("a??\u{fffd}x"), "{name:?}");
    assert_eq!(name.chars().count(), 64);
}

#[test]
fn extensions_that_break_the_grammar() {
    for extensions in [
        vec![0x01],
        vec![0x01, 0x00],
        vec![0x01, 0x00, 0x01],
        vec![0x20, 0x00, 0x00],
        element(0x20, &[1, 0, 0, 0]),
        element(0x20, &[1, 0, 0, 0, 0, 0x21, 0, 9, b'x']),
        element(0x03, &[0, 0, 0]),
        element(0x03, &[0, 0, 0, 0, 0]),
        [ssl(1, 0, &[]), ssl(0, 0, &[])].concat(),
        [element(0x02, b"a"), element(0x02, b"b")].concat(),
    ] {
        let found = parse(&with(&extensions));
        assert_eq!(found, Err(HeaderError::Malformed), "{extensions:?}");
    }
}

/// The sum was taken by another program over the same octets.
#[test]
fn the_checksum_is_that_of_the_header() {
    let before = element(0x02, b"mx.acme.example");
    let behind = element(0x04, b"\0\0\0");
    let around = |sum: u32| {
        let sum = element(0x03, &sum.to_be_bytes());
        with(&[before.clone(), sum, behind.clone()].concat())
    };
    let right = 0x4f1c_56b1;
    proxied(&around(right));
    for bit in 0..32 {
        let found = parse(&around(right ^ (1 << bit)));
        assert_eq!(found, Err(HeaderError::Checksum));
    }
}

/// Reads as a connection does: what was asked for, or less, and then again. Gives what
/// came of it, and how many octets were taken.
fn read_in_pieces(octets: &[u8], pieces: &[usize]) -> (Result<Header, HeaderError>, usize) {
    let mut known = 0;
    let mut pieces = pieces.iter().cycle();
    loop {
        match parse(&octets[..known]) {
            Err(error) => return (Err(error), known),
            Ok(Progress::Whole(header, length)) => {
                assert_eq!(length, known, "more was read than belongs to it");
                return (Ok(header), known);
            }
            Ok(Progress::More(missing)) => {
                assert!(missing > 0 && known + missing <= LONGEST);
                let piece = *pieces.next().expect("they cycle");
                let piece = piece.min(missing).min(octets.len() - known);
                if piece == 0 {
                    return (Err(HeaderError::Missing), known);
                }
                known += piece;
            }
        }
    }
}

fn header() -> impl Strategy<Value = Vec<u8>> {
    let extension = (any::<u8>(), prop::collection::vec(any::<u8>(), 0..40));
    let extensions = prop::collection::vec(extension, 0..4);
    let line = any::<(u32, u32, u16, u16)>().prop_map(|(client, server, from, to)| {
        let (client, server) = (
            std::net::Ipv4Addr::from(client),
            std::net::Ipv4Addr::from(server),
        );
        format!("PROXY TCP4 {client} {server} {from} {to}\r\n").into_bytes()
    });
    let unknown = "[ -~]{0,91}".prop_map(|rest| format!("PROXY UNKNOWN {rest}\r\n").into_bytes());
    let binary = (
        0x20..=0x21u8,
        prop::sample::select(vec![0x11, 0x00, 0x31]),
        extensions,
    );
    let binary = binary.prop_map(|(version, family, extensions)| {
        let mut block = TCP4.to_vec();
        for (kind, value) in extensions {
            // Checksums would be wrong.
            block.extend(element(kind | 0x40, &value));
        }
        v2(version, family, &block)
    });
    prop_oneof![line, unknown, binary]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn nothing_panics(octets in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = parse(&octets);
        for beginning in [FIRST, b"PROXY ", &v2(0x21, 0x11, &[0; 20])[..14]] {
            let octets = [beginning, &octets].concat();
            let _ = parse(&octets);
            let _ = read_in_pieces(&octets, &[1, 7, 100]);
        }
    }

    #[test]
    fn in_pieces_or_whole_it_is_the_same(
        header in header(),
        behind in prop::collection::vec(any::<u8>(), 0..20),
        pieces in prop::collection::vec(1..200usize, 1..5),
    ) {
        let Ok(Progress::Whole(whole, length)) = parse(&header) else {
            return Err(TestCaseError::fail("it is whole"));
        };
        prop_assert_eq!(length, header.len());
        let octets = [header, behind].concat();
        let (read, taken) = read_in_pieces(&octets, &pieces);
        prop_assert_eq!(taken, length, "not an octet more than the header");
        prop_assert_eq!(read, Ok(whole));
    }

    /// A header that an attacker or a bad line has changed is another one, or none.
    #[test]
    fn a_changed_header_is_read_within_its_bounds(
        header in header(),
        at in any::<prop::sample::Index>(),
        octet in any::<u8>(),
    ) {
        let mut changed = header;
        let at = at.index(changed.len());
        changed[at] = octet;
        let _ = read_in_pieces(&changed, &[1, 3]);
    }
}
