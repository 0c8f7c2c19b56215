//! What an administrator wants to know, in a sentence.

use super::Report;
use super::figures::{count, share};

/// A sentence that begins with a figure, if there is one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Summary {
    /// The share of messages over TLS.
    pub figure: Option<String>,
    /// The rest of the sentence.
    pub rest: String,
}

impl Report {
    /// How mail came, in a sentence.
    pub fn summary(&self) -> Summary {
        let total = &self.total;
        if total.messages == 0 {
            return Summary {
                figure: None,
                rest: "No mail in this time.".to_owned(),
            };
        }
        let plural = if total.messages == 1 { "" } else { "s" };
        Summary {
            figure: Some(share(total.secured(), total.messages)),
            rest: format!(
                "of {} message{plural} came over TLS; {}.",
                count(total.messages),
                self.who_never_did()
            ),
        }
    }

    fn who_never_did(&self) -> String {
        let (never, all) = (self.never_secured(), self.senders.len());
        let of = match self.others {
            None => count(all as u64),
            Some(_) => format!("the first {}", count(all as u64)),
        };
        match (never, all) {
            (0, 1) => "its only sender used it".to_owned(),
            (1, 1) => "its only sender never did".to_owned(),
            (0, _) => format!("each of {of} senders used it"),
            (never, _) => format!("{} of {of} senders never did", count(never as u64)),
        }
    }
}

impl std::fmt::Display for Summary {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if let Some(figure) = &self.figure {
            write!(f, "{figure} ")?;
        }
        f.write_str(&self.rest)
    }
}
