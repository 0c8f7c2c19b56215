//! One run of a module: **a fresh store and instance per decision**, so that nothing
//! leaks from one message to the next.
//!
//! Fuel bounds instructions, ticks bound the time that a guest runs, a timeout the time
//! that its caller waits, [`Budget`] bounds the rest; all are set before instantiation, which runs code of the guest too.

use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;
use std::time::{Duration, Instant};

use tokio::time::sleep_until;
use wasmtime::component::{Component, HasSelf, Instance, Linker};
use wasmtime::{Engine, PoolConcurrencyLimitError, Store, Trap, UpdateDeadline};

use super::backtrace;
use super::bindings::exports::portcullis::policy::secure_receipt;
use super::bindings::{Policy, PolicyPre};
use super::budget::{BYTES_PER_CALL, Budget, HANDLES};
use super::convert;
use super::host::{Call, Question};
use super::log::kept;
use super::module::Manifest;
use super::outcome::{Answer, Failure, Ran};
use super::ticker::Ticker;
use super::trace::Trace;
use crate::digest::Digest;

/// The period of the ticker: a run that lasts longer yields its thread this often.
pub(super) const TICK: Duration = Duration::from_millis(10);

/// What the start of a module may take, in ticks. It is code of the guest that runs
/// before it can let others go first, and a busy host may take its thread away for a
/// tick or two.
const START: u32 = 3;

/// The whole time of a run in multiples of its running time: on a host where a guest
/// gets less than a tenth of a core, clients should hear 451 and come back.
const PATIENCE: u32 = 10;

/// What a panic of Rust ends in, whose text is in the log of the run.
const PANIC: &str = "it panicked or aborted (wasm `unreachable` instruction executed)";

/// A compiled and linked module.
pub(super) struct Program {
    pub(super) digest: Digest,
    pub(super) manifest: Manifest,
    pub(super) linked: Linked,
}

/// A component whose imports are resolved and whose exports are those of a policy.
pub(super) struct Linked {
    policy: PolicyPre<Call>,
    /// Where what decides is: what a decision does not call is not looked up for it.
    secure_receipt: secure_receipt::GuestIndices,
    ticker: Ticker,
}

/// Limits of one run.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    pub(super) fuel: u64,
    pub(super) deadline: Duration,
    pub(super) memory: usize,
}

impl Linked {
    /// Links a component; the error says which import or export does not fit.
    pub(super) fn new(component: &Component, ticker: Ticker) -> wasmtime::Result<Self> {
        let linker = Self::linker(component.engine())?;
        let policy = PolicyPre::new(linker.instantiate_pre(component)?)?;
        Ok(Self {
            secure_receipt: secure_receipt::GuestIndices::new(policy.instance_pre())?,
            policy,
            ticker,
        })
    }

    /// All that this host serves.
    pub(super) fn linker(engine: &Engine) -> wasmtime::Result<Linker<Call>> {
        let mut linker = Linker::new(engine);
        Policy::add_to_linker::<_, HasSelf<Call>>(&mut linker, |call| call)?;
        Ok(linker)
    }

    /// Asks for a decision.
    pub(super) async fn decide(&self, settings: &str, question: Question, limits: Limits) -> Ran {
        let started = Instant::now();
        let store = self.store(Some(question), limits);
        self.run(started, store, settings, limits).await.0
    }

    /// The same, and what it did.
    pub(super) async fn trace(
        &self,
        settings: &str,
        question: Question,
        limits: Limits,
    ) -> (Ran, Trace) {
        let started = Instant::now();
        let mut store = self.store(Some(question), limits);
        store.data_mut().trace = Some(Vec::new());
        self.run(started, store, settings, limits).await
    }

    async fn run(
        &self,
        started: Instant,
        mut store: Store<Call>,
        settings: &str,
        limits: Limits,
    ) -> (Ran, Trace) {
        let result = in_time(started, limits, self.ask(&mut store, settings, limits)).await;
        let left = store.get_fuel().unwrap_or(limits.fuel);
        let call = store.into_data();
        let (log, log_dropped) = call.log.finish();
        let ran = Ran {
            result,
            fuel: limits.fuel.saturating_sub(left),
            elapsed: started.elapsed(),
            reads: call.reads,
            log,
            log_dropped,
        };
        let trace = Trace {
            events: call.trace.unwrap_or_default(),
            memory: call.budget.held(),
        };
        (ran, trace)
    }

    /// Asks what the module says of itself.
    pub(super) async fn describe(&self, limits: Limits) -> Result<Manifest, Failure> {
        let mut store = self.store(None, limits);
        let policy = self.policy(&mut store, limits)?;
        let about = policy.portcullis_policy_about();
        let described = about.call_describe(&mut store).await;
        let manifest = described.map_err(|error| explained(error, limits, &store))?;
        Ok(convert::manifest(manifest))
    }

    /// Asks the module what is wrong with these settings.
    pub(super) async fn check(
        &self,
        settings: &str,
        limits: Limits,
    ) -> Result<Vec<String>, Failure> {
        let started = Instant::now();
        let mut store = self.store(None, limits);
        let checked = async {
            let policy = self.policy(&mut store, limits)?;
            let about = policy.portcullis_policy_about();
            let checked = about.call_check_settings(&mut store, settings).await;
            checked.map_err(|error| explained(error, limits, &store))
        };
        Ok(in_time(started, limits, checked)
            .await?
            .err()
            .unwrap_or_default())
    }

    async fn ask(
        &self,
        store: &mut Store<Call>,
        settings: &str,
        limits: Limits,
    ) -> Result<Answer, Failure> {
        let policy = self.decider(store, limits)?;
        Self::answer(&policy, store, settings, limits).await
    }

    /// Asks an instance.
    pub(super) async fn answer(
        policy: &secure_receipt::Guest,
        store: &mut Store<Call>,
        settings: &str,
        limits: Limits,
    ) -> Result<Answer, Failure> {
        let answered = policy
            .call_decide(&mut *store, Call::message(), settings)
            .await;
        match answered.map_err(|error| failure(error, limits))? {
            Ok(answer) => convert::answer(&answer, store.data_mut()),
            Err(text) => Err(Failure::Error(kept(&text))),
        }
    }

    /// An instance, of which only what decides is looked up.
    pub(super) fn decider(
        &self,
        store: &mut Store<Call>,
        limits: Limits,
    ) -> Result<secure_receipt::Guest, Failure> {
        let instance = self.instance(store, limits)?;
        let decider = self.secure_receipt.load(&mut *store, &instance);
        decider.map_err(|error| host_failure(&error))
    }

    /// Holds the thread, since a stack of its own costs more than making an instance:
    /// what runs of the guest is its start, which modules in Rust do not have.
    fn instance(&self, store: &mut Store<Call>, limits: Limits) -> Result<Instance, Failure> {
        store.data_mut().starting = Some(START);
        let instance = self.policy.instance_pre().instantiate(&mut *store);
        store.data_mut().starting = None;
        let limits = Limits {
            deadline: TICK * START,
            ..limits
        };
        instance.map_err(|error| not_instantiated(error, limits))
    }

    /// An instance with all that it exports.
    fn policy(&self, store: &mut Store<Call>, limits: Limits) -> Result<Policy, Failure> {
        let instance = self.instance(store, limits)?;
        let policy = Policy::new(&mut *store, &instance);
        policy.map_err(|error| host_failure(&error))
    }

    pub(super) fn call(question: Option<Question>, limits: Limits) -> Call {
        let ticks = limits.deadline.as_millis() / TICK.as_millis();
        Call::new(
            question,
            Budget::new(limits.memory),
            u32::try_from(ticks).unwrap_or(u32::MAX),
        )
    }

    pub(super) fn store(&self, question: Option<Question>, limits: Limits) -> Store<Call> {
        let mut call = Self::call(question, limits);
        call.running = Some(self.ticker.run());
        let mut store = Store::new(self.policy.engine(), call);
        store.limiter(|call| &mut call.budget);
        // An engine without fuel is a fault of `tuning`; the run then ends as out of it.
        let _ = store.set_fuel(limits.fuel);
        store.set_hostcall_fuel(BYTES_PER_CALL);
        store.set_max_component_handles(HANDLES);
        store.set_epoch_deadline(1);
        store.epoch_deadline_callback(|mut context| {
            let call = context.data_mut();
            let holds_its_thread = call.starting.is_some();
            let ticks = call.starting.as_mut().unwrap_or(&mut call.ticks);
            match ticks.checked_sub(1) {
                Some(left) => *ticks = left,
                None => return Ok(UpdateDeadline::Interrupt),
            }
            if holds_its_thread {
                return Ok(UpdateDeadline::Continue(1));
            }
            let others_first = Box::pin(tokio::task::yield_now());
            Ok(UpdateDeadline::YieldCustom(1, others_first))
        });
        store
    }
}

/// What goes wrong here without the guest's doing is the host's.
fn not_instantiated(error: wasmtime::Error, limits: Limits) -> Failure {
    if error.is::<Trap>() || error.is::<Failure>() {
        failure(error, limits)
    } else {
        host_failure(&error)
    }
}

/// The same where there is no receipt for the log to stand in: a trap says nothing, and
/// the text of the panic before it does.
fn explained(error: wasmtime::Error, limits: Limits, store: &Store<Call>) -> Failure {
    match (failure(error, limits), store.data().log.last_words()) {
        (Failure::Trap(trap), Some(words)) => Failure::Trap(kept(&format!("{trap}: {words}"))),
        (failure, _) => failure,
    }
}

/// What ended a guest, in the administrator's words.
fn failure(error: wasmtime::Error, limits: Limits) -> Failure {
    let place = backtrace::place(&error);
    match error.downcast_ref::<Trap>() {
        Some(Trap::OutOfFuel) => {
            let limit = limits.fuel;
            return Failure::OutOfFuel { limit, place };
        }
        Some(Trap::Interrupt) => {
            let limit = limits.deadline;
            return Failure::Deadline { limit, place };
        }
        Some(Trap::UnreachableCodeReached) => return trapped(PANIC, &place),
        Some(trap) => return trapped(&trap.to_string(), &place),
        None => {}
    }
    match error.downcast::<Failure>() {
        Ok(failure) => failure.at(place),
        Err(error) if error.is::<PoolConcurrencyLimitError>() => host_failure(&error),
        // Without the backtrace, which stands before it in lines.
        Err(error) => untyped(&error.root_cause().to_string(), &place),
    }
}

/// What broke down, in wasmtime's words, and where.
fn trapped(what: &str, place: &str) -> Failure {
    let what = what.trim_start_matches("wasm trap: ");
    Failure::Trap(kept(&format!("{what}{place}")))
}

/// wasmtime keeps the types of these to itself: two limits, and what breaks the rules
/// of the component model.
fn untyped(text: &str, place: &str) -> Failure {
    if text.contains("fuel allocated for hostcalls") {
        Failure::TooMuch(format!("over {BYTES_PER_CALL} bytes in one call"))
    } else if text.contains("store handle limit exceeded") {
        Failure::TooMuch(format!("more than {HANDLES} handles at one time"))
    } else {
        let rest = "that is not of the interface; build it with portcullis-sdk or wit-bindgen";
        trapped(&format!("{text}: {rest}"), place)
    }
}

fn host_failure(error: &wasmtime::Error) -> Failure {
    Failure::Host(kept(&format!("{error:#}")))
}

/// Bounds the time from question to answer, of which a busy host may give a guest
/// little: its ticks count only while it runs. Nearly every run ends before it yields
/// for the first time, and needs no timer.
async fn in_time<T>(
    started: Instant,
    limits: Limits,
    run: impl Future<Output = Result<T, Failure>>,
) -> Result<T, Failure> {
    let limit = limits.deadline.saturating_mul(PATIENCE);
    let mut run = pin!(run);
    let mut late = None;
    poll_fn(|context| {
        if let Poll::Ready(done) = run.as_mut().poll(context) {
            return Poll::Ready(done);
        }
        let late = late.get_or_insert_with(|| Box::pin(sleep_until((started + limit).into())));
        let overdue = late.as_mut().poll(context);
        overdue.map(|()| Err(Failure::Overdue { limit }))
    })
    .await
}
