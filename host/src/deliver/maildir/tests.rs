use super::*;
use crate::address::Mailbox;
use crate::decision::{Resolved, TlsOffer, judge};
use crate::facts::{Facts, TrustState, sample};

fn permit(tenant: &str, recipient: &str) -> Permit {
    let recipient: Mailbox = recipient.parse().expect("a mailbox");
    let facts = Facts {
        tenant: tenant.parse().expect("an id"),
        ..sample::clear(&recipient)
    };
    judge(&Resolved::Opportunistic, &facts, TlsOffer::Offered).expect("nothing is enforced")
}

fn consignment(tenant: &str, recipients: &[&str]) -> Consignment {
    let permits = recipients
        .iter()
        .map(|recipient| permit(tenant, recipient))
        .collect();
    Consignment {
        tenant: tenant.parse().expect("an id"),
        trust: None,
        permits,
    }
}

fn message(facts: &Facts, content: &str) -> Message {
    Message {
        connection: Arc::clone(&facts.connection),
        helo: facts.helo.clone(),
        sender: facts.sender.clone(),
        parameters: facts.parameters.clone(),
        received: facts.now,
        content: Arc::new(Content::in_memory(content.into())),
    }
}

fn facts() -> Facts {
    sample::clear(&"c@acme.example".parse().expect("a mailbox"))
}

fn files(directory: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(directory) else {
        return Vec::new();
    };
    entries
        .map(|entry| entry.expect("an entry").path())
        .collect()
}

#[tokio::test]
async fn one_file_for_each_tenant() {
    let root = tempfile::tempdir().expect("a directory");
    let maildirs = Maildirs::new(root.path(), "mx.example");
    for tenant in ["acme", "beta"] {
        maildirs
            .offer(&permit(tenant, "a@b.example"))
            .await
            .expect("maildirs are made");
    }
    let parts = vec![
        consignment("acme", &["c@acme.example", "d@acme.example"]),
        consignment("beta", &["e@beta.example"]),
    ];
    let content = "Authentication-Results: mx.example; dkim=pass\r\nSubject: x\r\n\r\nbody\r\n";
    let delivered = maildirs
        .deliver(message(&facts(), content), parts)
        .await
        .expect("delivered");
    assert_eq!(delivered.len(), 2);
    let text = fs::read_to_string(&delivered[0].path).expect("the message");
    let id = permit("acme", "c@acme.example").receipt().to_string();
    let expected = "Return-Path: <sender@partner.example>\r\n\
        Delivered-To: c@acme.example\r\n\
        Delivered-To: d@acme.example\r\n\
        Received: from client.example ([192.0.2.1])\r\n\
        \tby mx.example (Portcullis) with ESMTP id ID;\r\n\
        \tFri, 15 Jan 2027 08:00:00 +0000\r\n\
        Authentication-Results: mx.example;\r\n\
        \tx-tls=none (received in clear)\r\n\
        Subject: x\r\n\r\nbody\r\n";
    // Two facts made in one moment have ids of their own; the first permit's counts.
    let shown = text.replace(&id, "ID");
    let at = shown.find(" id ").expect("an id") + 4;
    let shown = format!(
        "{}ID{}",
        &shown[..at],
        &shown[at + shown[at..].find(';').expect("an end")..]
    );
    assert_eq!(shown, expected);
    assert_eq!(
        files(&root.path().join("beta/new")),
        [delivered[1].path.clone()]
    );
    assert!(files(&root.path().join("acme/tmp")).is_empty());
}

#[tokio::test]
async fn all_tenants_or_none() {
    let root = tempfile::tempdir().expect("a directory");
    let maildirs = Maildirs::new(root.path(), "mx.example");
    maildirs
        .offer(&permit("acme", "a@b.example"))
        .await
        .expect("a maildir is made");
    let parts = || {
        vec![
            consignment("acme", &["c@acme.example"]),
            consignment("beta", &["e@beta.example"]),
        ]
    };
    let failed = maildirs.deliver(message(&facts(), "x\r\n"), parts()).await;
    assert!(
        matches!(failed, Err(DeliveryError::Storage { .. })),
        "beta has no maildir: {failed:?}"
    );
    assert!(files(&root.path().join("acme/new")).is_empty());
    assert!(files(&root.path().join("acme/tmp")).is_empty());

    maildirs
        .offer(&permit("beta", "a@b.example"))
        .await
        .expect("a maildir is made");
    fs::remove_dir(root.path().join("beta/new")).expect("removed");
    let failed = maildirs.deliver(message(&facts(), "x\r\n"), parts()).await;
    assert!(failed.is_err(), "beta cannot take it");
    assert!(
        files(&root.path().join("acme/new")).is_empty(),
        "what acme had is taken back"
    );
    assert!(files(&root.path().join("beta/tmp")).is_empty());
}

#[tokio::test]
async fn loops_end() {
    let root = tempfile::tempdir().expect("a directory");
    let maildirs = Maildirs::new(root.path(), "mx.example");
    maildirs
        .offer(&permit("acme", "a@b.example"))
        .await
        .expect("a maildir is made");
    for (fields, looped) in [(50, false), (51, true)] {
        let content = format!("{}\r\n", "Received: by x\r\n".repeat(fields));
        let parts = vec![consignment("acme", &["c@acme.example"])];
        let outcome = maildirs.deliver(message(&facts(), &content), parts).await;
        assert_eq!(
            matches!(outcome, Err(DeliveryError::Loop { found: 51 })),
            looped
        );
    }
}

#[test]
fn trace_fields_say_what_tls_there_was() {
    let recipient = "c@acme.example".parse().expect("a mailbox");
    let mut facts = sample::certified(&recipient, &["client.example"], TrustState::Trusted);
    facts.helo.name = "evil)\r\nX: y".into();
    let part = Consignment {
        trust: facts.trust.clone(),
        ..consignment("acme", &["c@acme.example"])
    };
    let fields = trace::fields("mx.example", &message(&facts, ""), &part);
    for expected in [
        "Received: from evil???X:?y ([192.0.2.1])\r\n\t(using TLSv1.3 with cipher TLS_AES_256_GCM_SHA384 (256 bits)\r\n",
        "\t key exchange X25519MLKEM768\r\n",
        "\t client certificate CN=client.example\r\n\t verified: a detail)\r\n",
        "with ESMTPS id ",
        "\r\n\tfor <c@acme.example>;\r\n",
        "x-tls=pass smtp.tls-version=TLSv1.3 smtp.tls-cipher=TLS_AES_256_GCM_SHA384\r\n\tsmtp.tls-client-sha256=",
    ] {
        assert!(fields.contains(expected), "{expected:?} is not in {fields}");
    }
}
