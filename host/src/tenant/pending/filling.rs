//! Filling cells: the task that compiles what waits, two at a time as at a load.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::{Check, Found, Pending, Queue};
use crate::config::{Fault, ModuleContent};
use crate::digest::Digest;
use crate::engine::{AdmissionError, Engine, Module};
use crate::store::{Checked, Store};
use crate::tenant::Refusal;

/// After the host itself was not able to look at a module.
const AGAIN: Duration = Duration::from_secs(3);

/// In whose name the store notes what modules said of settings, which is in no audit.
const NOBODY: &str = "";

/// The task that fills cells, until this is stopped or dropped.
#[derive(Debug)]
pub struct Filling {
    queue: Arc<Queue>,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Filling {
    /// Begins.
    pub fn start(queue: Arc<Queue>, engine: Arc<Engine>, store: Store) -> Self {
        let stop = CancellationToken::new();
        let stopped = stop.clone();
        let cells = Arc::clone(&queue);
        let task = tokio::spawn(async move {
            let worker = || fill_all(&queue, &engine, &store);
            tokio::select! {
                () = stopped.cancelled() => {}
                // Two, so that the others have a turn while one tenant's takes long.
                ((), ()) = async { tokio::join!(worker(), worker()) } => {}
            }
        });
        Self {
            queue: cells,
            stop,
            task,
        }
    }

    /// Whoever waits for a module waits no longer.
    pub fn close(&self) {
        self.queue.close();
    }

    /// Ends it. When this returns nothing is compiled any more.
    pub async fn stop(mut self) {
        self.stop.cancel();
        // It ends by itself, or it panicked: over it is.
        let _ = (&mut self.task).await;
    }
}

impl Drop for Filling {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn fill_all(queue: &Queue, engine: &Engine, store: &Store) {
    loop {
        let turn = queue.next().await;
        let cell = Arc::clone(&turn.cell);
        match cell.fill(engine, store).await {
            Ok(()) => {
                drop(turn);
                if queue.is_idle() {
                    tracing::info!("all modules are compiled that were not at the start");
                }
            }
            Err(error) => {
                let (tenant, digest) = (&cell.tenant, cell.digest);
                tracing::warn!(tenant.id = %tenant, module.name = %cell.name, module.digest = %digest, %error, "a module could not be compiled just now, and will be again");
                turn.put_back();
                sleep(AGAIN).await;
            }
        }
    }
}

impl Pending {
    /// Fills it, and says in the log what is refused.
    ///
    /// # Errors
    /// That the host was not able to just now.
    async fn fill(&self, engine: &Engine, store: &Store) -> Result<(), AdmissionError> {
        let found = match self.admit(engine, store).await {
            Ok(module) => self.check(engine, store, module).await?,
            Err(error) if error.is_passing() => return Err(error),
            Err(refused) => Found {
                module: None,
                unfit: HashSet::new(),
                refused: vec![self.refusal(self.at.fault(refused))],
            },
        };
        found.refused.iter().for_each(Refusal::log);
        self.settle(found);
        Ok(())
    }

    async fn admit(&self, engine: &Engine, store: &Store) -> Result<Arc<Module>, AdmissionError> {
        // Another tenant's may have had the same bytes.
        if let Some(known) = engine.admit_known(&self.tenant, self.digest).await {
            return Ok(known);
        }
        let content = self.work().content.clone();
        let bytes = match content {
            ModuleContent::Given { bytes, .. } => bytes,
            ModuleContent::Stored(digest) => {
                let bytes = store.module(digest).await;
                bytes.map_err(|error| AdmissionError::Internal(error.into()))?
            }
        };
        engine.admit(&self.tenant, &bytes).await
    }

    async fn check(
        &self,
        engine: &Engine,
        store: &Store,
        module: Arc<Module>,
    ) -> Result<Found, AdmissionError> {
        let checks = Arc::clone(&self.work().checks);
        let keys: Vec<(Digest, Digest)> = checks.iter().map(|c| (self.digest, c.digest)).collect();
        let judgement = engine.judgement();
        // What cannot be read is not known.
        let known = store.checked(&keys, judgement).await.unwrap_or_default();
        let (mut fit, mut unfit, mut refused) = (Vec::new(), HashSet::new(), Vec::new());
        for (Check { digest, settings }, key) in checks.iter().zip(keys) {
            if known.contains(&key) {
                continue;
            }
            match engine.check_settings(&module, &settings.value).await {
                Ok(faults) if faults.is_empty() => fit.push(key),
                Ok(faults) => {
                    unfit.insert(*digest);
                    let faults = faults.iter().map(|f| settings.fault(&f.path, &f.message));
                    refused.extend(faults.map(|fault| Refusal {
                        is_of_settings: true,
                        ..self.refusal(fault)
                    }));
                }
                Err(error) if error.is_passing() => return Err(error),
                // What cannot be asked about its settings is not to be asked about mail.
                Err(error) => {
                    return Ok(Found {
                        module: None,
                        unfit: HashSet::new(),
                        refused: vec![self.refusal(settings.at.fault(error))],
                    });
                }
            }
        }
        let checked = Checked {
            engine: judgement,
            pairs: fit,
        };
        if let Err(error) = store.carry_out(&[], &checked, NOBODY).await {
            tracing::debug!(%error, "settings are checked again at the next start");
        }
        Ok(Found {
            module: Some(module),
            unfit,
            refused,
        })
    }

    fn refusal(&self, fault: Fault) -> Refusal {
        Refusal {
            fault,
            tenant: self.tenant.clone(),
            module: self.name.clone(),
            digest: self.digest,
            is_passing: false,
            is_of_settings: false,
        }
    }
}
