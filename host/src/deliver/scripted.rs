//! A target that does what a test says.

use std::collections::{HashMap, VecDeque};
use std::sync::Mutex;

use super::relay::{HopReply, RelayError};
use super::{DeliveryError, part::Fate};
use crate::address::Mailbox;

/// What is to happen to each recipient, and what has happened.
#[derive(Debug, Default)]
pub struct Script {
    pub(super) state: Mutex<Played>,
}

#[derive(Debug, Default)]
pub(super) struct Played {
    /// What RCPT is answered, then the content, over and over the last one.
    pub(super) at_rcpt: HashMap<Mailbox, VecDeque<u16>>,
    pub(super) at_data: HashMap<Mailbox, VecDeque<u16>>,
    /// How many copies each has.
    pub(super) copies: HashMap<Mailbox, usize>,
}

impl Script {
    pub(super) fn ask(&self, recipient: &Mailbox) -> Result<(), DeliveryError> {
        let mut state = self.state.lock().expect("no panic");
        let code = next(&mut state.at_rcpt, recipient);
        answer(code).map(drop)
    }

    pub(super) fn deliver(&self, recipients: &[Mailbox]) -> Vec<Fate> {
        let mut state = self.state.lock().expect("no panic");
        let mut fates = Vec::new();
        for recipient in recipients {
            let fate = answer(next(&mut state.at_data, recipient));
            if fate.is_ok() {
                *state.copies.entry(recipient.clone()).or_default() += 1;
            }
            fates.push(fate);
        }
        fates
    }
}

/// The last word is the final one.
fn next(codes: &mut HashMap<Mailbox, VecDeque<u16>>, recipient: &Mailbox) -> u16 {
    match codes.get_mut(recipient) {
        Some(codes) if codes.len() > 1 => codes.pop_front().expect("more than one"),
        Some(codes) => codes.front().copied().unwrap_or(250),
        None => 250,
    }
}

fn answer(code: u16) -> Fate {
    if code < 400 {
        return Ok(String::new());
    }
    Err(DeliveryError::Relay {
        hop: "script".into(),
        source: RelayError::Refused(HopReply {
            code,
            enhanced: None,
            text: format!("says {code}"),
        }),
    })
}
