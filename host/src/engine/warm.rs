//! An instance that is asked again and again: the floor of what a decision can cost, for
//! the benchmark.
//!
//! **Never on the way of mail**, where each decision has an instance of its own.

use std::sync::Arc;

use wasmtime::Store;

use super::bindings::exports::portcullis::policy::secure_receipt;
use super::host::{Call, Question};
use super::outcome::{Answer, Failure};
use super::run::{Limits, Linked};
use super::{Engine, Module};
use crate::facts::Facts;
use crate::lists::Lists;

/// An instance that was made before it is asked.
pub struct Warm {
    store: Store<Call>,
    policy: secure_receipt::Guest,
    limits: Limits,
}

impl Warm {
    /// Makes one.
    ///
    /// # Errors
    /// What keeps the module from being instantiated.
    pub fn new(engine: &Engine, module: &Module) -> Result<Self, Failure> {
        let (linked, limits) = (&module.program.linked, engine.limits());
        let mut store = linked.store(None, limits);
        let policy = linked.decider(&mut store, limits)?;
        Ok(Self {
            store,
            policy,
            limits,
        })
    }

    /// Asks about one recipient.
    ///
    /// # Errors
    /// Why there is no answer.
    pub async fn decide(
        &mut self,
        settings: &str,
        facts: &Arc<Facts>,
        lists: &Arc<Lists>,
    ) -> Result<Answer, Failure> {
        let question = Question {
            facts: Arc::clone(facts),
            lists: Arc::clone(lists),
        };
        let running = self.store.data_mut().running.take();
        *self.store.data_mut() = Linked::call(Some(question), self.limits);
        self.store.data_mut().running = running;
        // As for a store of its own.
        let _ = self.store.set_fuel(self.limits.fuel);
        Linked::answer(&self.policy, &mut self.store, settings, self.limits).await
    }
}
