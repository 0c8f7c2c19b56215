//! The functions that a guest may call: facts, lists, requirements, log.
//!
//! **A policy is a function of its facts, settings and lists**: there is nothing else
//! here, and nothing here reads a clock, a file or a socket. There is one message, one
//! TLS session and one certificate in a decision, so their handles carry no data.

mod facts;

use std::sync::Arc;

use serde_json::Value;
use wasmtime::Result;
use wasmtime::component::Resource;

use super::bindings::handles::{Message, RequirementSet};
use super::bindings::portcullis::policy::{demands, lists, log, types};
use super::budget::Budget;
use super::convert;
use super::log::Log;
use super::outcome::{Failure, LogLine};
use super::ticker::Running;
use super::trace::{Asked, Event, Listed};
use crate::decision::{Requirement, Requirements};
use crate::facts::{Fact, FactSet, Facts};
use crate::lists::Lists;

/// What one call of a guest has at hand: the data of its store.
pub(super) struct Call {
    question: Option<Question>,
    sets: Vec<Requirements>,
    pub(super) budget: Budget,
    pub(super) log: Log,
    /// Ticks it may still run.
    pub(super) ticks: u32,
    /// Ticks that its start may still take, while it is instantiated.
    pub(super) starting: Option<u32>,
    /// What it has read of the facts that may be missing.
    pub(super) reads: FactSet,
    /// What it does, where somebody wants to see that.
    pub(super) trace: Option<Vec<Event>>,
    /// Its time is measured.
    pub(super) running: Option<Running>,
}

/// What is asked about; none when a module is asked about itself.
#[derive(Clone)]
pub(super) struct Question {
    pub(super) facts: Arc<Facts>,
    pub(super) lists: Arc<Lists>,
}

impl Call {
    pub(super) fn new(question: Option<Question>, budget: Budget, ticks: u32) -> Self {
        Self {
            question,
            sets: Vec::new(),
            budget,
            log: Log::default(),
            ticks,
            starting: None,
            reads: FactSet::default(),
            trace: None,
            running: None,
        }
    }

    /// The handle that `decide` gets.
    pub(super) fn message() -> Resource<Message> {
        Resource::new_borrow(0)
    }

    /// The requirements that a guest returned.
    pub(super) fn take_set(&mut self, set: &Resource<RequirementSet>) -> Option<Requirements> {
        let place = usize::try_from(set.rep()).ok()?;
        self.sets.get_mut(place).map(std::mem::take)
    }

    /// Tells a fact of the message, and counts it.
    fn tell<'a, T: Told>(
        &mut self,
        asked: impl Into<Asked<'a>>,
        read: impl FnOnce(&Facts) -> T,
    ) -> Result<T> {
        self.tell_some(asked, |facts| Ok(read(facts)))
    }

    /// The same of a fact that may be missing where this is asked again.
    fn tell_noted<'a, T: Told>(
        &mut self,
        asked: impl Into<Asked<'a>>,
        fact: Fact,
        read: impl FnOnce(&Facts) -> T,
    ) -> Result<T> {
        self.reads.insert(fact);
        self.tell(asked, read)
    }

    /// Tells a fact of the TLS session.
    fn tell_tls<T: Told>(
        &mut self,
        asked: &'static str,
        read: impl FnOnce(&crate::facts::Tls) -> T,
    ) -> Result<T> {
        self.tell_some(asked, |facts| match facts.connection.secured() {
            Some(tls) => Ok(read(tls)),
            None => Err(Failure::Host("a handle to no TLS session".to_owned())),
        })
    }

    /// Tells a fact of the client's certificate.
    fn tell_certificate<T: Told>(
        &mut self,
        asked: &'static str,
        read: impl FnOnce(&crate::facts::Certificate) -> T,
    ) -> Result<T> {
        self.tell_some(asked, |facts| match facts.certificate() {
            Some(certificate) => Ok(read(certificate)),
            None => Err(Failure::Host("a handle to no certificate".to_owned())),
        })
    }

    fn tell_some<'a, T: Told>(
        &mut self,
        asked: impl Into<Asked<'a>>,
        read: impl FnOnce(&Facts) -> Result<T, Failure>,
    ) -> Result<T> {
        self.budget.fact().map_err(ended)?;
        let Some(question) = &self.question else {
            let what = "facts outside of a decision".to_owned();
            return Err(ended(Failure::TooMuch(what)));
        };
        let told = read(&question.facts).map_err(ended)?;
        self.budget.told(told.bytes()).map_err(ended)?;
        if let Some(trace) = &mut self.trace {
            trace.push(Event::fact(&asked.into(), told.shown()));
        }
        Ok(told)
    }

    /// Adds a requirement to a set.
    fn require(&mut self, set: &Resource<RequirementSet>, requirement: Requirement) -> Result<()> {
        self.budget.requirement().map_err(ended)?;
        if let Some(trace) = &mut self.trace {
            trace.push(Event::Requirement {
                set: set.rep(),
                requirement: requirement.clone(),
            });
        }
        let place = usize::try_from(set.rep()).ok();
        let set = place.and_then(|place| self.sets.get_mut(place));
        set.ok_or_else(|| ended(Failure::Host("a handle to no requirements".to_owned())))?
            .insert(requirement);
        Ok(())
    }

    fn text(&mut self, text: &str) -> Result<()> {
        self.budget.text(text).map_err(ended)
    }

    fn lookup(&mut self, name: &str, key: &str) -> Result<Option<&str>> {
        self.budget.lookup().map_err(ended)?;
        self.text(name)?;
        self.text(key)?;
        let Some(question) = &self.question else {
            return Ok(None);
        };
        let list = question.lists.get(name);
        if let Some(trace) = &mut self.trace {
            let found = list.map(|list| list.get(key).map(str::to_owned));
            let answer = match found {
                Some(Some(value)) => Listed::Found(value),
                Some(None) => Listed::Absent,
                None => Listed::NoList,
            };
            trace.push(Event::list(name, key, answer));
        }
        match list {
            Some(list) => Ok(list.get(key)),
            None => Err(ended(Failure::UnknownList(super::log::kept(name)))),
        }
    }
}

/// What a guest is told, which costs the host the text in it.
trait Told {
    /// How much text it is.
    fn bytes(&self) -> usize {
        0
    }

    /// For a trace.
    fn shown(&self) -> Value;
}

/// What has no text in it.
macro_rules! told {
    ($($plain:ty),*) => {
        $(impl Told for $plain {
            fn shown(&self) -> Value {
                Value::from(*self)
            }
        })*
    };
}

told!(bool, u16, u32, u64, i64);

impl<R> Told for Resource<R> {
    fn shown(&self) -> Value {
        Value::from("present")
    }
}

impl Told for String {
    fn bytes(&self) -> usize {
        self.len()
    }

    fn shown(&self) -> Value {
        Value::from(self.as_str())
    }
}

impl<T: Told> Told for Option<T> {
    fn bytes(&self) -> usize {
        self.as_ref().map_or(0, Told::bytes)
    }

    fn shown(&self) -> Value {
        self.as_ref().map_or(Value::Null, Told::shown)
    }
}

impl<T: Told> Told for Vec<T> {
    fn bytes(&self) -> usize {
        self.iter().map(Told::bytes).sum()
    }

    fn shown(&self) -> Value {
        self.iter().map(Told::shown).collect()
    }
}

/// Ends the guest for this reason.
fn ended(failure: Failure) -> wasmtime::Error {
    wasmtime::Error::new(failure)
}

impl types::Host for Call {}

impl demands::Host for Call {}

impl demands::HostRequirements for Call {
    fn new(&mut self) -> Result<Resource<RequirementSet>> {
        self.budget.set().map_err(ended)?;
        let place = u32::try_from(self.sets.len())?;
        self.sets.push(Requirements::default());
        Ok(Resource::new_own(place))
    }

    fn at_least(&mut self, set: Resource<RequirementSet>, version: u16) -> Result<()> {
        self.require(&set, convert::at_least(version))
    }

    fn post_quantum_key_exchange(&mut self, set: Resource<RequirementSet>) -> Result<()> {
        self.require(&set, Requirement::PostQuantum)
    }

    fn certificate_presented(&mut self, set: Resource<RequirementSet>) -> Result<()> {
        self.require(&set, Requirement::Presented)
    }

    fn certificate_trusted(&mut self, set: Resource<RequirementSet>) -> Result<()> {
        self.require(&set, Requirement::Trusted)
    }

    fn certificate_covers(&mut self, set: Resource<RequirementSet>, name: String) -> Result<()> {
        self.text(&name)?;
        self.require(&set, convert::covers(&name).map_err(ended)?)
    }

    fn certificate_within(&mut self, set: Resource<RequirementSet>, domain: String) -> Result<()> {
        self.text(&domain)?;
        self.require(&set, convert::within(&domain).map_err(ended)?)
    }

    fn certificate_pinned(
        &mut self,
        set: Resource<RequirementSet>,
        pins: Vec<String>,
    ) -> Result<()> {
        for pin in &pins {
            self.budget.pin().map_err(ended)?;
            self.text(pin)?;
        }
        self.require(&set, convert::pinned(&pins).map_err(ended)?)
    }

    fn drop(&mut self, set: Resource<RequirementSet>) -> Result<()> {
        self.take_set(&set);
        Ok(())
    }
}

impl lists::Host for Call {
    fn contains(&mut self, name: String, key: String) -> Result<bool> {
        Ok(Call::lookup(self, &name, &key)?.is_some())
    }

    fn lookup(&mut self, name: String, key: String) -> Result<Option<String>> {
        let value = Call::lookup(self, &name, &key)?.map(str::to_owned);
        self.budget.told(value.bytes()).map_err(ended)?;
        Ok(value)
    }
}

impl log::Host for Call {
    fn write(&mut self, level: log::Level, text: String) -> Result<()> {
        self.text(&text)?;
        let level = convert::level(level);
        if let Some(trace) = &mut self.trace {
            let text = super::log::kept(&text);
            trace.push(Event::Log(LogLine { level, text }));
        }
        self.log.write(level, &text);
        Ok(())
    }
}
