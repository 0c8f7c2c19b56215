use proptest::prelude::*;

use super::*;

fn sender_of(line: &str) -> Result<String, CommandError> {
    match Command::parse(line.as_bytes())? {
        Command::Mail { sender, .. } => Ok(sender.map_or("<>".to_owned(), |s| s.to_string())),
        Command::Rcpt {
            recipient: Recipient::Mailbox(mailbox),
            ..
        } => Ok(mailbox.to_string()),
        other => Ok(format!("{other:?}")),
    }
}

#[test]
fn paths() {
    for (line, sender) in [
        ("MAIL FROM:<a@b.example>", "a@b.example"),
        ("mail from:<a@B.EXAMPLE>", "a@b.example"),
        ("MAIL FROM: <a@b.example> SIZE=5", "a@b.example"),
        ("MAIL FROM:<>", "<>"),
        (
            "MAIL FROM:<@x.example,@y.example:a@b.example>",
            "a@b.example",
        ),
        ("MAIL FROM:<\"a>b\"@b.example>", "\"a>b\"@b.example"),
        ("MAIL FROM:<\"a:b\"@b.example>", "\"a:b\"@b.example"),
        ("RCPT TO:<a@[192.0.2.1]>", "a@[192.0.2.1]"),
        (
            "RCPT TO:<PostMaster>",
            "Rcpt { recipient: Postmaster, international: false }",
        ),
    ] {
        assert_eq!(sender_of(line).as_deref(), Ok(sender), "{line}");
    }
}

#[test]
fn refused_lines() {
    for (line, error) in [
        ("", "command not recognised"),
        ("FOO bar", "command not recognised"),
        ("EXPN list", "command not implemented"),
        ("PROXY UNKNOWN", "this is SMTP and not PROXY"),
        ("\0", "this is SMTP and not PROXY"),
        ("get / HTTP/1.1", "this is SMTP and not HTTP"),
        ("NO\0OP", "commands are printable text"),
        ("EHLO", "syntax: EHLO host-name"),
        ("EHLO a b", "syntax: EHLO host-name"),
        ("DATA now", "syntax: DATA"),
        (
            "MAIL a@b.example",
            "syntax: MAIL FROM:<address> [parameters]",
        ),
        (
            "MAIL FROM:a@b.example",
            "syntax: MAIL FROM:<address> [parameters]",
        ),
        (
            "MAIL FROM:<a@b.example>SIZE=1",
            "syntax: MAIL FROM:<address> [parameters]",
        ),
        (
            "MAIL TO:<a@b.example>",
            "syntax: MAIL FROM:<address> [parameters]",
        ),
        (
            "MAIL FROM:<a>",
            "bad sender: \"a\" is not a mailbox: write local-part@domain",
        ),
        ("MAIL FROM:<a@b.example> SIZE=-1", "bad parameter SIZE"),
        ("MAIL FROM:<a@b.example> SIZE", "bad parameter SIZE"),
        (
            "MAIL FROM:<a@b.example> SIZE=1 size=2",
            "bad parameter SIZE",
        ),
        ("MAIL FROM:<a@b.example> BODY=9BIT", "bad parameter BODY"),
        (
            "MAIL FROM:<a@b.example> BODY=BinaryMIME",
            "parameter BODY=BINARYMIME is not supported",
        ),
        (
            "MAIL FROM:<a@b.example> AUTH=<>",
            "parameter AUTH is not supported",
        ),
        ("RCPT TO:<>", "syntax: RCPT TO:<address>"),
        (
            "RCPT TO:<a@b.example> NOTIFY=NEVER",
            "parameter NOTIFY is not supported",
        ),
        (
            "RCPT TO:<a@b..example>",
            "bad recipient: \"b..example\" is not a domain name",
        ),
        ("VRFY", "syntax: VRFY address"),
    ] {
        assert_eq!(
            sender_of(line).map_err(|e| e.to_string()),
            Err(error.to_owned()),
            "{line}"
        );
    }
    let long = format!("MAIL FROM:<a@{}.example>", "b".repeat(250));
    let error = CommandError::Sender(AddressError::LongPath(262));
    assert_eq!(sender_of(&long), Err(error));
}

#[test]
fn protocols_that_are_not_smtp() {
    let (proxy, http) = (Some(Foreign::Proxy), Some(Foreign::Http));
    for (octets, protocol) in [
        (
            &b"PROXY TCP4 192.0.2.7 192.0.2.25 50000 25\r\nEHLO a\r\n"[..],
            proxy,
        ),
        (b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c", proxy),
        (b"GET / HTTP/1.1\r\n", http),
        (b"GET / HTTP/1.1\n", http),
        (b"EHLO client.example\r\n", None),
        (b"\r\n\r\n", None),
        (b"PROXY", None),
        (b"", None),
    ] {
        assert_eq!(Foreign::begins(octets), protocol, "{octets:?}");
    }
}

#[test]
fn parameters() {
    let line = "MAIL FROM:<δ@b.example> BODY=8bitmime SMTPUTF8 requiretls SIZE=1000";
    let Ok(Command::Mail {
        international,
        parameters,
        ..
    }) = Command::parse(line.as_bytes())
    else {
        unreachable!("{line} is MAIL");
    };
    assert!(international);
    let expected = MailParameters {
        size: Some(1000),
        body: Some(Body::EightBitMime),
        smtputf8: true,
        requiretls: true,
    };
    assert_eq!(parameters, expected);
}

#[test]
fn chunks() {
    for (line, size, last) in [
        ("BDAT 0", 0, false),
        ("bdat 12 last", 12, true),
        ("BDAT \t 12  LAST ", 12, true),
        ("BDAT 99999999999999999999 LAST", u64::MAX, true),
    ] {
        let expected = Command::Bdat { size, last };
        assert_eq!(Command::parse(line.as_bytes()), Ok(expected), "{line}");
    }
}

/// Whoever else might take it for BDAT takes what follows for content.
#[test]
fn what_is_like_a_chunk_is_no_ordinary_error() {
    for line in [
        "BDAT",
        "BDAT LAST",
        "BDAT -1",
        "BDAT +1",
        "BDAT 0x10",
        "BDAT 1 LAST LAST",
        "BDAT 1 FIRST",
        "BDAT 1,LAST",
        "BDAT 999999999999999999999",
        "BDAT 5\u{a0}LAST",
        "BDAT\u{a0}5",
        "BDAT5",
        " BDAT 5",
        "\tbdat 5",
        "BDAT 5\0",
    ] {
        let parsed = Command::parse(line.as_bytes());
        assert_eq!(parsed, Err(CommandError::Bdat), "{line:?}");
    }
    assert_eq!(Command::parse(b"BDAT \xff"), Err(CommandError::Bdat));
}

proptest! {
    #[test]
    fn no_bytes_are_a_panic(line in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = Command::parse(&line);
    }

    #[test]
    fn no_mail_is_a_panic(rest in "(MAIL FROM|RCPT TO|mail from): ?<?\\PC{0,40}>?\\PC{0,20}") {
        let _ = Command::parse(rest.as_bytes());
    }
}
