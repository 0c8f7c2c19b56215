//! What the demo sends, and what each scene is there to show.

/// One message.
#[derive(Debug)]
pub(super) struct Scene {
    /// What it shows.
    pub(super) title: &'static str,
    /// TLS from the first octet, on the other listener.
    pub(super) implicit: bool,
    /// How the client connects.
    pub(super) tls: ClientTls,
    /// Which certificate it has.
    pub(super) certificate: Shown,
    /// Envelope sender.
    pub(super) sender: &'static str,
    /// Envelope recipients, each with the code it must be answered.
    pub(super) recipients: &'static [(&'static str, u16)],
}

/// How a client speaks TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ClientTls {
    /// Not at all.
    Clear,
    /// TLS 1.2.
    Tls12,
    /// TLS 1.3 with a classical key exchange.
    Classical,
    /// TLS 1.3 with X25519MLKEM768.
    PostQuantum,
}

/// The certificate that a client shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shown {
    /// None.
    Nothing,
    /// Trusted, and for the sender's domain.
    Trusted,
    /// Trusted, and for another domain.
    Stranger,
    /// Signed by itself.
    SelfSigned,
    /// Signed by itself, with a pinned key.
    Pinned,
}

const fn scene(
    title: &'static str,
    tls: ClientTls,
    certificate: Shown,
    sender: &'static str,
    recipients: &'static [(&'static str, u16)],
) -> Scene {
    Scene {
        title,
        implicit: false,
        tls,
        certificate,
        sender,
        recipients,
    }
}

use ClientTls::{Classical, Clear, PostQuantum, Tls12};
use Shown::{Nothing, Pinned, SelfSigned, Stranger, Trusted};

/// In the order in which they are sent.
pub(super) const SCENES: &[Scene] = &[
    scene(
        "a stranger in clear",
        Clear,
        Nothing,
        "joe@stranger.example",
        &[("alice@acme.example", 250)],
    ),
    scene(
        "a partner in clear",
        Clear,
        Nothing,
        "amy@bank.example",
        &[("alice@acme.example", 530)],
    ),
    scene(
        "the partner over TLS",
        PostQuantum,
        Nothing,
        "amy@bank.example",
        &[("alice@acme.example", 250)],
    ),
    Scene {
        implicit: true,
        ..scene(
            "the same, implicit TLS",
            PostQuantum,
            Nothing,
            "amy@bank.example",
            &[("alice@acme.example", 250)],
        )
    },
    scene(
        "one partner, two tenants",
        Clear,
        Nothing,
        "amy@bank.example",
        &[("alice@acme.example", 530), ("bob@globex.example", 250)],
    ),
    scene(
        "certificate due, none shown",
        PostQuantum,
        Nothing,
        "tom@trade.example",
        &[("alice@acme.example", 550)],
    ),
    scene(
        "a self-signed one",
        PostQuantum,
        SelfSigned,
        "tom@trade.example",
        &[("alice@acme.example", 550)],
    ),
    scene(
        "somebody else's",
        PostQuantum,
        Stranger,
        "tom@trade.example",
        &[("alice@acme.example", 550)],
    ),
    scene(
        "the partner's own",
        PostQuantum,
        Trusted,
        "tom@trade.example",
        &[("alice@acme.example", 250)],
    ),
    scene(
        "one certificate, two tenants",
        PostQuantum,
        Trusted,
        "tom@trade.example",
        &[("alice@acme.example", 250), ("ceo@globex.example", 550)],
    ),
    scene(
        "a pinned key",
        PostQuantum,
        Pinned,
        "pay@payroll.example",
        &[("alice@acme.example", 250)],
    ),
    scene(
        "another key than pinned",
        PostQuantum,
        Trusted,
        "pay@payroll.example",
        &[("alice@acme.example", 550)],
    ),
    scene(
        "TLS 1.2 where 1.3 is due",
        Tls12,
        Nothing,
        "eve@research.example",
        &[("bob@globex.example", 550)],
    ),
    scene(
        "classical key exchange",
        Classical,
        Nothing,
        "eve@research.example",
        &[("bob@globex.example", 550)],
    ),
    scene(
        "post-quantum key exchange",
        PostQuantum,
        Nothing,
        "eve@research.example",
        &[("bob@globex.example", 250)],
    ),
    scene(
        "nobody's recipient",
        PostQuantum,
        Nothing,
        "joe@stranger.example",
        &[("x@elsewhere.example", 550)],
    ),
];
