//! Candidates of modules, and what they came to.

use serde::Serialize;
use sqlx::Connection as _;
use utoipa::ToSchema;

use super::error::Failure;
use super::shadow_columns::{NOT_RUN, SENDERS};
use super::sqlite::{self, Connection, shadow_rows};
use super::tokens::now;
use super::{Store, StoreError};
use crate::digest::Digest;
use crate::facts::{ReceiptId, TenantId};

/// Most samples that are shown.
const SHOWN: i64 = 200;

/// What a module's candidate came to, or the one that was tried last.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = Shadow)]
pub struct KeptShadow {
    /// The revision that is tried; null where none is.
    pub revision: Option<i64>,
    /// SHA-256 of its bytes.
    pub digest: Option<String>,
    /// Since when, in seconds since 1970.
    pub since: Option<i64>,
    /// Decisions about which it was asked.
    pub decisions: i64,
    /// How many of them were the same to the last requirement.
    pub agree: i64,
    /// How many were not.
    pub differ: i64,
    /// Decisions about which it was not asked: there was no room, or no instance to spare.
    pub not_run: i64,
    /// By pair of decisions, the most frequent first.
    pub pairs: Vec<ShadowPair>,
    /// Domains of senders whose mail would have had another verdict, those with the most
    /// mail first.
    pub senders: Vec<ShadowSender>,
    /// Whether these are all; beyond five thousand they are only counted in the pairs.
    pub senders_complete: bool,
    /// Receipts of some decisions that differ, the newest first.
    pub samples: Vec<ShadowSample>,
}

/// A decision in words.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct ShadowSide {
    /// `default`, `opportunistic`, `enforced` with the kinds of its requirements, or
    /// `failed` with the code of the failure.
    #[schema(example = "enforced (within)")]
    pub decision: String,
    /// `accepted`, or the word of the refusal, such as `plaintext`.
    #[schema(example = "plaintext")]
    pub verdict: String,
}

/// How often two revisions decided so.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct ShadowPair {
    /// SHA-256 of the revision that is tried.
    pub candidate: String,
    /// SHA-256 of the one that decided.
    pub active: String,
    /// What was decided.
    pub was: ShadowSide,
    /// What would have been.
    pub would: ShadowSide,
    /// Whether the two are the same to the last requirement.
    pub agrees: bool,
    /// How often.
    pub decisions: i64,
}

/// A sender whose mail would have had another verdict.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct ShadowSender {
    /// Domain of the envelope sender; empty for the null sender.
    pub domain: String,
    /// The verdict that it had.
    #[schema(example = "accepted")]
    pub was: String,
    /// The one that it would have had.
    #[schema(example = "plaintext")]
    pub would: String,
    /// How often.
    pub decisions: i64,
}

/// A decision that differs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct ShadowSample {
    /// Id of the receipt, which has the candidate's answer.
    pub receipt: String,
    /// `recipient` or `content`: when it was decided.
    pub stage: String,
    /// What was decided.
    pub was: ShadowSide,
    /// What would have been.
    pub would: ShadowSide,
    /// Why, in the candidate's words.
    pub reason: String,
}

/// What a candidate would have decided about a receipt.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct ShadowAnswer {
    /// Of which module.
    pub module: String,
    /// When it was decided: `recipient` or `content`.
    pub stage: String,
    /// The answer, as that of a policy in monitor mode.
    #[schema(value_type = Object)]
    pub answer: serde_json::Value,
}

impl Store {
    /// Every candidate: tenant, module and digest.
    ///
    /// # Errors
    /// When they cannot be read.
    pub async fn shadows(&self) -> Result<Vec<(TenantId, String, Digest)>, StoreError> {
        let mut connection = self.reader().await?;
        let rows = self.named(shadow_rows::all(&mut connection).await)?;
        let read = rows.into_iter().map(|(tenant, module, digest)| {
            let id: Result<TenantId, _> = tenant.parse();
            let id = id.map_err(|_| Failure::damaged("a tenant's id", &tenant))?;
            let read: Result<Digest, _> = digest.parse();
            let read = read.map_err(|_| Failure::damaged("a digest", &digest))?;
            Ok::<_, Failure>((id, module, read))
        });
        self.named(read.collect::<Result<_, Failure>>())
    }

    /// What the candidate of a module came to, and which revision that is; none where there
    /// is no such module.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn shadow(
        &self,
        tenant: &TenantId,
        module: &str,
    ) -> Result<Option<(i64, KeptShadow)>, StoreError> {
        let mut connection = self.reader().await?;
        let read = async {
            // All of it at one moment.
            let mut transaction = connection.begin().await?;
            shadow(&mut transaction, tenant.as_str(), module).await
        };
        self.named(read.await)
    }

    /// Begins to try a revision of a module beside the active one, or none any more. False
    /// where there is no such module. `who` is for the audit.
    ///
    /// # Errors
    /// When it cannot be written.
    pub async fn set_shadow(
        &self,
        tenant: &TenantId,
        module: &str,
        number: Option<i64>,
        who: &str,
    ) -> Result<bool, StoreError> {
        let mut connection = self.reader().await?;
        let write = async {
            let mut transaction = connection.begin_with(sqlite::BEGIN).await?;
            let c = &mut *transaction;
            if !shadow_rows::set(c, tenant, module, number, who, now()).await? {
                return Ok(false);
            }
            transaction.commit().await?;
            Ok(true)
        };
        let written: Result<bool, Failure> = write.await;
        self.settled(connection, written)
    }

    /// What candidates would have decided about a receipt, where that was kept.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn shadows_of(&self, receipt: ReceiptId) -> Result<Vec<ShadowAnswer>, StoreError> {
        let mut connection = self.reader().await?;
        let rows = shadow_rows::of_receipt(&mut connection, &receipt.to_string()).await;
        let answer = |(module, stage, answer): (String, String, String)| {
            Ok::<_, Failure>(ShadowAnswer {
                answer: read(&answer)?,
                module,
                stage,
            })
        };
        let answers = self.named(rows)?.into_iter().map(answer);
        self.named(answers.collect::<Result<_, Failure>>())
    }
}

async fn shadow(
    c: &mut Connection,
    tenant: &str,
    module: &str,
) -> Result<Option<(i64, KeptShadow)>, Failure> {
    let Some((.., revision)) = sqlite::listing::module(c, tenant, module).await? else {
        return Ok(None);
    };
    let candidate = shadow_rows::one(c, tenant, module).await?;
    let pairs = shadow_rows::pairs(c, tenant, module).await?;
    let senders = shadow_rows::senders(c, tenant, module).await?;
    let samples = shadow_rows::samples(c, tenant, module, SHOWN).await?;
    let samples: Result<_, Failure> = samples.into_iter().map(sample).collect();
    let senders: Vec<_> = senders.into_iter().map(sender).collect();
    let mut kept = KeptShadow {
        revision: candidate.as_ref().map(|(number, ..)| *number),
        digest: candidate.as_ref().map(|(_, digest, _)| digest.clone()),
        since: candidate.map(|(.., since)| since),
        decisions: 0,
        agree: 0,
        differ: 0,
        not_run: 0,
        pairs: Vec::new(),
        senders_complete: i64::try_from(senders.len()).is_ok_and(|known| known < SENDERS),
        senders,
        samples: samples?,
    };
    pairs.into_iter().for_each(|row| kept.take(row));
    Ok(Some((revision, kept)))
}

impl KeptShadow {
    fn take(&mut self, row: shadow_rows::PairRow) {
        let (candidate, active, was, was_verdict, would, would_verdict, agrees, decisions) = row;
        if would == NOT_RUN {
            self.not_run += decisions;
            return;
        }
        let agrees = agrees != 0;
        self.decisions += decisions;
        match agrees {
            true => self.agree += decisions,
            false => self.differ += decisions,
        }
        self.pairs.push(ShadowPair {
            candidate,
            active,
            was: side(was, was_verdict),
            would: side(would, would_verdict),
            agrees,
            decisions,
        });
    }
}

fn side(decision: String, verdict: String) -> ShadowSide {
    ShadowSide { decision, verdict }
}

fn sender((domain, was, would, decisions): shadow_rows::SenderRow) -> ShadowSender {
    ShadowSender {
        domain,
        was,
        would,
        decisions,
    }
}

fn sample(row: shadow_rows::SampleRow) -> Result<ShadowSample, Failure> {
    let (receipt, stage, was, was_verdict, would, would_verdict, answer) = row;
    let reason = read(&answer)?["reason"]
        .as_str()
        .unwrap_or_default()
        .to_owned();
    Ok(ShadowSample {
        receipt,
        stage,
        was: side(was, was_verdict),
        would: side(would, would_verdict),
        reason,
    })
}

fn read(answer: &str) -> Result<serde_json::Value, Failure> {
    serde_json::from_str(answer).map_err(|_| Failure::damaged("a candidate's answer", answer))
}
