//! What is said to a hop that behaves, and what is made of its answers.

use super::fake::{Act, CAPABLE, Fake, Script};
use super::*;
use crate::facts::Body;

#[tokio::test]
async fn a_transaction_over_smtp() {
    let fake = Fake::tcp(vec![]).await;
    let relay = relay(hop(Protocol::Smtp, fake.address.clone()));
    let outcomes = deliver(&relay, &["a@tenant.example", "b@tenant.example"]).await;
    assert_eq!(
        outcomes,
        Ok(vec![
            "a@tenant.example: 250 2.0.0 kept".to_owned(),
            "b@tenant.example: 250 2.0.0 kept".to_owned(),
        ])
    );
    assert_eq!(
        fake.lines(),
        [
            "EHLO mx.host.example",
            "MAIL FROM:<s@client.example>",
            "RCPT TO:<a@tenant.example>",
            "RCPT TO:<b@tenant.example>",
            "DATA",
        ]
    );
    let content = b"X-Field: ours\r\nSubject: x\r\n\r\n..a\r\n.\r\n";
    assert_eq!(fake.content(), [content.to_vec()]);
}

#[tokio::test]
async fn lmtp_answers_for_each_accepted_recipient() {
    let script: Script = vec![
        (
            "RCPT TO:<b@",
            Act::Say("550-5.1.1 no such user\r\n550 5.1.1 here"),
        ),
        (
            ".",
            Act::Say("250 2.0.0 a\r\n452-4.2.2 c is\r\n452 4.2.2 full\r\n550 5.7.1 d"),
        ),
    ];
    let fake = Fake::unix(vec![script], CAPABLE).await;
    let relay = relay(hop(Protocol::Lmtp, fake.address.clone()));
    let outcomes = deliver(
        &relay,
        &["a@t.example", "b@t.example", "c@t.example", "d@t.example"],
    );
    assert_eq!(
        outcomes.await,
        Ok(vec![
            "b@t.example: 550 5.1.1 no such user / here".to_owned(),
            "a@t.example: 250 2.0.0 a".to_owned(),
            "c@t.example: refused 452 4.2.2 c is / full".to_owned(),
            "d@t.example: refused 550 5.7.1 d".to_owned(),
        ])
    );
    assert_eq!(fake.lines()[0], "LHLO mx.host.example");
}

#[tokio::test]
async fn lmtp_over_tcp() {
    let fake = Fake::tcp(vec![]).await;
    let relay = relay(hop(Protocol::Lmtp, fake.address.clone()));
    for _ in 0..2 {
        let outcomes = deliver(&relay, &["a@t.example", "b@t.example"]).await;
        assert_eq!(outcomes.map(|outcomes| outcomes.len()), Ok(2));
    }
    assert_eq!(fake.accepted(), 1);
}

#[tokio::test]
async fn a_hop_that_only_knows_helo() {
    let script: Script = vec![("EHLO", Act::Say("502 5.5.1 what?"))];
    let fake = Fake::tcp(vec![script.clone()]).await;
    let smtp = relay(hop(Protocol::Smtp, fake.address.clone()));
    assert!(deliver(&smtp, &["a@t.example"]).await.is_ok());
    assert_eq!(
        fake.lines()[..2],
        ["EHLO mx.host.example", "HELO mx.host.example"]
    );

    let script: Script = vec![("LHLO", Act::Say("502 5.5.1 what?"))];
    let fake = Fake::tcp(vec![script]).await;
    let lmtp = relay(hop(Protocol::Lmtp, fake.address.clone()));
    let error = deliver(&lmtp, &["a@t.example"]).await.expect_err("no HELO");
    assert!(
        error
            .to_string()
            .contains("LHLO: unexpected reply: 502 5.5.1 what?"),
        "{error}"
    );
    assert_eq!(fake.lines(), ["LHLO mx.host.example"]);
}

/// MAIL as it is said to a hop with these capabilities, or what it lacks.
async fn said(capabilities: &'static str, mail: &HopMail) -> Result<String, RelayError> {
    let fake = Fake::with(vec![], capabilities, None).await;
    let relay = relay(hop(Protocol::Smtp, fake.address.clone()));
    let begun = relay.begin(mail).await;
    let said = fake.lines().iter().find(|l| l.starts_with("MAIL")).cloned();
    begun.map(|_| said.expect("MAIL was accepted"))
}

#[tokio::test]
async fn parameters_of_mail() {
    const BARE: &str = "250 hop.example";
    let none = MailParameters::default();
    let eight_bit = MailParameters {
        body: Some(Body::EightBitMime),
        ..none.clone()
    };
    let utf8 = MailParameters {
        smtputf8: true,
        ..none.clone()
    };
    let sized = |size| MailParameters {
        size: Some(size),
        ..none.clone()
    };
    let secret = MailParameters {
        requiretls: true,
        ..none.clone()
    };
    let lacks = |capability| Err(RelayError::Lacks(capability));
    let said_so = |text: &str| Ok(text.to_owned());
    for (capabilities, sender, parameters, expected) in [
        (CAPABLE, "", &none, said_so("MAIL FROM:<>")),
        (
            CAPABLE,
            "s@a.example",
            &none,
            said_so("MAIL FROM:<s@a.example>"),
        ),
        (CAPABLE, "", &sized(1000), said_so("MAIL FROM:<> SIZE=5096")),
        (BARE, "", &sized(1000), said_so("MAIL FROM:<>")),
        (
            CAPABLE,
            "",
            &sized(u64::MAX),
            said_so("MAIL FROM:<> SIZE=18446744073709551615"),
        ),
        (
            CAPABLE,
            "",
            &eight_bit,
            said_so("MAIL FROM:<> BODY=8BITMIME"),
        ),
        (BARE, "", &eight_bit, lacks(Capability::EightBitMime)),
        (
            CAPABLE,
            "ü@a.example",
            &utf8,
            said_so("MAIL FROM:<ü@a.example> BODY=8BITMIME SMTPUTF8"),
        ),
        (CAPABLE, "ü@a.example", &none, lacks(Capability::SmtpUtf8)),
        (BARE, "", &utf8, lacks(Capability::SmtpUtf8)),
        (
            "250-hop\r\n250 REQUIRETLS",
            "",
            &secret,
            lacks(Capability::RequireTls),
        ),
    ] {
        let mail = HopMail {
            sender: (!sender.is_empty()).then(|| mailbox(sender)),
            parameters: parameters.clone(),
        };
        assert_eq!(said(capabilities, &mail).await, expected, "{mail:?}");
    }
}

#[tokio::test]
async fn what_a_hop_lacks_costs_no_connection() {
    let fake = Fake::with(vec![], "250 hop.example", None).await;
    let relay = relay(hop(Protocol::Smtp, fake.address.clone()));
    let mut international = mail();
    international.parameters.smtputf8 = true;
    let lacking = relay.begin(&international).await.map(drop);
    assert_eq!(lacking, Err(RelayError::Lacks(Capability::SmtpUtf8)));
    assert!(deliver(&relay, &["a@t.example"]).await.is_ok());
    assert_eq!(fake.accepted(), 1);
}

#[tokio::test]
async fn an_international_recipient_needs_smtputf8() {
    let fake = Fake::tcp(vec![]).await;
    let relay = relay(hop(Protocol::Smtp, fake.address.clone()));
    let mut dialogue = relay.begin(&mail()).await.expect("accepted");
    let lacking = dialogue.recipient(&mailbox("ü@t.example")).await;
    assert_eq!(lacking, Err(RelayError::Lacks(Capability::SmtpUtf8)));
    assert_eq!(dialogue.recipient(&mailbox("a@t.example")).await, Ok(()));
    drop(dialogue);

    let mut international = mail();
    international.parameters.smtputf8 = true;
    let mut dialogue = relay.begin(&international).await.expect("accepted");
    assert_eq!(dialogue.recipient(&mailbox("ü@t.example")).await, Ok(()));
    fake.until("RCPT TO:<ü@t.example>", 1).await;
}

#[tokio::test]
async fn requiretls_may_end_at_a_local_socket() {
    let secret = HopMail {
        sender: None,
        parameters: MailParameters {
            requiretls: true,
            ..MailParameters::default()
        },
    };
    for (capabilities, protocol, expected) in [
        ("250 hop", Protocol::Lmtp, Ok("MAIL FROM:<>")),
        (
            "250-hop\r\n250 REQUIRETLS",
            Protocol::Lmtp,
            Ok("MAIL FROM:<> REQUIRETLS"),
        ),
        (
            "250 hop",
            Protocol::Smtp,
            Err(RelayError::Lacks(Capability::RequireTls)),
        ),
    ] {
        let fake = Fake::unix(vec![], capabilities).await;
        let relay = relay(hop(protocol, fake.address.clone()));
        let begun = relay.begin(&secret).await.map(drop);
        let said = fake.lines().into_iter().find(|l| l.starts_with("MAIL"));
        assert_eq!(
            begun.map(|()| said.as_deref().unwrap_or_default()),
            expected
        );
    }
}

#[tokio::test]
async fn large_content_arrives_whole() {
    let fake = Fake::tcp(vec![]).await;
    let relay = relay(hop(Protocol::Smtp, fake.address.clone()));
    let content = b"Subject: x\r\n\r\n".to_vec().into_iter();
    let lines = b".0123456789\r\nabc\r\n".repeat(40_000);
    let content: Vec<u8> = content.chain(lines).chain(*b"no end").collect();
    let mut dialogue = relay.begin(&mail()).await.expect("accepted");
    dialogue
        .recipient(&mailbox("a@t.example"))
        .await
        .expect("accepted");
    let outcomes = dialogue
        .send(&parcel(&content), &crate::deliver::Until::due(soon()))
        .await
        .outcomes;
    assert!(outcomes[0].is_ok(), "{outcomes:?}");
    let text = String::from_utf8(content).expect("ASCII");
    let expected = format!(
        "X-Field: ours\r\n{}\r\n.\r\n",
        text.replace("\r\n.", "\r\n..")
    );
    assert!(fake.content()[0] == expected.as_bytes());
}
