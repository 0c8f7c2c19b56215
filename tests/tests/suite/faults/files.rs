//! Files and directories that cannot be made, opened or written to their end.

use super::*;

/// What a maildir writes of a long message behind what is in memory. The file's name is
/// known when the recipient is accepted, but for the second of its delivery.
#[test]
fn the_end_of_a_long_message_that_cannot_be_written() {
    for error in ["EIO", "ENOSPC"] {
        let hop = Hop::lmtp();
        let host = site(&hop).start();
        let mut client = Client::connect(host.address("smtp"));
        let greeted = client.ehlo();
        let hostname = greeted.split(['-', ' ']).nth(1).expect("a name").to_owned();
        client.expect(&format!("MAIL FROM:<{SENDER}>"), "250");
        client.expect(&format!("RCPT TO:<{ANN}>"), "250");
        let id = receipt_id(&host);
        let tmp = host.site().path("data/mail/acme/tmp");
        let name = |second| tmp.join(format!("{second}.{id}.{hostname}"));
        let names = (now()..now() + 60).map(|second| name(second).display().to_string());
        let names: Vec<String> = names.collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let fault = Fault::inject(&host, &[&format!("write:error={error}:when=1")], &names);
        client.expect("DATA", "354");
        client.send(numbered(0, LONG));
        let reply = client.say(".");
        assert!(reply.starts_with("451 4.3.0 Message not stored"), "{reply}");
        assert_eq!(fault.end(), 1, "{error}");
        client.quit();
        assert_eq!(host.site().maildir("acme", "tmp").len(), 0, "{error}");
        let reply = deliver(&host, &[ANN], &numbered(0, LONG));
        assert!(reply.starts_with("250 2.0.0 "), "{error}: {reply}");
        assert_eq!(host.stop().site.mail("acme").len(), 1, "{error}");
    }
}

/// Of the only recipient so far, once it is in the store.
fn receipt_id(host: &Host) -> String {
    let begun = Instant::now();
    loop {
        if let Some(receipt) = host.site().receipts().first() {
            return receipt["verdict"]["id"].as_str().expect("an id").to_owned();
        }
        assert!(begun.elapsed() < PATIENCE, "no receipt");
    }
}

/// A maildir that has to be made anew. One that was made and is not known to be on disk
/// takes no mail, however often it is found.
#[test]
fn a_maildir_that_cannot_be_made_or_synced() {
    let hop = Hop::lmtp();
    let host = site(&hop).start();
    let maildir = host.site().path("data/mail/acme");
    let (made, parent) = (maildir.display().to_string(), host.site().path("data/mail"));
    let parent = parent.display().to_string();
    fs::remove_dir_all(&maildir).expect("the host has made it");
    for (failing, path) in [
        ("mkdir,mkdirat:error=ENOSPC", &made),
        ("fsync:error=EIO", &parent),
        ("fsync:error=EIO", &parent),
    ] {
        let fault = Fault::inject(&host, &[failing], &[path]);
        let reply = deliver(&host, &[ANN], "Subject: x\r\n\r\n");
        assert!(
            reply.starts_with("451 4.3.0 Message not stored"),
            "{failing}: {reply}"
        );
        assert!(fault.end() > 0, "{failing}");
    }
    let reply = deliver(&host, &[ANN], "Subject: x\r\n\r\n");
    assert!(reply.starts_with("250 2.0.0 "), "{reply}");
    assert_eq!(host.stop().site.mail("acme").len(), 1);
}

/// A file of the ledger has to be opened each day, and after each fault.
#[test]
fn a_file_of_the_ledger_that_cannot_be_opened() {
    for (failing, what) in [
        ("openat:error=EMFILE", "data/ledger/DAY.ledger"),
        ("openat:error=EIO", "data/ledger/DAY.ledger"),
        ("fsync:error=EIO", "data/ledger"),
    ] {
        let hop = Hop::lmtp();
        let again = "452 4.2.2 not now";
        hop.answer(". bob@", &[again, again, "250 2.0.0 taken"]);
        let host = site(&hop).start();
        let file = host.site().path(&format!("data/ledger/{}.ledger", today()));
        let file = file.display().to_string();
        let path = what.replace("DAY", &today().to_string());
        let path = host.site().path(&path).display().to_string();
        // After a fault the file is opened again.
        for (number, (failing, path)) in [("write:error=EIO", &file), (failing, &path)]
            .into_iter()
            .enumerate()
        {
            let fault = Fault::inject(&host, &[failing], &[path]);
            let message = format!("Subject: number {number}\r\n\r\n");
            let reply = deliver(&host, &[ANN, BEN, BOB], &message);
            assert!(
                reply.starts_with("451 4.3.0 Not delivered to every"),
                "{failing}: {reply}"
            );
            assert!(fault.end() > 0, "{failing}");
        }
        for number in [0, 1] {
            let message = format!("Subject: number {number}\r\n\r\n");
            let reply = deliver(&host, &[ANN, BEN, BOB], &message);
            assert!(reply.starts_with("250 2.0.0 "), "{failing}: {reply}");
        }
        assert_eq!((hop.copies(BEN), hop.copies(BOB)), (2, 2), "{failing}");
        let ended = host.stop();
        assert_eq!(ended.site.mail("acme").len(), 2, "{failing}");
        let said = "the ledger could not be kept: copies that were delivered may come twice";
        assert_eq!(
            ended.log.matches(said).count(),
            2,
            "{failing}: {}",
            ended.log
        );
    }
}
