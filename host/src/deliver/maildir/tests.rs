use std::collections::HashMap;

use super::*;
use crate::address::Mailbox;
use crate::decision::{Permit, Resolved, TlsOffer, judge};
use crate::deliver::ledger::State;
use crate::deliver::{
    Consignment, Delivered, Ending, Handover, Ledger, Message, Target, TargetSettings, Targets,
    Until, trace,
};
use crate::facts::{Facts, Origin, ReverseName, Tls, TrustState, sample};

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

/// Later than anything here takes.
fn soon() -> Instant {
    Instant::now() + Duration::from_secs(60)
}

fn files(directory: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(directory) else {
        return Vec::new();
    };
    entries
        .map(|entry| entry.expect("an entry").path())
        .collect()
}

/// A directory of maildirs and a ledger.
struct Bench {
    root: tempfile::TempDir,
    ledger: Arc<Ledger>,
    targets: Targets,
}

impl Bench {
    fn new() -> Self {
        let root = tempfile::tempdir().expect("a directory");
        let ledger = Ledger::open(&root.path().join("ledger")).expect("opened");
        Self {
            root,
            ledger,
            targets: Targets::default(),
        }
    }

    fn target(&self, tenant: &str) -> Arc<Target> {
        let settings = TargetSettings::Maildir {
            path: self.root.path().join(tenant),
            delivery_timeout: Duration::from_secs(60),
        };
        self.targets.get(settings, "mx.example")
    }

    /// Offers all recipients, then spoils what the test wants spoilt, then delivers.
    async fn deliver(
        &self,
        content: &str,
        recipients: &[(&str, &str)],
        spoil: impl FnOnce(),
    ) -> Delivered {
        let content = Content::in_memory(content.into());
        self.deliver_content(content, recipients, spoil).await
    }

    async fn deliver_content(
        &self,
        content: Content,
        recipients: &[(&str, &str)],
        spoil: impl FnOnce(),
    ) -> Delivered {
        let facts = facts();
        let (sender, parameters) = (facts.sender.clone(), facts.parameters.clone());
        let mut handover = Handover::new(Arc::clone(&self.ledger), sender, parameters);
        let mut permits = Vec::new();
        for (tenant, recipient) in recipients {
            let permit = permit(tenant, recipient);
            let target = self.target(tenant);
            handover
                .offer(permit.clone(), &target, soon())
                .await
                .expect("it is there");
            permits.push(permit);
        }
        spoil();
        let content = Arc::new(content);
        let message = Message {
            content,
            ..message(&facts, "")
        };
        handover
            .deliver(
                message,
                &permits,
                HashMap::new(),
                "mx.example",
                Until::due(soon()),
            )
            .await
    }
}

#[tokio::test]
async fn one_file_for_each_tenant() {
    let bench = Bench::new();
    let content = "Authentication-Results: mx.example; dkim=pass\r\nSubject: x\r\n\r\nbody\r\n";
    let recipients = [
        ("acme", "c@acme.example"),
        ("acme", "d@acme.example"),
        ("beta", "e@beta.example"),
        ("acme", "c@acme.example"),
    ];
    let delivered = bench.deliver(content, &recipients, || ()).await;
    assert!(
        matches!(delivered.ending, Ending::Delivered),
        "{delivered:?}"
    );
    let places: Vec<String> = delivered
        .fates
        .into_iter()
        .map(|fate| fate.expect("a place"))
        .collect();
    assert_eq!((&places[0], &places[0]), (&places[1], &places[3]));
    let text = fs::read_to_string(&places[0]).expect("the message");
    let expected = "Return-Path: <sender@partner.example>\r\n\
        Delivered-To: c@acme.example\r\n\
        Delivered-To: d@acme.example\r\n\
        Received: from client.example ([192.0.2.1])\r\n\
        \tby mx.example (Portcullis) with ESMTP id ID;\r\n\
        \tFri, 15 Jan 2027 08:00:00 +0000\r\n\
        Authentication-Results: mx.example;\r\n\
        \tx-tls=none (received in clear)\r\n\
        Subject: x\r\n\r\nbody\r\n";
    let at = text.find(" id ").expect("an id") + 4;
    let end = at + text[at..].find(';').expect("an end");
    let shown = format!("{}ID{}", &text[..at], &text[end..]);
    assert_eq!(shown, expected);
    let root = bench.root.path();
    assert_eq!(files(&root.join("beta/new")), [PathBuf::from(&places[2])]);
    assert!(files(&root.join("acme/tmp")).is_empty());
}

/// Whatever is broken, whoever can have the message has it, once.
#[tokio::test]
async fn those_who_can_have_it_do_and_the_ledger_knows() {
    for broken in ["beta/tmp", "beta/new"] {
        let bench = Bench::new();
        let root = bench.root.path();
        let recipients = [("acme", "c@acme.example"), ("beta", "e@beta.example")];
        let spoil = || fs::remove_dir(root.join(broken)).expect("it is empty");
        let delivered = bench.deliver("x\r\n", &recipients, spoil).await;
        assert!(matches!(delivered.ending, Ending::Mixed), "{delivered:?}");
        assert!(matches!(
            delivered.fates[1],
            Err(DeliveryError::Storage { .. })
        ));
        assert!(files(&root.join("beta/tmp")).is_empty());
        // The next time the maildir is made again, and the other is left alone.
        let delivered = bench.deliver("x\r\n", &recipients, || ()).await;
        assert!(
            matches!(delivered.ending, Ending::Delivered),
            "{delivered:?}"
        );
        for tenant in ["acme", "beta"] {
            assert_eq!(files(&root.join(tenant).join("new")).len(), 1, "{tenant}");
        }
        // Another message is another matter.
        bench.deliver("y\r\n", &recipients, || ()).await;
        for tenant in ["acme", "beta"] {
            assert_eq!(files(&root.join(tenant).join("new")).len(), 2, "{tenant}");
        }
    }
}

/// A disk that hangs: the client hears in time, its retry is put off, and what comes
/// late is known.
#[tokio::test]
async fn what_comes_late_does_not_come_twice() {
    let root = tempfile::tempdir().expect("a directory");
    let ledger = Ledger::open(&root.path().join("ledger")).expect("opened");
    let content = Arc::new(Content::in_memory(b"x\r\n".to_vec()));
    let recipient: Mailbox = "c@acme.example".parse().expect("a mailbox");
    let copies = Arc::new(super::super::late::Copies::new(None, content));
    let copy = copies
        .of([&recipient].into_iter(), PATIENCE)
        .await
        .expect("in memory")[0];
    for (arrives, afterwards) in [(false, None), (true, Some(State::Delivered))] {
        let late = Late {
            ledger: Arc::clone(&ledger),
            copies: Arc::clone(&copies),
            recipients: vec![recipient.clone()],
        };
        let (go_on, wait) = std::sync::mpsc::channel::<()>();
        let work = tokio::task::spawn_blocking(move || {
            wait.recv().expect("the test says so");
            let path = PathBuf::from("a place");
            let failure = DeliveryError::Timeout { path: path.clone() };
            arrives.then_some(path).ok_or(failure)
        });
        late.watch(work).await;
        assert_eq!(ledger.state(&copy), Some(State::UnderWay));
        go_on.send(()).expect("it waits");
        let known = async {
            while ledger.state(&copy) == Some(State::UnderWay) {
                tokio::task::yield_now().await;
            }
            ledger.state(&copy)
        };
        let known = tokio::time::timeout(Duration::from_secs(60), known).await;
        assert_eq!(known.expect("it arrives"), afterwards);
    }
}

#[tokio::test]
async fn a_disk_that_hangs_holds_few_threads_and_no_client() {
    let all = Share::new(THREADS + 1);
    let maildir = |name: &str| Maildir::new(name.into(), Duration::from_millis(1), all.clone());
    let (hangs, sound) = (maildir("hangs"), maildir("sound"));
    let (answer, disk) = std::sync::mpsc::channel::<()>();
    let disk = Arc::new(Mutex::new(disk));
    for _ in 0..THREADS {
        let disk = Arc::clone(&disk);
        let wait = move || disk.lock().expect("no panic").recv();
        drop(hangs.start(soon(), wait).await.expect("there is a thread"));
    }
    let deadline = Instant::now() + Duration::from_millis(1);
    let started = hangs.start(deadline, || ()).await;
    assert!(matches!(started, Err(DeliveryError::Timeout { .. })));
    let other = sound.start(soon(), || 3).await.expect("it has its own");
    assert_eq!(other.await.expect("it ends"), 3);
    drop(answer);
}

/// What may be there already does not come again only because it cannot be told whether it
/// is.
#[tokio::test]
async fn what_cannot_be_compared_with_what_is_there_is_put_off() {
    let bench = Bench::new();
    let recipient = "c@acme.example".parse().expect("a mailbox");
    let before = Arc::new(Content::in_memory(b"x\r\n".to_vec()));
    let copies = super::super::late::Copies::new(facts().sender, before);
    let copies = copies.of([&recipient].into_iter(), PATIENCE).await;
    let delivered = (copies.expect("in memory")[0], Some(State::Delivered));
    bench.ledger.record(vec![delivered]).await.expect("written");
    let recipients = [("acme", "c@acme.example")];
    let unreadable = Content::unreadable();
    let put_off = bench.deliver_content(unreadable, &recipients, || ()).await;
    assert!(
        matches!(put_off.ending, Ending::Failed(DeliveryError::Unnamed)),
        "{put_off:?}"
    );
    let new = bench.root.path().join("acme/new");
    assert_eq!(files(&new), Vec::<PathBuf>::new());
    bench.deliver("y\r\n", &recipients, || ()).await;
    assert_eq!(files(&new).len(), 1, "what can be compared is delivered");
}

#[tokio::test]
async fn loops_end() {
    let bench = Bench::new();
    for (fields, looped) in [(50, false), (51, true)] {
        let content = format!("{}\r\n", "Received: by x\r\n".repeat(fields));
        let delivered = bench
            .deliver(&content, &[("acme", "c@acme.example")], || ())
            .await;
        assert_eq!(
            matches!(
                delivered.ending,
                Ending::Failed(DeliveryError::Loop { found: 51 })
            ),
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
    assert!(
        fields.starts_with("Received: "),
        "the rest is for final delivery"
    );
}

#[test]
fn trace_fields_say_who_says_so() {
    let recipient = "c@acme.example".parse().expect("a mailbox");
    let part = consignment("acme", &["c@acme.example"]);
    for (origin, confirmed, expected) in [
        (
            Origin::Proxy,
            false,
            [
                "Received: from client.example ([192.0.2.1])\r\n\t(through the proxy [10.0.0.1])\r\n",
                "\t(the proxy says: using TLSv1.3 with cipher TLS_AES_256_GCM_SHA384 (256 bits)\r\n",
                "with ESMTP id ",
                "\tx-tls=none (received in clear)\r\n",
            ],
        ),
        (
            Origin::TrustedProxy,
            true,
            [
                "Received: from client.example (mx.partner.example [192.0.2.1])\r\n",
                "\t(the proxy says: using TLSv1.3 with cipher TLS_AES_256_GCM_SHA384 (256 bits)\r\n",
                "with ESMTPS id ",
                "\tx-tls=neutral (the proxy says) smtp.tls-version=TLSv1.3 ",
            ],
        ),
    ] {
        let tls = Tls {
            origin,
            ..sample::tls()
        };
        let mut facts = sample::secured(&recipient, tls);
        let connection = Arc::make_mut(&mut facts.connection);
        connection.proxied_by = Some("10.0.0.1:4000".parse().expect("an address"));
        let name = "mx.partner.example".into();
        connection.reverse_name = Some(ReverseName { name, confirmed });
        let fields = trace::fields("mx.example", &message(&facts, ""), &part);
        for expected in expected {
            assert!(fields.contains(expected), "{expected:?} is not in {fields}");
        }
    }
}
