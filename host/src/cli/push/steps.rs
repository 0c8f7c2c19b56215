//! The steps of a push: each is told when it is done, with its time, and all of them when a
//! later one fails.

use std::time::Instant;

use serde_json::Value;

use crate::cli::rows;
use crate::unicode;

/// What was done so far.
pub(super) struct Steps {
    json: bool,
    began: Instant,
    done: Vec<&'static str>,
}

impl Steps {
    pub(super) fn new(json: bool) -> Self {
        Self {
            json,
            began: Instant::now(),
            done: Vec::new(),
        }
    }

    /// Begins to measure the next.
    pub(super) fn begin(&mut self) {
        self.began = Instant::now();
    }

    /// Tells that a step is done: in words for people, as an object for programs.
    pub(super) fn done(
        &mut self,
        step: &'static str,
        what: &str,
        mut object: Value,
    ) -> anyhow::Result<()> {
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
        rows::lines([line])?;
        self.began = Instant::now();
        Ok(())
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
