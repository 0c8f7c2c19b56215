//! Policies on the header From: decided when the content is there, however it comes, and
//! with nobody else in the transaction.

use portcullis_tests::client::{Client, Tls};
use portcullis_tests::hop::Hop;
use portcullis_tests::site::{Host, Site};
use portcullis_tests::tool;
use serde_json::Value;

const SENDER: &str = "amy@sender.example";
const ANN: &str = "ann@acme.example";
const ART: &str = "art@acme.example";
const BEN: &str = "ben@bank.example";
const POSTMASTER: &str = "postmaster@acme.example";

const FROM_CEO: &str = "From: \"The CEO\" <ceo@acme.example>\r\nSubject: pay\r\n\r\ntext\r\n";
const FROM_AMY: &str = "From: Amy <amy@sender.example>\r\nSubject: hello\r\n\r\ntext\r\n";

const REFUSED: &str = "530 5.7.0 Must issue a STARTTLS command first [";
const SEPARATELY: &str = "452 4.5.3 Please send this recipient separately [";

/// Whoever says to be the CEO has to come in TLS.
const CEO: &str = "[[policy]]\nname = \"ceo\"\nfrom = \"ceo@acme.example\"\nbased_on = \"header\"\n\
                   option = \"enforced\"\n";

fn site(acme: &str, bank: &str) -> Site {
    Site::new()
        .tenant("acme", &format!("domains = [\"acme.example\"]\n{acme}"))
        .tenant("bank", &format!("domains = [\"bank.example\"]\n{bank}"))
}

fn client(host: &Host) -> Client {
    let mut client = Client::connect(host.address("smtp"));
    client.ehlo();
    client
}

fn begin(client: &mut Client, sender: &str) {
    client.expect(&format!("MAIL FROM:<{sender}>"), "250");
}

fn rcpt(client: &mut Client, recipient: &str, reply: &str) -> String {
    client.expect(&format!("RCPT TO:<{recipient}>"), reply)
}

/// The message in two chunks; the reply to the last.
fn in_chunks(client: &mut Client, message: &str) -> String {
    let (first, last) = message.split_at(9);
    client.send(format!("BDAT {}\r\n{first}", first.len()));
    let reply = client.reply();
    assert!(reply.starts_with("250 "), "{reply}");
    client.send(format!("BDAT {} LAST\r\n{last}", last.len()));
    client.reply()
}

fn begins(reply: &str, expected: &str) {
    assert!(
        reply.starts_with(expected),
        "expected {expected}, got {reply}"
    );
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

#[test]
fn the_header_decides_at_the_end_of_data_and_nothing_is_delivered_after_a_refusal() {
    for chunks in [false, true] {
        let host = site(CEO, "").start();
        let mut client = client(&host);
        let mut replies = Vec::new();
        for message in [FROM_CEO, FROM_AMY] {
            replies.push(match chunks {
                false => client.deliver(SENDER, &[ANN], message),
                true => {
                    begin(&mut client, SENDER);
                    rcpt(&mut client, ANN, "250");
                    in_chunks(&mut client, message)
                }
            });
        }
        client.quit();
        begins(&replies[0], REFUSED);
        begins(&replies[1], "250 2.0.0 Ok: delivered [");
        let site = host.stop().site;
        let mail = site.mail("acme");
        assert_eq!(mail.len(), 1, "chunks: {chunks}");
        assert!(mail[0].ends_with(FROM_AMY.as_bytes()));
        let receipts = site.receipts();
        assert_eq!(receipts.len(), 2, "{receipts:#?}");
        for (receipt, reply, outcome, from) in [
            (&receipts[0], &replies[0], "refused", "ceo@acme.example"),
            (&receipts[1], &replies[1], "delivered", SENDER),
        ] {
            let (first, second) = (&receipt["verdict"], &receipt["content"]);
            assert_eq!(first["verdict"], "accepted");
            assert_eq!(first["facts"]["stage"], "recipient");
            assert!(first["facts"]["header_from"].is_null());
            assert_eq!(second["facts"]["stage"], "content");
            assert_eq!(second["facts"]["header_from"], serde_json::json!([from]));
            assert_eq!(second["reply"], reply.as_str());
            assert_eq!(receipt["outcome"]["outcome"], outcome);
            let id = text(&first["id"]);
            assert_eq!(second["id"], id);
            assert!(reply.ends_with(&format!(" [{id}]")), "{reply}");
        }
        assert_eq!(receipts[0]["content"]["policy"]["name"], "ceo");
        assert_eq!(receipts[0]["content"]["verdict"]["refused"], "plaintext");
        assert!(receipts[1]["content"]["policy"].is_null());
        // What was decided at last is what receipts are found by.
        let refused = site.receipts_by(&["--refused", "--policy", "ceo"]);
        assert_eq!(refused, receipts[..1]);
        assert_eq!(site.receipts_by(&["--accepted"]), receipts[1..]);
    }
}

/// However it is written; and what the connection offers counts as it does at RCPT.
#[test]
fn an_address_does_not_hide() {
    let host = site(CEO, "").start();
    let mut clear = client(&host);
    for header in [
        "from:ceo@acme.example",
        "From: CEO\r\n (of (all))\r\n\t<ceo\r\n @Acme.Example>",
        "From: amy@sender.example, \"ceo\"@acme.example",
        "From: Board: amy@sender.example, <CEO@acme.example>;",
        "From: amy@sender.example\r\nSubject: x\r\nFrom: ceo@acme.example",
        "From: garbage, <broken\r\nFrom: ceo . x, ceo@acme.example.",
    ] {
        let message = format!("{header}\r\n\r\ntext\r\n");
        let reply = clear.deliver(SENDER, &[ANN], &message);
        assert!(reply.starts_with(REFUSED), "{header:?}: {reply}");
    }
    for header in [
        "From: \"ceo@acme.example\" <amy@sender.example>",
        "From: ceo@acme.example <amy@sender.example>",
        "From: =?utf-8?q?ceo=40acme.example?= <amy@sender.example> (ceo@acme.example)",
        "Reply-To: ceo@acme.example",
    ] {
        let message = format!("{header}\r\n\r\nFrom: ceo@acme.example\r\n");
        let reply = clear.deliver(SENDER, &[ANN], &message);
        assert!(reply.starts_with("250 "), "{header:?}: {reply}");
    }
    let many: Vec<String> = (0..17).map(|n| format!("a{n}@sender.example")).collect();
    for from in [
        "CEO ceo@acme.example",
        "\"ceo@acme.example",
        &*many.join(", "),
    ] {
        let message = format!("From: {from}\r\n\r\ntext\r\n");
        begins(
            &clear.deliver(SENDER, &[ANN], &message),
            "550 5.6.0 The From field is not a list of at most 16 addresses, ",
        );
        // The bank has no policy that has to read it.
        begins(&clear.deliver(SENDER, &[BEN], &message), "250 ");
    }
    clear.quit();
    let mut secured = Client::starttls(host.address("smtp"), &Tls::tls13());
    begins(&secured.deliver(SENDER, &[ANN], FROM_CEO), "250 ");
    secured.quit();
}

#[test]
fn a_tenant_that_decides_by_the_header_has_the_transaction_for_itself() {
    let bank = "[[policy]]\nname = \"watch\"\nfrom = \"internal\"\nbased_on = \"both\"\n\
                mode = \"monitor\"\noption = \"enforced\"\n\
                [[policy]]\nname = \"off\"\nbased_on = \"header\"\nenabled = false\n\
                option = \"enforced\"\n";
    let host = site(CEO, bank)
        .tenant("club", "domains = [\"club.example\"]")
        .start();
    let mut client = client(&host);
    // The tenant that came first stays, and whoever is refused need not come again.
    for (recipients, replies) in [
        ([ANN, BEN, ART], ["250", SEPARATELY, "250"]),
        ([BEN, ANN, "cat@club.example"], ["250", SEPARATELY, "250"]),
        // Whom a tenant exempts is not refused with the others.
        ([ANN, POSTMASTER, ART], ["250", SEPARATELY, "250"]),
        ([POSTMASTER, ANN, BEN], ["250", SEPARATELY, "250"]),
        (
            [ANN, "x@foreign.example", ART],
            ["250", "550 5.7.1 Relaying denied", "250"],
        ),
    ] {
        begin(&mut client, SENDER);
        for (recipient, reply) in recipients.iter().zip(replies) {
            rcpt(&mut client, recipient, reply);
        }
        client.expect("DATA", "354");
        client.send(FROM_AMY);
        begins(&client.say("."), "250 ");
    }
    client.quit();
    let site = host.stop().site;
    for (tenant, messages) in [("acme", 4), ("bank", 2), ("club", 1)] {
        assert_eq!(site.mail(tenant).len(), messages, "{tenant}");
    }
    let receipts = site.receipts();
    let put_off: Vec<&Value> = receipts
        .iter()
        .filter(|receipt| text(&receipt["verdict"]["reply"]).starts_with(SEPARATELY))
        .collect();
    assert_eq!(put_off.len(), 4, "{receipts:#?}");
    for receipt in put_off {
        assert_eq!(receipt["verdict"]["verdict"], "accepted");
        assert_eq!(receipt["outcome"]["outcome"], "deferred");
        let detail = text(&receipt["outcome"]["detail"]);
        assert!(detail.contains("a policy on the header From"), "{detail}");
    }
}

/// A policy that only watches separates nobody, and refuses nothing.
#[test]
fn a_monitored_policy_on_the_header_is_in_the_receipt_alone() {
    let watched = CEO.replace("option", "mode = \"monitor\"\noption");
    let in_force = "[[module]]\nname = \"broken\"\npath = \"../broken.wasm\"\n\
                    [[policy]]\nname = \"fails\"\noption = \"module\"\nmodule = \"broken\"\n\
                    on_failure = \"opportunistic\"\n";
    let host = site(&format!("{in_force}{watched}"), "")
        .file("broken.wasm", "no module")
        .settings("[metrics]\naddress = \"127.0.0.1:0\"")
        .start();
    let mut client = client(&host);
    begins(&client.deliver(SENDER, &[ANN, BEN], FROM_CEO), "250 ");
    client.quit();
    // What is in force was asked at RCPT alone.
    let of_acme = |stage: &str| {
        let counted = crate::metrics::scrape(&host).into_iter();
        let wanted = [
            "tenant=acme".to_owned(),
            format!("stage={stage}"),
            "policy=fails".to_owned(),
        ];
        let found = counted.filter(|(name, _)| {
            name.starts_with("decisions_total{") && wanted.iter().all(|label| name.contains(label))
        });
        found.map(|(_, value)| value).sum::<f64>()
    };
    assert_eq!((of_acme("recipient"), of_acme("content")), (1.0, 0.0));
    let site = host.stop().site;
    assert_eq!((site.mail("acme").len(), site.mail("bank").len()), (1, 1));
    let receipt = site.receipt(ANN);
    assert!(receipt["verdict"]["monitored"].is_null());
    assert_eq!(receipt["content"]["verdict"], "accepted");
    assert_eq!(receipt["content"]["policy"]["name"], "fails");
    let monitored = &receipt["content"]["monitored"];
    assert_eq!(monitored["policy"]["name"], "ceo");
    assert_eq!(monitored["verdict"]["refused"], "plaintext");
    assert!(site.receipt(BEN)["content"].is_null());
}

/// Nobody waits behind a tenant whose policy fails again and again.
#[test]
fn whoever_was_sent_away_goes_first_after_a_policy_that_failed() {
    let broken = "[[module]]\nname = \"broken\"\npath = \"../broken.wasm\"\n\
                  [[policy]]\nname = \"all\"\nbased_on = \"header\"\noption = \"module\"\n\
                  module = \"broken\"\n";
    let host = site(broken, "").file("broken.wasm", "no module").start();
    let failed = "451 4.3.0 Policy temporarily unavailable [";
    let apart = "452 4.5.3 Please send this recipient separately [";
    for (replies, end) in [(["250", apart], failed), ([apart, "250"], "250 ")] {
        let mut client = client(&host);
        begin(&mut client, SENDER);
        for (recipient, reply) in [ANN, BEN].iter().zip(replies) {
            rcpt(&mut client, recipient, reply);
        }
        client.expect("DATA", "354");
        client.send(FROM_AMY);
        begins(&client.say("."), end);
        client.quit();
    }
    let site = host.stop().site;
    assert_eq!((site.mail("acme").len(), site.mail("bank").len()), (0, 1));
}

/// A refusal of one policy is for all recipients, and the next hop never sees content.
#[test]
fn what_is_refused_for_one_recipient_reaches_no_other() {
    let hop = Hop::smtp();
    let policy = CEO.replace("option", "to = \"art@acme.example\"\noption");
    let host = site(&format!("{policy}{}", hop.target("")), "").start();
    let mut client = client(&host);
    let reply = client.deliver(SENDER, &[ANN, ART], FROM_CEO);
    begins(&reply, REFUSED);
    begins(&client.deliver(SENDER, &[ANN], FROM_CEO), "250 ");
    client.quit();
    assert_eq!((hop.copies(ANN), hop.copies(ART)), (1, 0));
    let said = hop.said();
    assert_eq!(
        said.iter().filter(|said| *said == "DATA").count(),
        1,
        "{said:?}"
    );
    let site = host.stop().site;
    let art = site.receipt(ART);
    assert!(
        reply.ends_with(&format!("[{}]", text(&art["verdict"]["id"]))),
        "{reply}"
    );
    let receipts = site.receipts();
    assert_eq!(receipts[0]["content"]["verdict"], "accepted", "of {ANN}");
    assert_eq!(receipts[0]["content"]["reply"], reply.as_str());
    assert_eq!(receipts[0]["outcome"]["outcome"], "refused");
}

/// A refusal is for all, so that asking about the others would come to nothing.
#[test]
fn nobody_is_asked_about_behind_a_refusal() {
    let host = site(CEO, "").start();
    let mut client = client(&host);
    begins(&client.deliver(SENDER, &[ANN, ART], FROM_CEO), REFUSED);
    client.quit();
    let site = host.stop().site;
    let (ann, art) = (site.receipt(ANN), site.receipt(ART));
    assert_eq!(ann["content"]["verdict"]["refused"], "plaintext");
    assert!(art["content"].is_null(), "{art:#?}");
    assert_eq!(art["outcome"]["outcome"], "refused");
    assert_eq!(art["outcome"]["reply"], ann["outcome"]["reply"]);
}

/// The sender's tenant decides about all recipients of its message, wherever they are.
#[test]
fn the_senders_tenant_decides_by_the_header_too() {
    let smart_host = Hop::smtp();
    let policy = "[[policy]]\nname = \"forged\"\ndirection = \"outbound\"\nfrom = \"external\"\n\
                  based_on = \"header\"\noption = \"enforced\"\n";
    let acme = format!(
        "{policy}[sources]\nnetworks = [\"127.0.0.1\"]\n{}",
        smart_host.smart_host()
    );
    let host = site(&acme, "").start();
    let mut client = client(&host);
    let recipients = [BEN, "fay@foreign.example"];
    let reply = client.deliver(ANN, &recipients, FROM_AMY);
    begins(&reply, REFUSED);
    begins(&client.deliver(ANN, &recipients, FROM_CEO), "250 ");
    client.quit();
    assert_eq!(smart_host.copies("fay@foreign.example"), 1);
    let site = host.stop().site;
    assert_eq!(site.mail("bank").len(), 1);
    let receipts = site.receipts();
    assert_eq!(receipts.len(), 6, "{receipts:#?}");
    let outcome = |receipt: &Value| text(&receipt["outcome"]["outcome"]).to_owned();
    let (refused, delivered) = receipts.split_at(3);
    assert!(
        refused.iter().all(|receipt| outcome(receipt) == "refused"),
        "{refused:#?}"
    );
    assert!(
        delivered
            .iter()
            .all(|receipt| outcome(receipt) == "delivered")
    );
    // The bank was not asked about the content, and its receipt tells how it ended.
    for receipt in delivered {
        let direction = text(&receipt["verdict"]["facts"]["direction"]);
        assert_eq!(receipt["content"].is_null(), direction == "inbound");
    }
    let of_bank = refused
        .iter()
        .find(|receipt| receipt["verdict"]["facts"]["tenant"] == "bank");
    assert_eq!(
        of_bank.expect("one of the bank's")["outcome"]["reply"],
        "530 refused by the sender's tenant"
    );
    let asked = |receipt: &&Value| !receipt["content"].is_null();
    assert_eq!(refused.iter().filter(asked).count(), 1, "{refused:#?}");
    let id = refused
        .iter()
        .find(|receipt| receipt["content"]["verdict"]["refused"] == "plaintext");
    let id = text(&id.expect("one refused")["verdict"]["id"]);
    assert!(reply.ends_with(&format!("[{id}]")), "{reply}");
}

#[test]
fn swaks_and_python_are_told_at_the_end_of_data() {
    let host = site(CEO, "").start();
    let server = host.address("smtp").to_string();
    let swaks = |from: &str| {
        let from = format!("From: {from}");
        let arguments = [
            "--server", &server, "--from", SENDER, "--to", ANN, "--header", &from,
        ];
        tool::run("swaks", &arguments)
    };
    // Swaks ends with 26 when the message is refused.
    let ran = swaks("ceo@acme.example").expect_code(26);
    assert!(ran.stdout.contains(REFUSED), "{}", ran.stdout);
    swaks(SENDER).expect_code(0);
    let (address, port) = server.rsplit_once(':').expect("an address");
    let script = "import smtplib, sys\n\
                  smtp = smtplib.SMTP(sys.argv[1], int(sys.argv[2]), timeout=60)\n\
                  refused = smtp.sendmail('amy@sender.example',\n\
                  \x20   ['ann@acme.example', 'ben@bank.example'], 'From: amy@sender.example\\n\\ntext')\n\
                  assert refused['ben@bank.example'][0] == 452, refused\n\
                  try:\n\
                  \x20   smtp.sendmail('amy@sender.example', ['ann@acme.example'],\n\
                  \x20       'From: ceo@acme.example\\n\\ntext')\n\
                  except smtplib.SMTPDataError as error:\n\
                  \x20   assert error.smtp_code == 530, error\n\
                  else:\n\
                  \x20   raise AssertionError('it was taken')\n\
                  smtp.quit()\n";
    tool::run("python3", &["-c", script, address, port]).expect_code(0);
    assert_eq!(host.stop().site.mail("acme").len(), 2);
}

#[test]
fn check_warns_that_the_content_has_crossed_by_then() {
    let off = CEO
        .replace("\"ceo\"", "\"off\"")
        .replace("option", "enabled = false\noption");
    let site = site(&format!("{CEO}{off}"), "").key("postmaster = \"pam@acme.example\"");
    let ran = site.run("check").expect_code(0);
    let root = format!("{}/", site.directory().display());
    assert_eq!(
        ran.stderr.replace(&root, ""),
        "warning: tenants/acme.toml:2: policy[0]: ceo enforces by the header From, which comes with the content: mail that it refuses may have crossed in clear by then; base it on the envelope to refuse it before\n"
    );
}
