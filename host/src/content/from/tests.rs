use proptest::prelude::*;
use proptest::sample::select;

use super::*;

/// What a message with this header section says.
fn whole(header: &str) -> HeaderFrom {
    super::read(format!("{header}\r\n\r\nFrom: body@example.com\r\n").as_bytes())
}

/// Its addresses, in the order in which they stand.
fn read(header: &str) -> Vec<String> {
    let found = whole(header).addresses;
    found.iter().map(ToString::to_string).collect()
}

#[test]
fn forms_of_addresses() {
    for (field, expected) in [
        ("From: a@b.example", &["a@b.example"][..]),
        ("from:a@B.Example", &["a@b.example"]),
        ("FROM : <a@b.example>", &["a@b.example"]),
        ("From: Ann <a@b.example>", &["a@b.example"]),
        ("From: \"Ann, of B\" <a@b.example>", &["a@b.example"]),
        ("From: \"x@evil.example\" <a@b.example>", &["a@b.example"]),
        ("From: x@evil.example <a@b.example>", &["a@b.example"]),
        (
            "From: =?utf-8?q?ceo=40acme.example?= <a@b.example>",
            &["a@b.example"],
        ),
        ("From: a@b.example (x@evil.example)", &["a@b.example"]),
        (
            "From: (a (nested\\) one) x@evil.example) a@b.example",
            &["a@b.example"],
        ),
        ("From: Ann\r\n\t<a\r\n @b.example>", &["a@b.example"]),
        (
            "From: a@b.example, c@d.example",
            &["a@b.example", "c@d.example"],
        ),
        (
            "From: ,, A <a@b.example>,\r\n c@d.example,",
            &["a@b.example", "c@d.example"],
        ),
        (
            "From: Friends: a@b.example, C <c@d.example>;",
            &["a@b.example", "c@d.example"],
        ),
        ("From: Nobody:;", &[]),
        (
            "From: \"f:\": a@b.example;, c@d.example",
            &["a@b.example", "c@d.example"],
        ),
        (
            "From: a@b.example\r\nFrom: c@d.example",
            &["a@b.example", "c@d.example"],
        ),
        (
            "Subject: x\r\nFrom: a@b.example\r\nTo: c@d.example",
            &["a@b.example"],
        ),
        ("From: a@b.example, A <a@B.example>", &["a@b.example"]),
        // Obsolete, and read to this day.
        ("From: a . c @ b . example", &["a.c@b.example"]),
        (
            "From: <@r.example,@s.example:a@b.example>",
            &["a@b.example"],
        ),
        ("From: \"a\".c@b.example", &["\"a.c\"@b.example"]),
        // As the envelope may have them.
        ("From: \"a b\"@b.example", &["\"a b\"@b.example"]),
        ("From: <\"a\\\"b>\"@b.example>", &["\"a\\\"b>\"@b.example"]),
        ("From: a@[192.0.2.1]", &["a@[192.0.2.1]"]),
        ("From: <a@[IPv6:2001:db8::1]>", &["a@[IPv6:2001:db8::1]"]),
        (
            "From: b\u{f6}b@b\u{fc}cher.example",
            &["b\u{f6}b@xn--bcher-kva.example"],
        ),
        ("From: a@b.example.", &["a@b.example"]),
        ("From: Ann <a@b.example . >", &["a@b.example"]),
    ] {
        assert_eq!(read(field), expected, "{field:?}");
        assert!(!whole(field).unreadable, "{field:?}");
    }
}

/// What may be meant as an address, or shown as one, is not passed over in silence.
#[test]
fn what_cannot_be_read_is_said() {
    let long = format!("From: {}@b.example", "x".repeat(65));
    let words = format!("From: {} a@b.example", "word ".repeat(300));
    for (field, unreadable) in [
        ("From: CEO a@b.example", true),
        ("From: \"CEO a@b.example", true),
        ("From: x@y.example, \"a@b.example", true),
        ("From: x@y.example (a@b.example", true),
        ("From: x@y.example, [a@b.example", true),
        ("From: [a@b.example]", true),
        ("From: a@b.example..", true),
        ("From: a@b@c.example", true),
        ("From: a..c@b.example", true),
        ("From: a@-b.example", true),
        ("From: <a@b.example <x@y.example>", true),
        ("From: <x@y.example> a@b.example", true),
        ("From: a@b.example: x@y.example;", true),
        ("From: a@b.example>", true),
        (&*long, true),
        (&*words, true),
        ("From: \u{fffd}@b.example", true),
        // No address, and nothing that looks like one.
        ("From:", false),
        ("From: Ann", false),
        ("From: <>", false),
        ("From: Nobody:;", false),
        ("From: \"Ann", false),
        ("From: Ann (of B", false),
        // Names may say what they like.
        ("From: \"a@b.example\" <x@y.example>", false),
        ("From: a@b.example <x@y.example>", false),
        ("From: [a@b.example] <x@y.example>", false),
        ("From: x@y.example (a@b.example)", false),
        ("To: CEO a@b.example", false),
    ] {
        assert_eq!(whole(field).unreadable, unreadable, "{field:?}");
    }
}

/// What is no address is none, and hides no other.
#[test]
fn garbage_counts_as_no_address() {
    for (field, expected) in [
        ("From:", &[][..]),
        ("From: Ann", &[]),
        ("From: <>", &[]),
        ("From: a@", &[]),
        ("From: @b.example", &[]),
        ("From: a@b@c.example", &[]),
        ("From: a..c@b.example", &[]),
        ("From: a b@c.example", &[]),
        ("From: a@b c.example", &[]),
        ("From: a@\"b.example\"", &[]),
        ("From: \"a@b.example", &[]),
        ("From: (a@b.example", &[]),
        ("From: a@b_.-x", &[]),
        ("X-From: a@b.example", &[]),
        ("From", &[]),
        (" From: a@b.example", &[]),
        ("From: a@b@c, <broken, d@e.example", &["d@e.example"]),
        ("From: <<a@b.example>>", &["a@b.example"]),
        ("From: <a@b.example", &["a@b.example"]),
        ("From: a@b.example>", &[]),
        (
            "From: <a@b.example> <c@d.example>",
            &["a@b.example", "c@d.example"],
        ),
        ("no field at all\r\nFrom: a@b.example", &["a@b.example"]),
    ] {
        assert_eq!(read(field), expected, "{field:?}");
    }
    let garbage = super::read(b"From: \xff\xfe@b.example, a\xff@b.example\r\n");
    assert!(garbage.addresses.is_empty() && garbage.unreadable);
    assert_eq!(super::read(b""), HeaderFrom::default());
}

#[test]
fn a_list_is_read_to_its_bound() {
    let all: Vec<String> = (0..100).map(|n| format!("a{n}@b.example")).collect();
    let found = read(&format!("From: {}", all.join(",\r\n ")));
    assert_eq!(found, all[..MAX_ADDRESSES]);
    for (count, unreadable) in [(MAX_ADDRESSES, false), (MAX_ADDRESSES + 1, true)] {
        // One that is there already is none more.
        let field = format!("From: {}, a0@b.example", all[..count].join(", "));
        assert_eq!(whole(&field).unreadable, unreadable, "{count}");
        let fields = format!("From: {}", all[..count].join("\r\nFrom: "));
        assert_eq!(whole(&fields).unreadable, unreadable, "{count}");
    }
    // The length of what stands before an address is no bound.
    for long in [
        format!("({})", "(x".repeat(50_000) + &"x)".repeat(50_000)),
        "word ".repeat(100_000),
        format!("\"{}\"", "x".repeat(500_000)),
    ] {
        assert_eq!(
            read(&format!("From: {long} <a@b.example>")),
            ["a@b.example"]
        );
    }
}

/// What may stand around addresses without being one.
const PIECES: [&str; 5] = [
    " ",
    "\t",
    "\r\n ",
    "(x@evil.example)",
    "(a (b\\) c) <x@evil.example>, )",
];

fn between() -> impl Strategy<Value = String> {
    proptest::collection::vec(select(&PIECES[..]), 0..3).prop_map(|pieces| pieces.concat())
}

const NAMES: [&str; 4] = [
    "",
    "Ann ",
    "\"x@evil.example, \\\" <\" ",
    "=?utf-8?q?a=40b?= ",
];

/// A member of a list with this address, as a sender may write it.
fn member(address: &'static str) -> impl Strategy<Value = String> {
    let name = select(&NAMES[..]);
    (name, any::<bool>(), between(), between(), between()).prop_map(
        move |(name, bracketed, before, within, after)| {
            if bracketed || !name.is_empty() {
                format!("{before}{name}<{within}{address}{within}>{after}")
            } else {
                format!("{before}{address}{after}")
            }
        },
    )
}

const ADDRESSES: [&str; 5] = [
    "a@b.example",
    "first.last@acme.example",
    "\"a b\"@b.example",
    "a@[192.0.2.1]",
    "x+y=z@sub.b.example",
];

proptest! {
    /// Whatever stands around them: exactly the addresses are found.
    #[test]
    fn addresses_are_found_however_they_are_written(
        members in proptest::collection::vec(
            select(&ADDRESSES[..]).prop_flat_map(|address| (Just(address), member(address))),
            1..6,
        ),
        group in any::<bool>(),
        fields in any::<bool>(),
    ) {
        let written: Vec<&str> = members.iter().map(|(_, written)| &**written).collect();
        let header = match (group, fields) {
            (true, _) => format!("From: Group:{};", written.join(",")),
            (false, true) => format!("From:{}", written.join("\r\nFrom:")),
            (false, false) => format!("From: {}", written.join(",")),
        };
        let mut expected: Vec<&str> = Vec::new();
        for (address, _) in &members {
            if !expected.contains(address) {
                expected.push(address);
            }
        }
        prop_assert_eq!(read(&header), expected, "{}", header);
        prop_assert!(!whole(&header).unreadable, "{}", header);
    }

    /// Octets are never a panic, and never more addresses than the bound.
    #[test]
    fn no_octets_are_a_panic(
        octets in proptest::collection::vec(
            prop_oneof![any::<u8>(), select(&b"<>()\"\\,;:@.[] \r\nab"[..])],
            0..400,
        ),
    ) {
        let front = [&b"From: "[..], &octets].concat();
        let found = super::read(&front).addresses;
        prop_assert!(found.len() <= MAX_ADDRESSES);
        for address in found {
            let again: Result<Mailbox, _> = address.to_string().parse();
            prop_assert_eq!(again, Ok(address));
        }
    }
}
