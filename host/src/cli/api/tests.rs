use std::os::unix::net::UnixListener;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;

#[tokio::test]
async fn a_host_that_does_not_answer_is_not_waited_for_without_end() {
    let home = tempfile::tempdir().expect("a directory");
    let _host = UnixListener::bind(home.path().join(crate::admin::SOCKET)).expect("a socket");
    let client = Client::of_data_directory(home.path());
    let ask = Ask::get(&["node"]).within(Duration::from_millis(50));
    let failure = client.send(ask).await.expect_err("nobody answers");
    assert!(matches!(failure, Failure::Timeout { .. }), "{failure}");
}

/// A host that answers so to one request after the other.
async fn answering(listener: tokio::net::UnixListener, answers: &[&str]) {
    for answer in answers {
        let (mut stream, _) = listener.accept().await.expect("it is asked");
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await.expect("a head"));
        }
        let answer = answer.as_bytes();
        stream.write_all(answer).await.expect("it is read");
    }
}

fn later(seconds: u64) -> String {
    let body = r#"{"status":429,"detail":"too much"}"#;
    let length = body.len();
    format!(
        "HTTP/1.1 429 Too Many Requests\r\nRetry-After: {seconds}\r\nContent-Type: application/problem+json\r\nContent-Length: {length}\r\n\r\n{body}"
    )
}

#[tokio::test]
async fn a_host_is_asked_again_when_it_says_so_and_not_for_ever() {
    let home = tempfile::tempdir().expect("a directory");
    let listener = tokio::net::UnixListener::bind(home.path().join(crate::admin::SOCKET));
    let listener = listener.expect("a socket");
    let client = Client::of_data_directory(home.path());
    let (once, too_long) = (later(1), later(121));
    let good = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}";
    let asked = async {
        let answer = client.send(Ask::get(&["node"])).await.expect("the second");
        assert_eq!(answer.text(), "{}");
        let failure = client.send(Ask::get(&["node"])).await;
        let failure = failure.expect_err("it is too long").to_string();
        assert_eq!(failure, "too much; try again in 121 s");
    };
    let answers = [once.as_str(), good, &too_long];
    tokio::join!(answering(listener, &answers), asked);
}

#[test]
fn the_command_line_goes_before_the_environment() {
    #[derive(clap::Parser)]
    struct Line {
        #[command(flatten)]
        api: ApiArguments,
    }
    let url = |text: &str| Target::Url(text.parse().expect("a URL"));
    for (line, environment, expected) in [
        ("", None, Target::Config("portcullis.toml".into())),
        ("", Some("https://a.example"), url("https://a.example")),
        (
            "--url https://b.example",
            Some("https://a.example"),
            url("https://b.example"),
        ),
        (
            "--socket s",
            Some("https://a.example"),
            Target::Socket("s".into()),
        ),
        (
            "--config c",
            Some("https://a.example"),
            Target::Config("c".into()),
        ),
    ] {
        let words = std::iter::once("x").chain(line.split_whitespace());
        let api = <Line as clap::Parser>::try_parse_from(words)
            .expect("sound")
            .api;
        let environment = Environment {
            url: environment.map(str::to_owned),
            token: Some("secret".to_owned()),
        };
        let target = api.target_in(&environment).expect("sound");
        assert_eq!(target, expected, "{line:?}");
        // The environment's token is not for sockets.
        let token = api.token_in(&target, &environment).expect("sound");
        assert_eq!(
            token.is_some(),
            matches!(target, Target::Url(_)),
            "{line:?}"
        );
    }
    for line in [
        "--url https://a.example --socket s",
        "--socket s --config c",
    ] {
        let words = std::iter::once("x").chain(line.split_whitespace());
        assert!(
            <Line as clap::Parser>::try_parse_from(words).is_err(),
            "{line}"
        );
    }
}

#[test]
fn a_token_is_one_word() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("token");
    let api = ApiArguments {
        url: None,
        token_file: Some(path.clone()),
        ca: None,
        socket: Some("s".into()),
        config: None,
    };
    let target = Target::Socket("s".into());
    let token = || api.token_in(&target, &Environment::default());
    assert!(token().is_err(), "there is no file");
    for (text, expected) in [
        ("portcullis_00\n", Some("Bearer portcullis_00")),
        ("", None),
        (" \n", None),
        ("two words", None),
        ("a\nb", None),
    ] {
        std::fs::write(&path, text).expect("written");
        let found = token().ok().flatten();
        let found = found.as_ref().map(|value| value.to_str().expect("text"));
        assert_eq!(found, expected, "{text:?}");
    }
}
