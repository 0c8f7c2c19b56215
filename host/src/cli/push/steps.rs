//! The steps of a push: each is told when it is done, with its time, and all of them when a
//! later one fails.

use std::time::Instant;

use anyhow::Context;
use serde_json::Value;

use crate::cli::rows;
use crate::unicode;

/// What was done so far.
pub(super) struct Steps {
    json: bool,
    began: Instant,
    done: Vec<&'static str>,
    /// Why the first was not told that could not be.
    untold: Option<anyhow::Error>,
}

impl Steps {
    pub(super) fn new(json: bool) -> Self {
        Self {
            json,
            began: Instant::now(),
            done: Vec::new(),
            untold: None,
        }
    }

    /// Begins to measure the next.
    pub(super) fn begin(&mut self) {
        self.began = Instant::now();
    }

    /// Tells that a step is done: in words for people, as an object for programs. Whether
    /// anybody hears it does not matter to those that follow.
    pub(super) fn done(&mut self, step: &'static str, what: &str, mut object: Value) {
        let seconds = self.began.elapsed().as_secs_f64();
        self.done.push(step);
        let line = if self.json {
            object["step"] = step.into();
            object["seconds"] = seconds.into();
            object.to_string()
        } else {
            let what = unicode::shown(what);
            format!("{step:<9}  {what} ({seconds:.2} s)")
        };
        self.tell([line]);
        self.began = Instant::now();
    }

    /// Writes lines, unless some could not be written before.
    pub(super) fn tell(&mut self, lines: impl IntoIterator<Item = String>) {
        if self.untold.is_none() {
            self.untold = rows::lines(lines).err();
        }
    }

    /// All is done: whether all of it was told, or read as far as its reader wanted.
    pub(super) fn end(mut self) -> anyhow::Result<()> {
        let told = self.untold.take().map_or(Ok(()), Err);
        rows::read_or_not(told).with_context(|| format!("{}not all of it told", self.so_far()))
    }

    /// What was done, before what was not: `built and tested, and `.
    pub(super) fn so_far(&self) -> String {
        match self.done.as_slice() {
            [] => String::new(),
            [one] => format!("{one}, and "),
            [all @ .., last] => format!("{} and {last}, and ", all.join(", ")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_done_is_told_in_its_order() {
        for (done, expected) in [
            (vec![], ""),
            (vec!["uploaded"], "uploaded, and "),
            (vec!["built", "tested"], "built and tested, and "),
            (
                vec!["built", "tested", "uploaded"],
                "built, tested and uploaded, and ",
            ),
        ] {
            let steps = Steps {
                done,
                ..Steps::new(false)
            };
            assert_eq!(steps.so_far(), expected);
        }
    }
}
