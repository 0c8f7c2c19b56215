//! `docs/rollout.md`, followed literally: what stands behind `$` is run, in the order of the
//! page, and has to say what stands below it.

use portcullis_tests::api::token;
use portcullis_tests::client::Tls;
use portcullis_tests::page::{self, Step};
use portcullis_tests::program::portcullis;
use portcullis_tests::site::Host;
use portcullis_tests::tool;

use super::{host, mail, wait_for};

/// Stands in the page where mail comes.
const MAIL: &str = "mail comes";

/// The mail of the page.
fn send(host: &Host) {
    let (ben, tls) = ("ben@acme.example", Tls::tls13());
    mail(host, None, "amy@partner.example", &[ben; 5]);
    mail(host, None, "sue@supplier.example", &[ben; 3]);
    mail(host, Some(&tls), "sue@supplier.example", &[ben; 2]);
    mail(host, Some(&tls), "bob@bank.example", &[ben; 4]);
    wait_for(host, "acme", 14);
}

#[test]
fn the_page_is_followed_to_its_end() {
    let host = host();
    let (admin, _) = token(&host, "admin", "acme");
    let directory = host.site().directory().display().to_string();
    let program = portcullis()
        .parent()
        .expect("a directory")
        .display()
        .to_string();
    let url = format!("PORTCULLIS_URL=http://{}", host.address("admin"));
    let token = format!("PORTCULLIS_TOKEN={admin}");
    let path = format!(
        "PATH={program}:{}",
        std::env::var("PATH").unwrap_or_default()
    );
    let steps = page::steps("rollout.md");
    assert!(steps.len() > 6, "{steps:?}");
    for step in steps {
        let (command, written) = match step {
            Step::Mark(mark) => {
                assert_eq!(mark, MAIL);
                send(&host);
                continue;
            }
            Step::Command(command, written) => (command, written),
        };
        // What a file holds is shown, and so written.
        if let Some(file) = command.strip_prefix("cat ") {
            host.write(file, written.join("\n") + "\n");
            continue;
        }
        let line = format!("cd '{directory}' && {command}");
        let ran = tool::run("env", &[&url, &token, &path, "sh", "-c", &line]).expect_code(0);
        page::compare(&command, &ran.stdout, &written);
    }
    host.stop();
}
