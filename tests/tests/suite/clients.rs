//! Real clients deliver real mail: what they sent arrives byte for byte below the
//! trace fields, and the receipt says what was seen of them.

use std::net::SocketAddr;
use std::sync::Arc;

use portcullis_tests::certificate::{Authority, Identity, IdentityFiles};
use portcullis_tests::client::{Client, Tls};
use portcullis_tests::site::{Ended, Host, Site};
use portcullis_tests::tool;
use serde_json::Value;

/// Dots at the beginning of lines must survive the transport.
const MESSAGE: &str = "From: Amy <amy@partner.example>\r\n\
                       To: Bob <bob@acme.example>\r\n\
                       Subject: what stands here arrives\r\n\
                       \r\n\
                       .\r\n\
                       ..two dots, and a line with eight bits: \u{fc}\u{df}\r\n\
                       .one dot\r\n";

const SENDER: &str = "amy@partner.example";
const RECIPIENT: &str = "bob@acme.example";

#[test]
fn swaks_in_clear() {
    let host = site().start();
    swaks(host.address("smtp"), &host, &[]);
    let seen = arrived(host);
    assert_eq!(seen["tls"], Value::Null);
    assert_eq!(seen["starttls_offered"], true);
}

#[test]
fn swaks_with_starttls() {
    let host = site().start();
    swaks(host.address("smtp"), &host, &["--tls"]);
    let seen = arrived(host);
    assert_eq!(seen["tls"]["version"], 0x0304);
    assert_eq!(seen["tls"]["client_certificate"], "none");
}

#[test]
fn swaks_with_tls_on_connect() {
    let host = site().listener("smtps", "implicit", "").start();
    swaks(host.address("smtps"), &host, &["--tls-on-connect"]);
    let seen = arrived(host);
    assert_eq!(seen["listener"], "smtps");
    assert_eq!(seen["tls"]["version"], 0x0304);
}

#[test]
fn swaks_with_a_trusted_certificate() {
    let (site, files) = site_with_identity();
    let host = site.start();
    let (certificate, key) = paths(&files);
    swaks(
        host.address("smtp"),
        &host,
        &["--tls", "--tls-cert", &certificate, "--tls-key", &key],
    );
    showed_trusted_certificate(host);
}

#[test]
fn python_with_starttls_and_a_certificate() {
    let (site, files) = site_with_identity();
    let host = site.start();
    let (certificate, key) = paths(&files);
    python(
        host.address("smtp"),
        &[&certificate, &key],
        "context.load_cert_chain(sys.argv[2], sys.argv[3])\n\
         smtp.starttls(context=context)\n\
         smtp.sendmail('amy@partner.example', ['bob@acme.example'], message)\n",
    );
    showed_trusted_certificate(host);
}

/// The envelope is pipelined in one piece; one recipient of three is refused.
#[test]
fn python_pipelines_recipients() {
    let host = site().start();
    python(
        host.address("smtp"),
        &[],
        "smtp.ehlo()\n\
         assert smtp.has_extn('pipelining')\n\
         smtp.send('MAIL FROM:<amy@partner.example>\\r\\nRCPT TO:<bob@acme.example>\\r\\n'\n\
         \x20         'RCPT TO:<x@elsewhere.example>\\r\\nRCPT TO:<ann@acme.example>\\r\\nDATA\\r\\n')\n\
         assert [smtp.getreply()[0] for _ in range(5)] == [250, 250, 550, 250, 354]\n\
         smtp.send(smtplib._quote_periods(message) + b'.\\r\\n')\n\
         assert smtp.getreply()[0] == 250\n",
    );
    let ended = host.stop();
    let mail = ended.site.mail("acme");
    assert_eq!(mail.len(), 1, "one message for both recipients");
    let trace = trace(&mail[0]);
    assert!(
        trace.contains("Delivered-To: bob@acme.example\r\n"),
        "{trace}"
    );
    assert!(
        trace.contains("Delivered-To: ann@acme.example\r\n"),
        "{trace}"
    );
    assert_eq!(ended.site.receipts().len(), 3);
}

#[test]
fn python_with_smtputf8() {
    let host = site().start();
    python(
        host.address("smtp"),
        &[],
        "smtp.sendmail('am\u{fc}@partner.example', ['b\u{f6}b@acme.example'], message,\n\
         \x20             mail_options=['SMTPUTF8', 'BODY=8BITMIME'])\n",
    );
    let ended = host.stop();
    let trace = trace(&ended.site.mail("acme")[0]);
    assert!(trace.contains("with UTF8SMTP"), "{trace}");
    let receipt = ended.site.receipt("b\u{f6}b@acme.example");
    assert_eq!(
        receipt["verdict"]["facts"]["sender"],
        "am\u{fc}@partner.example"
    );
    assert_eq!(receipt["verdict"]["facts"]["parameters"]["smtputf8"], true);
}

#[test]
fn openssl_speaks_both_versions_with_and_without_a_certificate() {
    for (version, code) in [("-tls1_2", 0x0303), ("-tls1_3", 0x0304)] {
        for shows in [false, true] {
            let (site, files) = site_with_identity();
            let host = site.start();
            let (certificate, key) = paths(&files);
            let mut arguments = vec![version];
            if shows {
                arguments.extend(["-cert", &certificate, "-key", &key]);
            }
            let client = Client::openssl(host.address("smtp"), &arguments);
            send(client);
            let seen = arrived(host);
            assert_eq!(seen["tls"]["version"], code);
            assert_eq!(seen["tls"]["client_certificate"] == "none", !shows);
        }
    }
}

#[test]
fn curl_that_insists_on_tls() {
    let (site, files) = site_with_identity();
    let host = site.start();
    let (certificate, key) = paths(&files);
    let url = format!("smtp://{}/client.example", host.address("smtp"));
    let message = file(&host, MESSAGE);
    tool::run(
        "curl",
        &[
            "--silent",
            "--show-error",
            "--url",
            &url,
            "--ssl-reqd",
            "--insecure",
            "--cert",
            &certificate,
            "--key",
            &key,
            "--mail-from",
            SENDER,
            "--mail-rcpt",
            RECIPIENT,
            "--upload-file",
            &message,
        ],
    )
    .expect_code(0);
    showed_trusted_certificate(host);
}

/// A client that resumes a session does not show its certificate again: it is judged
/// all the same.
#[test]
fn a_certificate_counts_on_a_resumed_session() {
    for tls in [Tls::tls12(), Tls::post_quantum()] {
        let authority = Authority::new("Partner CA");
        let identity = Arc::new(authority.issue(&["mx.partner.example"]));
        let host = trusting(&authority, "require = { within = \"partner.example\" }").start();
        let tls = tls.with(&identity);
        for _ in 0..2 {
            send(Client::starttls(host.address("smtp"), &tls));
        }
        let ended = host.stop();
        let resumed: Vec<Value> = ended
            .site
            .receipts()
            .iter()
            .map(|receipt| receipt["verdict"]["facts"]["connection"]["tls"]["resumed"].clone())
            .collect();
        assert_eq!(resumed, [false, true]);
        assert_eq!(ended.site.mail("acme").len(), 2);
    }
}

fn site() -> Site {
    Site::new().tenant("acme", "domains = [\"acme.example\"]")
}

/// A tenant who enforces a trusted certificate of this authority, with the option's
/// further keys.
fn trusting(authority: &Authority, more: &str) -> Site {
    Site::new().file("ca.pem", authority.pem()).tenant(
        "acme",
        &format!(
            "domains = [\"acme.example\"]\n[trust]\nanchors = [\"../ca.pem\"]\n\
             [[policy]]\nname = \"all\"\noption = \"enforced\"\n{more}\n"
        ),
    )
}

/// A tenant who trusts an authority, and a certificate of it in files.
fn site_with_identity() -> (Site, IdentityFiles) {
    let authority = Authority::new("Partner CA");
    let identity: Identity = authority.issue(&["mx.partner.example"]);
    let site = trusting(&authority, "");
    let files = identity.write(site.directory(), "client");
    (site, files)
}

fn paths(files: &IdentityFiles) -> (String, String) {
    (
        files.certificate.display().to_string(),
        files.key.display().to_string(),
    )
}

/// A file with this in it, for a program.
fn file(host: &Host, contents: &str) -> String {
    let path = host.site().path("message");
    std::fs::write(&path, contents).expect("the test's directory can be written");
    path.display().to_string()
}

fn swaks(address: SocketAddr, host: &Host, more: &[&str]) {
    // It ends the last line itself.
    let message = file(host, MESSAGE.trim_end());
    let (address, message) = (address.to_string(), format!("@{message}"));
    let mut arguments = vec![
        "--server",
        &address,
        "--helo",
        "client.example",
        "--from",
        SENDER,
        "--to",
        RECIPIENT,
        "--data",
        &message,
        "--suppress-data",
    ];
    arguments.extend(more);
    tool::run("swaks", &arguments).expect_code(0);
}

/// Runs `steps` of Python with `smtp` connected, a TLS `context` and the `message`.
fn python(address: SocketAddr, arguments: &[&str], steps: &str) {
    let script = format!(
        "import smtplib, ssl, sys\n\
         host, port = sys.argv[1].split(':')\n\
         context = ssl.create_default_context()\n\
         context.check_hostname, context.verify_mode = False, ssl.CERT_NONE\n\
         message = {MESSAGE:?}.encode()\n\
         smtp = smtplib.SMTP(host, int(port), 'client.example', timeout=60)\n\
         {steps}smtp.quit()\n"
    );
    let address = address.to_string();
    let mut all = vec!["-c", script.as_str(), &address];
    all.extend(arguments);
    tool::run("python3", &all).expect_code(0);
}

fn send(mut client: Client) {
    client.ehlo();
    let reply = client.deliver(SENDER, &[RECIPIENT], MESSAGE);
    assert!(reply.starts_with("250 "), "{reply}");
    client.quit();
}

/// Checks the one message that arrived and gives what its receipt says of the
/// connection.
fn arrived(host: Host) -> Value {
    let ended = host.stop();
    let receipt = delivered(&ended);
    receipt["verdict"]["facts"]["connection"].clone()
}

fn delivered(ended: &Ended) -> Value {
    let mail = ended.site.mail("acme");
    assert_eq!(mail.len(), 1, "one message, once");
    let trace = trace(&mail[0]);
    for field in [
        "Return-Path: <amy@partner.example>\r\n",
        "Delivered-To: bob@acme.example\r\n",
    ] {
        assert!(trace.contains(field), "{trace}");
    }
    let receipt = ended.site.receipt(RECIPIENT);
    assert_eq!(receipt["verdict"]["verdict"], "accepted");
    assert_eq!(receipt["outcome"]["outcome"], "delivered");
    let id = receipt["verdict"]["id"]
        .as_str()
        .expect("a receipt has an id");
    assert!(trace.contains(&format!(" id {id}\r\n")), "{trace}");
    receipt
}

/// What the host put before the message as it was sent.
fn trace(mail: &[u8]) -> String {
    let trace = mail.strip_suffix(MESSAGE.as_bytes());
    let all = tool::text(mail);
    assert!(
        trace.is_some(),
        "the message did not arrive as it was sent:\n{all}"
    );
    tool::text(trace.unwrap_or_default())
}

fn showed_trusted_certificate(host: Host) {
    let ended = host.stop();
    let receipt = delivered(&ended);
    let facts = &receipt["verdict"]["facts"];
    let given = &facts["connection"]["tls"]["client_certificate"]["given"];
    assert_eq!(
        given["dns_names"],
        serde_json::json!(["mx.partner.example"])
    );
    assert_eq!(facts["trust"]["client"]["state"], "trusted");
    let trace = trace(&ended.site.mail("acme")[0]);
    assert!(trace.contains("x-tls=pass"), "{trace}");
}
