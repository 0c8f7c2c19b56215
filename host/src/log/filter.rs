//! Which lines are written; it may change while the log runs.
//!
//! The library's own means for that take a lock whenever a span is entered, which a session
//! does at each step. What is asked here is asked once for each place in the code.

use std::sync::Arc;

use arc_swap::ArcSwap;
use tracing::level_filters::LevelFilter;
use tracing::subscriber::Interest;
use tracing::{Metadata, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::Context;

/// The filter of one log; its clones are the same one.
#[derive(Clone, Debug)]
pub(super) struct Filter(Arc<ArcSwap<Targets>>);

impl Filter {
    pub(super) fn new(targets: Targets) -> Self {
        Self(Arc::new(ArcSwap::from_pointee(targets)))
    }

    /// Filters by these from now on.
    pub(super) fn set(&self, targets: Targets) {
        self.0.store(Arc::new(targets));
        tracing::callsite::rebuild_interest_cache();
    }

    fn lets_pass(&self, metadata: &Metadata<'_>) -> bool {
        let targets = self.0.load();
        targets.would_enable(metadata.target(), metadata.level())
    }
}

impl<S: Subscriber> Layer<S> for Filter {
    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        match self.lets_pass(metadata) {
            true => Interest::always(),
            false => Interest::never(),
        }
    }

    fn enabled(&self, metadata: &Metadata<'_>, _: Context<'_, S>) -> bool {
        self.lets_pass(metadata)
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Layer::<S>::max_level_hint(&**self.0.load())
    }
}
