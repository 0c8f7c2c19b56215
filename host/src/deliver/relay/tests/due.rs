//! The client's reply is due: whatever a hop may take by itself, the sum is bounded, and
//! what the hop may have is not sent again before that is known.

use std::collections::HashMap;

use super::fake::{Act, Fake};
use super::*;
use crate::decision::{Permit, Resolved, TlsOffer, judge};
use crate::deliver::{
    Delivered, DeliveryError, Ending, Handover, Ledger, Message, Target, TargetSettings, Targets,
    Until,
};
use crate::facts::{Facts, sample};

const RECIPIENT: &str = "a@t.example";

fn facts() -> Facts {
    sample::clear(&mailbox(RECIPIENT))
}

fn permit() -> Permit {
    judge(&Resolved::Opportunistic, &facts(), TlsOffer::Offered).expect("nothing is enforced")
}

/// Clients of a hop, each with the same message.
struct Clients {
    target: Arc<Target>,
    ledger: Arc<Ledger>,
    _directory: tempfile::TempDir,
}

impl Clients {
    fn of(hop: NextHop) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        Self {
            target: Targets::default().get(TargetSettings::NextHop(hop), "mx.host.example"),
            ledger: Ledger::open(directory.path()).expect("opened"),
            _directory: directory,
        }
    }

    async fn begin(&self, due: Instant) -> Result<Handover, DeliveryError> {
        let facts = facts();
        let ledger = Arc::clone(&self.ledger);
        let mut handover = Handover::new(ledger, facts.sender, facts.parameters);
        handover.offer(permit(), &self.target, due).await?;
        Ok(handover)
    }

    async fn deliver(&self, handover: Handover, due: Instant) -> Delivered {
        let facts = facts();
        let message = Message {
            connection: Arc::clone(&facts.connection),
            helo: facts.helo,
            sender: facts.sender,
            parameters: facts.parameters,
            received: facts.now,
            content: Arc::new(Content::in_memory(b"Subject: x\r\n\r\n".to_vec())),
        };
        handover
            .deliver(
                message,
                &[permit()],
                HashMap::new(),
                "mx.host.example",
                Until::due(due),
            )
            .await
    }

    /// The end of data, for which the hop takes longer than the client waits.
    async fn fail_in_time(&self, handover: Handover, step: &str) {
        let begun = Instant::now();
        // The hop has to have all of the message, on a busy machine, too.
        let wait = if step == "." { TO_THE_END } else { SHORT };
        let delivered = self.deliver(handover, begun + wait).await;
        let Ending::Failed(error) = delivered.ending else {
            unreachable!("{step}: {delivered:?}");
        };
        assert!(!error.is_permanent(), "{step}: {error}");
        assert!(begun.elapsed() < LONG / 2, "{step}: {:?}", begun.elapsed());
    }

    /// Comes back until it is known what became of the message.
    async fn send_until_settled(&self) -> Ending {
        let coming_back = async {
            loop {
                match self.send().await {
                    Ending::Failed(DeliveryError::UnderWay) => {
                        tokio::time::sleep(Duration::from_millis(2)).await;
                    }
                    settled => return settled,
                }
            }
        };
        let settled = tokio::time::timeout(LONG, coming_back).await;
        settled.expect("it is settled in the end")
    }

    /// A whole transaction, which comes to an end.
    async fn send(&self) -> Ending {
        let handover = self.begin(soon()).await.expect("it is taken");
        self.deliver(handover, soon()).await.ending
    }
}

/// Each step alone may take far longer.
#[tokio::test]
async fn a_recipient_is_answered_in_time_wherever_the_hop_is_slow() {
    for step in ["greeting", "LHLO", "MAIL", "RCPT"] {
        for act in [Act::Hang, Act::Trickle] {
            let fake = Fake::tcp(vec![vec![(step, act)]]).await;
            let clients = Clients::of(hop(Protocol::Lmtp, fake.address.clone()));
            let begun = Instant::now();
            let answer = clients.begin(begun + SHORT).await.map(drop);
            let error = answer.expect_err("nobody said yes");
            assert!(!error.is_permanent(), "{step}: {error}");
            assert!(begun.elapsed() < LONG / 2, "{step}: {:?}", begun.elapsed());
        }
    }
}

#[tokio::test]
async fn a_message_is_answered_in_time_wherever_the_hop_is_slow() {
    for step in ["DATA", "."] {
        for act in [Act::Hang, Act::Trickle] {
            let fake = Fake::tcp(vec![vec![(step, act)]]).await;
            let clients = Clients::of(hop(Protocol::Lmtp, fake.address.clone()));
            let handover = clients.begin(soon()).await.expect("it is taken");
            clients.fail_in_time(handover, step).await;
        }
    }
}

/// Somebody else had the only connection meanwhile.
#[tokio::test]
async fn a_transaction_is_opened_anew_in_time() {
    for step in ["MAIL#3", "RCPT#3"] {
        for act in [Act::Hang, Act::Trickle] {
            let fake = Fake::tcp(vec![vec![(step, act)]]).await;
            let clients = Clients::of(NextHop {
                connections: 1,
                ..hop(Protocol::Lmtp, fake.address.clone())
            });
            let handover = clients.begin(soon()).await.expect("it is taken");
            let other = clients.begin(soon()).await.expect("it is taken, too");
            other.abandon();
            clients.fail_in_time(handover, step).await;
            assert_eq!(fake.accepted(), 1, "{step}");
        }
    }
}

/// The hop took it when the client had been told to come back: it does not come twice.
#[tokio::test]
async fn what_a_hop_takes_late_is_not_sent_again() {
    for protocol in [Protocol::Lmtp, Protocol::Smtp] {
        let late = vec![(".", Act::Late("250 2.0.0 kept"))];
        let fake = Fake::tcp(vec![late, vec![]]).await;
        let clients = Clients::of(hop(protocol, fake.address.clone()));
        let handover = clients.begin(soon()).await.expect("it is taken");
        clients.fail_in_time(handover, ".").await;
        let again = clients.send().await;
        assert!(
            matches!(again, Ending::Failed(DeliveryError::UnderWay)),
            "{again:?}"
        );
        fake.release();
        let again = clients.send_until_settled().await;
        assert!(matches!(again, Ending::Delivered), "{again:?}");
        assert_eq!(fake.content().len(), 1, "{protocol}");
    }
}

#[tokio::test]
async fn what_a_hop_refuses_late_or_never_answers_is_sent_again() {
    for late in [Act::Late("451 4.3.0 no room"), Act::Late("what?")] {
        let fake = Fake::tcp(vec![vec![(".#1", late)], vec![]]).await;
        let clients = Clients::of(hop(Protocol::Smtp, fake.address.clone()));
        let handover = clients.begin(soon()).await.expect("it is taken");
        clients.fail_in_time(handover, ".").await;
        fake.release();
        let again = clients.send_until_settled().await;
        assert!(matches!(again, Ending::Delivered), "{late:?}: {again:?}");
        assert_eq!(fake.content().len(), 2, "{late:?}");
    }
}
