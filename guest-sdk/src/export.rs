//! The border between a policy and the host: bindings, conversion, panics.
//!
//! For wasm32 only. Everything here is reached through `policy!`.

use std::mem::ManuallyDrop;
use std::panic::{self, PanicHookInfo};

use crate::answer::{Answer, Decision, Requirement, Requirements};
use crate::message::{Level, Message};
use crate::settings::Faults;
use bindings::exports::portcullis::policy::{about, secure_receipt};
use bindings::portcullis::policy::{demands, facts, log, types};

#[expect(missing_docs, reason = "written by wit-bindgen")]
pub mod bindings {
    wit_bindgen::generate!({
        path: "wit",
        world: "policy",
        pub_export_macro: true,
        export_macro_name: "__export_policy",
        default_bindings_module: "portcullis_sdk::__export::bindings",
    });
}

/// What `policy!` implements for a policy.
pub trait Policy {
    /// Package of the policy.
    const NAME: &'static str;
    /// Its version.
    const VERSION: &'static str;
    /// Its description.
    const DESCRIPTION: &'static str;

    /// JSON Schema of its settings.
    fn schema() -> String;
    /// Faults of settings that a schema cannot say.
    fn check(settings: &str) -> Result<(), Vec<String>>;
    /// Decides one recipient.
    fn decide(message: &Message, settings: &str) -> Result<Answer, String>;
}

/// Schema of a policy without settings.
pub fn no_settings_schema() -> String {
    crate::settings::NO_SETTINGS.to_owned()
}

/// Whether these are the settings of a policy without settings.
pub fn expect_no_settings(settings: &str) -> Result<(), String> {
    crate::settings::expect_no_settings(settings)
}

/// Settings that do not parse have one fault; what parses is for the policy to check.
pub fn check_settings<T: serde::de::DeserializeOwned>(
    settings: &str,
    check: impl FnOnce(&T, &mut Faults),
) -> Result<(), Vec<String>> {
    let settings = crate::parse_settings::<T>(settings).map_err(|fault| vec![fault])?;
    let mut faults = Faults::new();
    check(&settings, &mut faults);
    faults.into_result()
}

impl<P: Policy> about::Guest for P {
    fn describe() -> about::Manifest {
        report_panics();
        about::Manifest {
            name: P::NAME.to_owned(),
            version: P::VERSION.to_owned(),
            description: P::DESCRIPTION.to_owned(),
            settings_schema: P::schema(),
        }
    }

    fn check_settings(settings: String) -> Result<(), Vec<String>> {
        report_panics();
        P::check(&settings)
    }
}

impl<P: Policy> secure_receipt::Guest for P {
    fn decide(message: &facts::Message, settings: String) -> Result<types::Answer, String> {
        report_panics();
        let message = Message::new(host::Message::borrowed(message));
        P::decide(&message, &settings).map(lower)
    }
}

/// A panic ends in a trap, which says nothing: its text reaches the log before it.
fn report_panics() {
    panic::set_hook(Box::new(|panic: &PanicHookInfo<'_>| {
        let text = panic.payload_as_str().unwrap_or("no text");
        let line = match panic.location() {
            Some(at) => format!("the policy panicked at {at}: {text}"),
            None => format!("the policy panicked: {text}"),
        };
        log::write(log::Level::Warn, &line);
    }));
}

fn lower(answer: Answer) -> types::Answer {
    types::Answer {
        decision: match answer.decision {
            Decision::Default => types::Decision::Default,
            Decision::Opportunistic => types::Decision::Opportunistic,
            Decision::Enforced(requirements) => types::Decision::Enforced(demand(&requirements)),
        },
        reason: answer.reason,
    }
}

fn demand(requirements: &Requirements) -> demands::Requirements {
    let demands = demands::Requirements::new();
    for requirement in requirements.iter() {
        match requirement {
            Requirement::AtLeast(version) => demands.at_least(version.code()),
            Requirement::PostQuantumKeyExchange => demands.post_quantum_key_exchange(),
            Requirement::CertificatePresented => demands.certificate_presented(),
            Requirement::CertificateTrusted => demands.certificate_trusted(),
            Requirement::CertificateCovers(name) => demands.certificate_covers(name.as_str()),
            Requirement::CertificateWithin(domain) => demands.certificate_within(domain.as_str()),
            Requirement::CertificatePinned(pins) => {
                let pins: Vec<String> = pins.iter().map(ToString::to_string).collect();
                demands.certificate_pinned(&pins);
            }
        }
    }
    demands
}

/// What the facade asks on wasm32. The names and signatures are those that
/// `testing` has natively.
pub(crate) mod host {
    use super::bindings::portcullis::policy::{facts, lists, log};
    use super::{Level, ManuallyDrop};

    pub(crate) use super::bindings::portcullis::policy::facts::{Certificate, Endpoint, Tls};

    /// The host's message, and its lists and log.
    #[derive(Debug)]
    pub(crate) struct Message(ManuallyDrop<facts::Message>);

    impl Message {
        #[expect(
            unsafe_code,
            reason = "a handle is copied to give it a type without lifetime"
        )]
        pub(super) fn borrowed(message: &facts::Message) -> Self {
            // SAFETY: the copy is never dropped, and lives no longer than the call that
            // lends the message: a policy is only ever given a reference to it.
            Self(ManuallyDrop::new(unsafe {
                facts::Message::from_handle(message.handle())
            }))
        }

        pub(crate) fn contains(&self, list: &str, key: &str) -> bool {
            lists::contains(list, key)
        }

        pub(crate) fn lookup(&self, list: &str, key: &str) -> Option<String> {
            lists::lookup(list, key)
        }

        pub(crate) fn log(&self, level: Level, line: &str) {
            let level = match level {
                Level::Debug => log::Level::Debug,
                Level::Info => log::Level::Info,
                Level::Warn => log::Level::Warn,
            };
            log::write(level, line);
        }
    }

    impl std::ops::Deref for Message {
        type Target = facts::Message;

        fn deref(&self) -> &facts::Message {
            &self.0
        }
    }
}
