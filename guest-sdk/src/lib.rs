//! Write a policy for Portcullis: one function from a message to an answer.
//!
//! A policy decides for one recipient of one message whether the connection it arrives
//! on must be encrypted, and what else must be true of it. It is compiled to
//! WebAssembly and run by the host in a sandbox, where this crate is all it sees: what
//! the host saw of the message ([`Message`]), the tenant's lists, and a log. There is
//! no clock, randomness, file or network: the same facts give the same answer.
//!
//! This is a complete policy with settings:
//!
//! ```
//! use portcullis_sdk::{Answer, Domain, Message, Requirements, Result, policy};
//! use portcullis_sdk::{schemars, serde};
//!
//! /// Mail from our bank is taken over TLS and with the bank's own certificate only.
//! #[derive(serde::Deserialize, schemars::JsonSchema)]
//! #[serde(crate = "portcullis_sdk::serde", deny_unknown_fields)]
//! #[schemars(crate = "portcullis_sdk::schemars")]
//! struct Settings {
//!     /// Domain of the bank.
//!     bank: Domain,
//! }
//!
//! fn decide(message: &Message, settings: &Settings) -> Result {
//!     let from_bank = message
//!         .sender_domain()
//!         .is_some_and(|sender| sender.is_within(&settings.bank));
//!     if !from_bank {
//!         return Ok(Answer::default("not from the bank"));
//!     }
//!     let requirements = Requirements::tls().certificate_within(&settings.bank);
//!     Ok(Answer::enforced(requirements, "from the bank"))
//! }
//!
//! policy!(decide, settings = Settings);
//! # fn main() {}
//! ```
//!
//! and this is its test, which runs natively:
//!
//! ```
//! # use portcullis_sdk::{Answer, Message, Result};
//! # fn decide(message: &Message) -> Result {
//! #     Ok(Answer::default(message.sender_domain().map_or("a bounce".to_owned(), |d| format!("not {d}"))))
//! # }
//! use portcullis_sdk::testing;
//!
//! let bounce = testing::message().null_sender().build();
//! assert_eq!(decide(&bounce), Ok(Answer::default("a bounce")));
//! ```
//!
//! Most tests are a table, which the host's `portcullis test` runs against the compiled
//! module as well: see the module `testing::vectors`, behind the feature `vectors`.
//!
//! # Settings
//!
//! Settings are a type of serde's, and the host is told of them in a JSON Schema: with the
//! documentation of each field, its default where the type of it implements `Serialize`, and
//! examples. What is wrong with them is told with its path, when a policy is written and not
//! when mail comes. Ready for them are [`Domain`], [`DomainSet`], [`DomainMap`],
//! [`Fingerprint`], [`Pins`], [`TlsVersion`], [`Date`], [`Weekday`], [`Period`] and
//! [`Share`].
//!
//! ```
//! use portcullis_sdk::{Date, DomainMap, Period, Weekday, parse_settings, settings_schema};
//! use portcullis_sdk::{schemars, serde};
//!
//! /// When we look at exceptions.
//! #[derive(serde::Deserialize, schemars::JsonSchema)]
//! #[serde(crate = "portcullis_sdk::serde", deny_unknown_fields)]
//! #[schemars(crate = "portcullis_sdk::schemars")]
//! struct Settings {
//!     /// The days on which somebody is here.
//!     #[serde(default = "monday")]
//!     days: Vec<Weekday>,
//!     /// How long an exception holds, by domain.
//!     exceptions: DomainMap<Period>,
//!     /// The last day of all of them.
//!     until: Option<Date>,
//! }
//!
//! fn monday() -> Vec<Weekday> {
//!     vec![Weekday::Monday]
//! }
//!
//! let schema = settings_schema::<Settings>();
//! assert!(schema.contains("The days on which somebody is here."));
//! assert!(schema.contains(r#""default":["monday"]"#));
//!
//! let fault = parse_settings::<Settings>(r#"{"exceptions": {"a.example": "2 weeks"}}"#);
//! assert_eq!(
//!     fault.err().expect("no period").split(" at line").next(),
//!     Some("exceptions.a.example: \"2 weeks\" is not a length of time: write 14d, 36h, 90m or 30s"),
//! );
//! ```
//!
//! # The crate of a policy
//!
//! ```toml
//! [package]
//! name = "bank"
//! version = "1.0.0"
//! edition = "2024"
//! description = "One sentence for the administrator."
//!
//! [lib]
//! crate-type = ["cdylib", "rlib"] # the module, and the unit tests
//!
//! [dependencies]
//! portcullis-sdk = { path = "sdk" } # as `portcullis new` puts it there
//!
//! [dev-dependencies]
//! portcullis-sdk = { path = "sdk", features = ["vectors"] }
//! ```
//!
//! `cargo build --target wasm32-unknown-unknown` makes a module that the host takes as
//! it is; `cargo test` runs the tests natively. A release build with `opt-level = "s"`,
//! `lto = true` and `strip = "debuginfo"` is about a tenth of the size; the names of
//! functions that this leaves in it tell where a policy broke down.
//!
//! Memory that a policy frees is not used again within the decision. One that makes and
//! drops megabytes over and over takes this crate without its feature `allocator`, and
//! gets Rust's own.
//!
//! # When a policy fails
//!
//! An [`Error`], a panic, and running out of the host's limits all have one effect: the
//! policy's on-failure applies, which the administrator chose. The text of an error, and
//! of a panic with its place, is in the receipt and the host's log.

#[cfg(not(target_arch = "wasm32"))]
pub mod testing;

mod address;
mod answer;
mod certificate;
mod date;
mod domain;
mod domain_map;
mod error;
mod fingerprint;
mod message;
mod open;
mod period;
mod pins;
mod policy;
mod settings;
mod share;
mod tls;

/// For `policy!` alone.
#[cfg(target_arch = "wasm32")]
#[doc(hidden)]
#[path = "export.rs"]
pub mod __export;

/// A policy's memory. Growing it means changing the protection of pages at every
/// decision, and back; this allocator first uses what the linker reserved (`build.rs`).
/// It takes nothing back, since all of it is gone with the decision, which makes a
/// decision a fifth cheaper for the guest.
#[cfg(all(target_arch = "wasm32", feature = "allocator"))]
#[global_allocator]
static ALLOCATOR: mini_alloc::MiniAlloc = mini_alloc::MiniAlloc::INIT;

pub use address::Address;
pub use answer::{Answer, Decision, Requirement, Requirements};
pub use certificate::{Certificate, Purpose, Trust};
pub use date::{DAY, Date, Weekday};
pub use domain::{Domain, DomainError};
pub use domain_map::{DomainMap, DomainPattern, DomainSet};
pub use error::{Error, Result};
pub use fingerprint::{Fingerprint, FingerprintError};
pub use message::{Body, Direction, Endpoint, HeloVerb, Level, List, Message, Stage};
pub use period::{Period, PeriodError};
pub use pins::Pins;
pub use settings::{Faults, parse_settings, settings_schema};
pub use share::Share;
pub use tls::{ClientCertificate, Origin, Tls, TlsVersion};

/// For the settings of a policy: its `JsonSchema`.
pub use schemars;
/// For the settings of a policy: its `Deserialize`.
pub use serde;

#[doc(hidden)]
pub use policy::__no_check;

// Where facts come from: the host, or natively the data of a builder.
#[cfg(target_arch = "wasm32")]
use __export::host;
#[cfg(not(target_arch = "wasm32"))]
use testing::host;
