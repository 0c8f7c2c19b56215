//! A module asked about the cases of vectors, in the real engine: `portcullis test`.
//!
//! A case is asked as mail would be, within the host's limits, and its settings are held
//! against the module's schema, as when a policy is written. What came of it is said in
//! the words of the vectors, so that the same file holds natively and here.

mod coverage;
mod read;
mod words;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use portcullis_sdk::testing::vectors::{Difference, Expected, Found};
use serde_json::Value;

pub use coverage::Coverage;
pub use read::{VectorsFault, given, ordinary, vectors};
pub use words::requirement;

use super::workbench::Workbench;
use crate::engine::{AdmissionError, Failure, Module, Ran, SettingsFault, Trace};
use crate::facts::Facts;
use crate::lists::Lists;

/// What a module is asked about.
#[derive(Clone, Debug)]
pub struct Given {
    /// The facts.
    pub facts: Arc<Facts>,
    /// The policy's settings: an object.
    pub settings: Value,
    /// The tenant's lists.
    pub lists: Arc<Lists>,
}

/// One case of a file of vectors.
#[derive(Clone, Debug)]
pub struct Case {
    /// The file.
    pub file: PathBuf,
    /// The line on which it begins, from one.
    pub line: usize,
    /// Its name.
    pub name: String,
    /// What the module is asked about.
    pub given: Given,
    /// What is expected of it.
    pub expected: Expected,
}

/// What came of asking a module.
#[derive(Debug)]
pub struct Outcome {
    /// What it came to, and what that took.
    pub ran: Ran,
    /// What it did.
    pub trace: Trace,
    /// Why no policy can have these settings: a host would not take one, and the module
    /// was asked all the same.
    pub faults: Vec<SettingsFault>,
}

/// What came of a case.
#[derive(Debug)]
pub struct Tried {
    /// What came of it.
    pub outcome: Outcome,
    /// Where that is not what is expected; nowhere, where the case holds.
    pub differences: Vec<Difference>,
}

/// Asks one module.
pub struct Trial<'a> {
    bench: &'a Workbench,
    module: &'a Module,
    /// What was found wrong with settings already: cases have the same ones.
    checked: HashMap<String, Vec<SettingsFault>>,
}

impl<'a> Trial<'a> {
    /// Of this module.
    pub fn new(bench: &'a Workbench, module: &'a Module) -> Self {
        Self {
            bench,
            module,
            checked: HashMap::new(),
        }
    }

    /// Asks about this.
    ///
    /// # Errors
    /// When the settings cannot be held against the module's schema, which says nothing
    /// of the module.
    pub async fn ask(&mut self, given: &Given) -> Result<Outcome, AdmissionError> {
        let settings = given.settings.to_string();
        let faults = match self.checked.get(&settings) {
            Some(faults) => faults.clone(),
            None => {
                let faults = self.check(&given.settings).await?;
                self.checked.insert(settings.clone(), faults.clone());
                faults
            }
        };
        let (facts, lists) = (&given.facts, &given.lists);
        let engine = self.bench.engine();
        let (ran, trace) = engine.trace(self.module, &settings, facts, lists).await;
        Ok(Outcome { ran, trace, faults })
    }

    async fn check(&self, settings: &Value) -> Result<Vec<SettingsFault>, AdmissionError> {
        match self
            .bench
            .engine()
            .check_settings(self.module, settings)
            .await
        {
            // The module's own check breaks down: no policy with them is taken.
            Err(AdmissionError::Refused(message)) => Ok(vec![SettingsFault {
                path: String::new(),
                message,
            }]),
            checked => checked,
        }
    }

    /// Tries a case.
    ///
    /// # Errors
    /// As [`Self::ask`] has them.
    pub async fn case(&mut self, case: &Case) -> Result<Tried, AdmissionError> {
        let outcome = self.ask(&case.given).await?;
        let differences = case.expected.differences(&outcome.found());
        Ok(Tried {
            outcome,
            differences,
        })
    }
}

impl Outcome {
    /// In the words of vectors.
    pub fn found(&self) -> Found {
        match self.faults.as_slice() {
            [] => words::found(&self.ran),
            faults => words::refused(faults, &self.ran),
        }
    }

    /// The code of the failure: of the settings, or of the module; none where it answered.
    pub fn failure(&self) -> Option<&'static str> {
        let failure = self.ran.result.as_ref().err();
        match self.faults.is_empty() {
            true => failure.map(Failure::code),
            false => Some("settings"),
        }
    }
}

impl Tried {
    /// Whether it came to what is expected.
    pub fn holds(&self) -> bool {
        self.differences.is_empty()
    }
}
