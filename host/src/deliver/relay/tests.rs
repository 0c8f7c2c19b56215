//! The client against next hops that follow a script, over real sockets.

mod due;
mod fake;
mod held;
mod misbehaving;
mod pool;
mod protocol;

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::*;
use crate::content::Content;
use crate::deliver::{Parcel, header};

/// How long the client waits where a hop has all of the message, and is silent then.
const TO_THE_END: Duration = Duration::from_secs(2);
/// Far more than anything here takes; a test that reaches it fails.
const LONG: Duration = Duration::from_secs(20);
/// How long the client waits where a hop is silent on purpose.
const SHORT: Duration = Duration::from_millis(150);

fn mailbox(text: &str) -> Mailbox {
    text.parse().expect("a mailbox")
}

fn hop(protocol: Protocol, address: HopAddress) -> NextHop {
    NextHop {
        protocol,
        address,
        tls: HopTls::None,
        connections: 2,
        keep_idle: LONG,
        connect_timeout: LONG,
        command_timeout: LONG,
        delivery_timeout: LONG,
    }
}

/// The same, but no wait is long.
fn impatient(hop: NextHop) -> NextHop {
    NextHop {
        connect_timeout: SHORT,
        command_timeout: SHORT,
        delivery_timeout: SHORT,
        ..hop
    }
}

fn relay(hop: NextHop) -> Arc<Relay> {
    Relay::new(hop, "mx.host.example")
}

fn mail() -> HopMail {
    HopMail {
        sender: Some(mailbox("s@client.example")),
        parameters: MailParameters::default(),
    }
}

fn parcel(content: &[u8]) -> Parcel {
    let scan = header::scan(content, "mx.host.example");
    let content = Arc::new(Content::in_memory(content.to_vec()));
    Parcel::new("X-Field: ours\r\n".to_owned(), content, &scan)
}

/// Later than anything here takes.
fn soon() -> Instant {
    Instant::now() + LONG
}

/// One transaction, from MAIL to the last reply: what became of each recipient, or of
/// the whole where it ended before.
async fn deliver(relay: &Arc<Relay>, recipients: &[&str]) -> Result<Vec<String>, RelayError> {
    let mut dialogue = relay.begin(&mail()).await?;
    let mut outcomes = Vec::new();
    for recipient in recipients {
        match dialogue.recipient(&mailbox(recipient)).await {
            Ok(()) => {}
            Err(RelayError::Refused(reply)) => outcomes.push(format!("{recipient}: {reply}")),
            Err(error) => return Err(error),
        }
    }
    let accepted = dialogue.recipients().to_vec();
    let parcel = parcel(b"Subject: x\r\n\r\n.a\r\n");
    let replies = dialogue
        .send(&parcel, &crate::deliver::Until::due(soon()))
        .await
        .outcomes;
    assert_eq!(accepted.len(), replies.len());
    for (recipient, reply) in accepted.iter().zip(replies) {
        match reply {
            Ok(reply) => outcomes.push(format!("{recipient}: {reply}")),
            Err(RelayError::Refused(reply)) => {
                outcomes.push(format!("{recipient}: refused {reply}"));
            }
            Err(error) => return Err(error),
        }
    }
    Ok(outcomes)
}
