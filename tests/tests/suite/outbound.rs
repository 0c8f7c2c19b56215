//! Mail from tenants' own servers: to others by way of a smart host, and from tenant to
//! tenant; and that nobody else sends anything through the host.

use std::io::Write;
use std::net::TcpStream;
use std::sync::Arc;

use portcullis_tests::certificate::{Authority, Identity};
use portcullis_tests::client::{Client, Tls};
use portcullis_tests::hop::Hop;
use portcullis_tests::site::{Host, Site};
use portcullis_tests::tool;
use serde_json::Value;

const MESSAGE: &str = "Subject: out into the world\r\n\r\n.a line with a dot\r\n";
const ANN: &str = "ann@acme.example";
const ART: &str = "art@acme.example";
const BEN: &str = "ben@bank.example";
const FAY: &str = "fay@foreign.example";
/// Of acme's servers, and of nobody's.
const SERVER: &str = "192.0.2.25";
const STRANGER: &str = "198.51.100.1";

const DENIED: &str = "550 5.7.1 Relaying denied [";

/// A host that takes any client's address from the test.
fn site(acme: &str, bank: &str) -> Site {
    Site::default()
        .listener("smtp", "starttls", "proxy_from = [\"127.0.0.1\"]")
        .tenant("acme", &format!("domains = [\"acme.example\"]\n{acme}"))
        .tenant("bank", &format!("domains = [\"bank.example\"]\n{bank}"))
}

fn acme(more: &str) -> String {
    format!("{more}\n[sources]\nnetworks = [\"192.0.2.24/31\", \"2001:db8::/64\"]\n")
}

fn client(host: &Host, address: &str) -> Client {
    let mut socket = TcpStream::connect(host.address("smtp")).expect("the host listens");
    let family = if address.contains(':') {
        "TCP6"
    } else {
        "TCP4"
    };
    let server = if address.contains(':') {
        "::1"
    } else {
        "127.0.0.1"
    };
    let header = format!("PROXY {family} {address} {server} 40000 25\r\n");
    socket.write_all(header.as_bytes()).expect("the host reads");
    let mut client = Client::over(socket);
    let greeting = client.reply();
    assert!(greeting.starts_with("220 "), "{greeting}");
    client.ehlo();
    client
}

/// What the host says to this recipient of a message from this sender.
fn rcpt(host: &Host, address: &str, sender: &str, recipient: &str) -> String {
    let mut client = client(host, address);
    client.expect(&format!("MAIL FROM:<{sender}>"), "250");
    let reply = client.say(&format!("RCPT TO:<{recipient}>"));
    client.quit();
    reply
}

fn deliver(host: &Host, sender: &str, recipients: &[&str]) -> String {
    let mut client = client(host, SERVER);
    let reply = client.deliver(sender, recipients, MESSAGE);
    client.quit();
    reply
}

/// The receipt of this recipient in this direction.
fn receipt(receipts: &[Value], recipient: &str, direction: &str) -> Value {
    let of = |receipt: &&Value| {
        let facts = &receipt["verdict"]["facts"];
        facts["recipient"] == recipient && facts["direction"] == direction
    };
    let found: Vec<&Value> = receipts.iter().filter(of).collect();
    assert_eq!(
        found.len(),
        1,
        "{direction} of {recipient} in {receipts:#?}"
    );
    found[0].clone()
}

fn id(receipt: &Value) -> String {
    let id = receipt["verdict"]["id"].as_str();
    id.expect("a receipt has an id").to_owned()
}

#[test]
fn a_tenants_own_server_sends_by_way_of_the_smart_host() {
    let smart_host = Hop::smtp();
    let host = site(&acme(&smart_host.smart_host()), "").start();
    for (sender, to) in [(ANN, FAY), ("", "fay@other.example")] {
        let reply = deliver(&host, sender, &[to]);
        assert!(reply.starts_with("250 2.0.0 "), "{reply}");
    }
    let taken = smart_host.taken();
    assert_eq!(taken.len(), 2);
    assert_eq!(taken[0].recipients, [FAY]);
    assert!(taken[0].sender.starts_with("<ann@acme.example>"));
    assert!(
        taken[1].sender.starts_with("<>"),
        "a bounce is the tenant's, too"
    );
    let content = &taken[0].content;
    assert!(
        content.starts_with("Received: from client.example ([192.0.2.25])"),
        "{content}"
    );
    assert!(
        content.contains("\r\nAuthentication-Results: mx.host.example;"),
        "{content}"
    );
    assert!(content.ends_with(MESSAGE), "{content}");
    let site = host.stop().site;
    assert_eq!(site.mail("acme").len(), 0);
    let receipts = site.receipts();
    assert_eq!(receipts.len(), 2);
    let receipt = receipt(&receipts, FAY, "outbound");
    assert_eq!(receipt["verdict"]["facts"]["tenant"], "acme");
    assert_eq!(receipt["outcome"]["outcome"], "delivered");
    let detail = receipt["outcome"]["detail"].as_str().expect("a text");
    assert!(detail.ends_with(": 250 2.0.0 taken"), "{detail}");
}

/// Client, sender, recipient, and the beginning of the reply.
#[test]
fn nobody_else_sends_anything_through_the_host() {
    let smart_host = Hop::smtp();
    let host = site(&acme(&smart_host.smart_host()), "").start();
    for (client, sender, recipient, reply) in [
        (SERVER, ANN, FAY, "250 2.1.5 "),
        ("192.0.2.24", ANN, FAY, "250 2.1.5 "),
        ("2001:db8::7", "ANN@Acme.Example", FAY, "250 2.1.5 "),
        ("192.0.2.26", ANN, FAY, DENIED),
        ("2001:db8:0:1::7", ANN, FAY, DENIED),
        (STRANGER, ANN, FAY, DENIED),
        (STRANGER, "", FAY, DENIED),
        (STRANGER, FAY, FAY, DENIED),
        (SERVER, FAY, "fay@other.example", DENIED),
        (SERVER, BEN, FAY, DENIED),
        (SERVER, "ann@sub.acme.example", FAY, DENIED),
        (SERVER, "ann@[192.0.2.25]", FAY, DENIED),
        (
            SERVER,
            ANN,
            "fay%foreign.example@acme.example",
            "250 2.1.5 ",
        ),
        (SERVER, ANN, "fay@[192.0.2.99]", "250 2.1.5 "),
        (STRANGER, ANN, "fay@[192.0.2.99]", DENIED),
        (STRANGER, ANN, ART, "250 2.1.5 "),
    ] {
        let found = rcpt(&host, client, sender, recipient);
        assert!(
            found.starts_with(reply),
            "{client} {sender} {recipient}: {found}"
        );
    }
    let site = host.stop().site;
    // What is addressed to the tenant stays here, whatever its local part says.
    assert_eq!(smart_host.copies("fay%foreign.example@acme.example"), 0);
    let all = site.receipts();
    let relays = all.iter().filter(|receipt| !receipt["relay"].is_null());
    assert_eq!(relays.count(), 10, "{all:#?}");
}

#[test]
fn a_server_is_known_by_its_certificate() {
    let smart_host = Hop::smtp();
    let authority = Authority::new("Acme");
    let named = Arc::new(authority.issue(&["mail.acme.example"]));
    let other = Arc::new(authority.issue(&["www.acme.example"]));
    let pinned = Arc::new(Identity::self_signed(&["nobody.example"]));
    // The tenant trusts it in every other way, and its name is still its own word.
    let self_made = Arc::new(Identity::self_signed(&["mail.acme.example"]));
    let expired = Arc::new(authority.issue_expired(&["mail.acme.example"]));
    let acme = format!(
        "{}\n[trust]\nanchors = [\"ca.pem\"]\nself_signed = \"accept\"\npins = [{:?}]\n\
         [[sources.certificate]]\nnames = [\"mail.acme.example\"]\n\
         [[sources.certificate]]\npins = [{:?}]\n",
        smart_host.smart_host(),
        self_made.pin(),
        pinned.pin()
    );
    let host = site(&acme, "")
        .file("tenants/ca.pem", authority.pem())
        .start();
    for (identity, reply) in [
        (Some(&named), "250 2.1.5 "),
        (Some(&pinned), "250 2.1.5 "),
        (Some(&other), DENIED),
        (Some(&self_made), DENIED),
        (Some(&expired), DENIED),
        (None, DENIED),
    ] {
        let mut client = client(&host, STRANGER);
        client.expect("STARTTLS", "220");
        let tls = match identity {
            Some(identity) => Tls::tls13().with(identity),
            None => Tls::tls13(),
        };
        let mut client = client.shake_hands(&tls);
        client.ehlo();
        for sender in [ANN, ""] {
            client.expect(&format!("MAIL FROM:<{sender}>"), "250");
            client.expect(&format!("RCPT TO:<{FAY}>"), reply);
            client.expect("RSET", "250");
        }
        client.quit();
    }
}

#[test]
fn mail_from_tenant_to_tenant_is_decided_by_both_and_delivered_once() {
    let bank_hop = Hop::lmtp();
    let smart_host = Hop::smtp();
    let host = site(&acme(&smart_host.smart_host()), &bank_hop.target("")).start();
    let reply = deliver(&host, ANN, &[BEN, ART, FAY]);
    assert!(reply.starts_with("250 2.0.0 "), "{reply}");
    assert_eq!((bank_hop.copies(BEN), smart_host.copies(FAY)), (1, 1));
    assert_eq!((smart_host.copies(BEN), smart_host.copies(ART)), (0, 0));
    let site = host.stop().site;
    assert_eq!(site.mail("acme").len(), 1);
    let receipts = site.receipts();
    assert_eq!(receipts.len(), 5, "two of {BEN} and {ART}, one of {FAY}");
    for (recipient, direction, tenant, so_far) in [
        (BEN, "outbound", "acme", 0),
        (BEN, "inbound", "bank", 0),
        (ART, "outbound", "acme", 1),
        (ART, "inbound", "acme", 0),
        (FAY, "outbound", "acme", 2),
    ] {
        let receipt = receipt(&receipts, recipient, direction);
        let facts = &receipt["verdict"]["facts"];
        assert_eq!(facts["tenant"], tenant, "{recipient} {direction}");
        assert_eq!(
            facts["recipients_so_far"], so_far,
            "{recipient} {direction}"
        );
        assert_eq!(receipt["verdict"]["reply"], "250 2.1.5 Recipient ok");
        assert_eq!(receipt["outcome"]["outcome"], "delivered");
    }
    // Where the bank keeps its mail is not for acme to read.
    let detail = &receipt(&receipts, BEN, "outbound")["outcome"]["detail"];
    assert_eq!(detail, "the recipient's tenant on this host has it");
}

/// The id in the reply is that of the tenant who refused.
#[test]
fn either_tenant_may_refuse() {
    let acme = acme(
        "[[policy]]\nname = \"out\"\ndirection = \"outbound\"\nto = \"ben@bank.example\"\n\
         option = \"enforced\"",
    );
    let bank = "contact = \"ask the bank\"\n\
                [[policy]]\nname = \"in\"\nto = \"bea@bank.example\"\noption = \"enforced\"";
    let host = site(&acme, bank).start();
    let by_sender = rcpt(&host, SERVER, ANN, BEN);
    let by_recipient = rcpt(&host, SERVER, ANN, "bea@bank.example");
    assert!(
        rcpt(&host, STRANGER, ANN, BEN).starts_with("250 "),
        "inbound alone"
    );
    let receipts = host.stop().site.receipts();
    assert_eq!(receipts.len(), 4, "{receipts:#?}");

    let refused = receipt(&receipts, BEN, "outbound");
    let expected = format!(
        "530 5.7.0 Must issue a STARTTLS command first [{}]",
        id(&refused)
    );
    assert_eq!(by_sender, expected);
    assert_eq!(refused["verdict"]["policy"]["name"], "out");
    let accepted = receipt(&receipts, BEN, "inbound");
    assert_eq!(
        accepted["verdict"]["facts"]["connection"]["client"],
        "198.51.100.1:40000"
    );

    let refused = receipt(&receipts, "bea@bank.example", "inbound");
    let end = format!("530 5.7.0 ask the bank [{}]", id(&refused));
    assert!(by_recipient.ends_with(&end), "{by_recipient}");
    let passed = receipt(&receipts, "bea@bank.example", "outbound");
    assert_eq!(passed["verdict"]["verdict"], "accepted");
    assert_eq!(passed["outcome"]["outcome"], "refused");
    let detail = "the recipient's tenant on this host did not take it";
    assert_eq!(passed["outcome"]["detail"], detail);
    for key in ["verdict", "outcome"] {
        let reply = passed[key]["reply"].as_str().expect("a text");
        assert!(
            reply.ends_with(&format!("ask the bank [{}]", id(&refused))),
            "{reply}"
        );
    }
}

#[test]
fn mail_that_has_nowhere_to_go_is_refused_and_says_why() {
    let shared = "[sources]\nnetworks = [\"192.0.2.25\"]\n";
    let smart_host = Hop::smtp();
    let host = site(&acme(""), &format!("{}{shared}", smart_host.smart_host())).start();
    let no_target = "550 5.7.1 Relaying denied: the sender's tenant has no outbound target here [";
    let unclear = "550 5.7.1 Relaying denied: several tenants send from here, and the null sender \
                   is none of theirs [";
    for (sender, recipient, reply) in [
        (ANN, FAY, no_target),
        (BEN, FAY, "250 2.1.5 "),
        ("", FAY, unclear),
        ("", BEN, "250 2.1.5 "),
        (ANN, BEN, "250 2.1.5 "),
    ] {
        let found = rcpt(&host, SERVER, sender, recipient);
        assert!(found.starts_with(reply), "{sender} {recipient}: {found}");
    }
    let receipts = host.stop().site.receipts();
    let because: Vec<&Value> = receipts
        .iter()
        .map(|receipt| &receipt["relay"]["because"])
        .filter(|because| !because.is_null())
        .collect();
    assert_eq!(because[0]["no-target"]["tenant"], "acme");
    assert_eq!(because[1..], ["unclear"]);
}

/// What a stranger is refused counts as its error; a tenant's own server is told the same
/// for as long as it likes.
#[test]
fn a_server_of_a_tenant_without_a_target_keeps_its_session() {
    let host = site(&acme(""), "").settings("[limits]\nerrors = 2").start();
    for (address, replies) in [(SERVER, [550; 6]), (STRANGER, [550, 550, 421, 0, 0, 0])] {
        let mut client = client(&host, address);
        client.expect(&format!("MAIL FROM:<{ANN}>"), "250");
        for code in replies.into_iter().filter(|code| *code > 0) {
            let reply = client.say(&format!("RCPT TO:<{FAY}>"));
            assert!(reply.starts_with(&code.to_string()), "{address}: {reply}");
        }
    }
}

#[test]
fn swaks_from_a_tenants_own_server() {
    let smart_host = Hop::smtp();
    let host = Site::new()
        .tenant(
            "acme",
            &format!(
                "domains = [\"acme.example\"]\n[sources]\nnetworks = [\"127.0.0.1\"]\n{}",
                smart_host.smart_host()
            ),
        )
        .start();
    let server = host.address("smtp").to_string();
    let arguments = ["--server", &server, "--from", ANN, "--to", FAY, "--tls"];
    tool::run("swaks", &arguments).expect_code(0);
    assert_eq!(smart_host.copies(FAY), 1);
    let receipt = host.stop().site.receipt(FAY);
    assert_eq!(receipt["verdict"]["facts"]["direction"], "outbound");
    assert_eq!(
        receipt["verdict"]["facts"]["connection"]["tls"]["version"],
        0x0304
    );
}

#[test]
fn check_warns_of_what_is_hardly_meant() {
    let target = "[targets.outbound]\nkind = \"smtp\"\naddress = \"127.0.0.1:25\"\n";
    let networks = "[sources]\nnetworks = [\"192.0.2.0/24\"]\n";
    let site = site(
        networks,
        &format!("[sources]\nnetworks = [\"192.0.2.7\"]\n{target}"),
    )
    .key("postmaster = \"pam@acme.example\"")
    .tenant("club", &format!("domains = [\"club.example\"]\n{target}"));
    let root = format!("{}/", site.directory().display());
    let ran = site.run("check").expect_code(0);
    assert_eq!(ran.stdout, "ok: 1 listener, 3 tenants\n");
    assert_eq!(
        ran.stderr.replace(&root, ""),
        "warning: tenants/acme.toml:2: sources: mail from these to others is refused, since there is no [targets.outbound]: add one, unless they send to tenants of this host alone\n\
         warning: tenants/bank.toml:2: sources: 192.0.2.7/32 is a source of acme as well, at tenants/acme.toml:2: sources: the sender tells whose mail it is, but a bounce from there, which has none, is nobody's and goes to no foreign domain\n\
         warning: tenants/club.toml: sources: nothing ever goes to [targets.outbound], since no server of this tenant is known: name them here\n"
    );
}
