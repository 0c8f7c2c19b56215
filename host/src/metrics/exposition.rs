//! What is counted as text, in the OpenMetrics format, or the one before it. Every metric there is has its
//! line here, and its row in `docs/metrics.md` (a test compares the two).

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, NoLabelSet, text};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Registry;

use super::decisions::Sample;
use super::session::{ENDS, ListenerCounts};
use super::words::Words;
use super::{Histogram, Metrics, RampSample, lock};
use crate::engine::Usage;
use crate::receipt::journal::State;

/// What every name begins with.
const PREFIX: &str = "portcullis";

/// All that is told, at the moment of asking.
#[derive(Debug)]
pub(super) struct Exposition {
    pub(super) metrics: Arc<Metrics>,
    pub(super) engine: Usage,
    /// Modules that are not compiled yet.
    pub(super) pending: usize,
    pub(super) receipts: State,
    pub(super) log_lines_lost: u64,
}

impl Exposition {
    pub(super) fn into_text(self) -> Result<String, fmt::Error> {
        let mut registry = Registry::with_prefix(PREFIX);
        registry.register_collector(Box::new(self));
        let mut page = String::new();
        text::encode(&mut page, &registry)?;
        Ok(page)
    }
}

impl Collector for Exposition {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut page = Page(encoder);
        self.process(&mut page)?;
        self.sessions(&mut page)?;
        self.tls(&mut page)?;
        self.smtp(&mut page)?;
        self.decisions(&mut page)?;
        self.engine(&mut page)?;
        self.delivery(&mut page)?;
        self.receipts(&mut page)?;
        self.reloads(&mut page)?;
        self.warnings(&mut page)?;
        self.api(&mut page)
    }
}

impl Exposition {
    fn process(&self, page: &mut Page<'_>) -> fmt::Result {
        let version = [labels(["version"], [env!("CARGO_PKG_VERSION")])];
        page.gauges(
            "build_info",
            "The version that runs.",
            version.map(|l| (l, 1)),
        )?;
        let started = one(self.metrics.started);
        page.gauges("start_time_seconds", "When the host started.", started)?;
        page.counters(
            "log_lines_lost",
            "Lines of the log that standard error did not take in time.",
            one(self.log_lines_lost),
        )
    }

    fn sessions(&self, page: &mut Page<'_>) -> fmt::Result {
        let listeners: Vec<(Box<str>, Arc<ListenerCounts>)> = lock(&self.metrics.listeners)
            .iter()
            .map(|(name, counts)| (name.clone(), Arc::clone(counts)))
            .collect();
        // Before the starts: see `ListenerCounts::active`.
        let ended = listeners.iter().flat_map(|(name, counts)| {
            let ends = ENDS.iter().zip(&counts.ended);
            ends.map(move |(end, count)| {
                let labels = labels(["listener", "how"], [name, end]);
                (labels, count.load(Relaxed))
            })
        });
        page.counters("sessions_ended", "Sessions that are over.", ended)?;
        let of_each = |count: fn(&ListenerCounts) -> u64| {
            let each = listeners.iter();
            each.map(move |(name, counts)| (labels(["listener"], [&**name]), count(counts)))
        };
        page.gauges(
            "sessions_active",
            "Sessions that are not over.",
            of_each(ListenerCounts::active),
        )?;
        page.counters(
            "sessions",
            "Sessions that began.",
            of_each(|counts| counts.started.load(Relaxed)),
        )?;
        page.gauges(
            "sessions_limit",
            "Most sessions at one time, over all listeners.",
            read(&self.metrics.sessions_limit),
        )?;
        page.counters(
            "limits_hit",
            "Times that a limit turned something away.",
            words(&self.metrics.limits, ["limit"]),
        )?;
        page.counters(
            "proxy_headers_refused",
            "Connections without the PROXY header that they had to begin with.",
            words(&self.metrics.refused_headers, ["reason"]),
        )?;
        page.counters(
            "reverse_names",
            "Look-ups of clients' names, by what came of them.",
            words(&self.metrics.reverse_names, ["result"]),
        )
    }

    fn tls(&self, page: &mut Page<'_>) -> fmt::Result {
        page.counters(
            "tls_handshakes",
            "TLS handshakes that succeeded.",
            words(
                &self.metrics.handshakes,
                ["version", "key_exchange", "resumed"],
            ),
        )?;
        page.counters(
            "tls_handshake_failures",
            "TLS handshakes that failed.",
            words(&self.metrics.handshake_failures, ["reason"]),
        )?;
        let certificates = lock(&self.metrics.certificates).clone();
        page.gauges(
            "certificate_expiry_timestamp_seconds",
            "When a certificate of the host's ends.",
            certificates.iter().map(|(name, end)| {
                let end = u64::try_from(*end).unwrap_or(0);
                (labels(["certificate"], [name.as_str()]), end)
            }),
        )
    }

    fn smtp(&self, page: &mut Page<'_>) -> fmt::Result {
        let given = self.metrics.replies.0.iter().enumerate();
        let given = given.map(|(code, count)| (code, count.load(Relaxed)));
        page.counters(
            "replies",
            "Replies by code.",
            given
                .filter(|(_, count)| *count > 0)
                .map(|(code, count)| (labels(["code"], [&*code.to_string()]), count)),
        )?;
        page.counters(
            "messages_received",
            "Messages whose content was taken.",
            read(&self.metrics.messages),
        )?;
        page.counters(
            "received_bytes",
            "Octets of content that were taken.",
            read(&self.metrics.octets),
        )?;
        page.counters(
            "relaying_refused",
            "Recipients whom nobody here owns.",
            read(&self.metrics.relaying_refused),
        )
    }

    fn decisions(&self, page: &mut Page<'_>) -> fmt::Result {
        let samples = self.metrics.decisions.samples();
        self.decided(&samples, page)?;
        self.ramps(page)?;
        page.counters(
            "policy_failures",
            "Policies that gave no answer.",
            words(&self.metrics.policy_failures, ["failure"]),
        )?;
        page.counters(
            "shadow_decisions",
            "Decisions by what a candidate would have decided, or that it was not asked.",
            words(&self.metrics.shadows, ["result"]),
        )?;
        page.histograms(
            "decision_duration_seconds",
            "From the question to the verdict.",
            [
                (labels(["kind"], ["constant"]), &self.metrics.constant_time),
                (labels(["kind"], ["module"]), &self.metrics.module_time),
            ],
        )?;
        page.histograms(
            "decision_fuel",
            "Units of fuel that modules used for a decision.",
            [(Vec::new(), &self.metrics.fuel)],
        )
    }

    fn ramps(&self, page: &mut Page<'_>) -> fmt::Result {
        let ramps = lock(&self.metrics.ramps).clone();
        let of_each = |value: fn(&RampSample) -> u64| {
            ramps.iter().map(move |ramp| {
                let names = [ramp.tenant.as_str(), ramp.policy.as_str()];
                (labels(["tenant", "policy"], names), value(ramp))
            })
        };
        page.gauges(
            "ramp_share_percent",
            "Sender domains that a policy with a ramp is enforced for.",
            of_each(|ramp| ramp.percent.into()),
        )?;
        page.gauges(
            "ramp_halted",
            "Whether it was halted: 1 or 0.",
            of_each(|ramp| ramp.is_halted.into()),
        )
    }

    /// What was decided, and what policies in monitor mode would have.
    fn decided(&self, samples: &[Sample], page: &mut Page<'_>) -> fmt::Result {
        let keys = [
            "tenant",
            "policy",
            "direction",
            "stage",
            "decision",
            "verdict",
            "cause",
        ];
        let values = |s: &Sample| {
            labels(
                keys,
                [
                    &*s.tenant,
                    &*s.policy,
                    s.direction,
                    s.stage,
                    s.decision,
                    s.verdict,
                    s.cause,
                ],
            )
        };
        let in_force = samples.iter().filter(|s| s.in_force.is_none());
        page.counters(
            "decisions",
            "Recipients that were decided.",
            in_force.map(|s| (values(s), s.count)),
        )?;
        let monitored = samples.iter().filter_map(|s| {
            let in_force = labels(["in_force"], [s.in_force?]);
            Some(([values(s), in_force].concat(), s.count))
        });
        page.counters(
            "monitored_decisions",
            "Recipients that a policy in monitor mode would have decided.",
            monitored,
        )
    }

    fn engine(&self, page: &mut Page<'_>) -> fmt::Result {
        let usage = &self.engine;
        for (name, help, value) in [
            ("engine_instances", "Instances in use.", usage.instances),
            (
                "engine_instances_limit",
                "Most instances that may be in use.",
                usage.instances_limit,
            ),
            ("engine_modules", "Modules that are loaded.", usage.modules),
            (
                "engine_modules_pending",
                "Modules of tenants that are not compiled yet.",
                self.pending,
            ),
            (
                "compile_queue",
                "Jobs of the compile worker, waiting or at work.",
                usage.compile_queue,
            ),
        ] {
            page.gauges(name, help, one(value as u64))?;
        }
        page.counters(
            "engine_waits",
            "Decisions that waited for an instance.",
            one(usage.waits),
        )?;
        page.counters(
            "compiles",
            "Modules that were compiled, or not.",
            words(usage.work.results(), ["result"]),
        )?;
        page.histograms(
            "compile_duration_seconds",
            "How long compiling took, the wait for the worker included.",
            [(Vec::new(), usage.work.time())],
        )
    }

    fn delivery(&self, page: &mut Page<'_>) -> fmt::Result {
        page.counters(
            "outcomes",
            "Recipients by what became of their message.",
            words(&self.metrics.outcomes, ["outcome"]),
        )?;
        page.counters(
            "deliveries",
            "Messages by what a target did with them.",
            words(&self.metrics.deliveries, ["target", "direction", "outcome"]),
        )?;
        let times: Vec<_> = lock(&self.metrics.delivery_time)
            .iter()
            .map(|(target, time)| (*target, Arc::clone(time)))
            .collect();
        page.histograms(
            "delivery_duration_seconds",
            "How long a target took.",
            times
                .iter()
                .map(|(target, time)| (labels(["target"], [*target]), &**time)),
        )
    }

    fn receipts(&self, page: &mut Page<'_>) -> fmt::Result {
        let State {
            written,
            lost,
            write_errors,
            deferred,
            waiting,
            limit,
            ..
        } = self.receipts;
        for (name, help, value) in [
            ("receipts_written", "Events written to receipts.", written),
            ("receipts_lost", "Events that could not be written.", lost),
            (
                "receipts_write_errors",
                "Times that the store or the disk did not take receipts.",
                write_errors,
            ),
            (
                "receipts_deferred",
                "Recipients put off, since their receipts found no room.",
                deferred,
            ),
        ] {
            page.counters(name, help, one(value))?;
        }
        page.gauges(
            "receipts_waiting",
            "Events that wait to be written.",
            one(waiting),
        )?;
        page.gauges(
            "receipts_waiting_limit",
            "Most events that may wait.",
            one(limit),
        )
    }

    fn reloads(&self, page: &mut Page<'_>) -> fmt::Result {
        page.counters(
            "reloads",
            "Times that something was loaded anew.",
            words(&self.metrics.reloads, ["what", "result"]),
        )?;
        let last = lock(&self.metrics.last_reloads).clone();
        page.gauges(
            "reload_successful",
            "Whether the last reload was done (1) or refused (0).",
            last.iter()
                .map(|(what, done)| (labels(["what"], [*what]), u64::from(*done))),
        )?;
        page.gauges(
            "store_behind",
            "Whether the store lacks what the files in force say (1).",
            one(u64::from(self.metrics.store_behind.load(Relaxed))),
        )
    }

    fn warnings(&self, page: &mut Page<'_>) -> fmt::Result {
        let warnings = &self.metrics.warnings;
        let counts = warnings.samples().into_iter();
        page.gauges(
            "warnings",
            "What administrators should do something about, as it was found last.",
            counts.map(|((tenant, kind, severity), count)| {
                let keys = ["tenant", "kind", "severity"];
                (
                    labels(keys, [&*tenant, kind.as_str(), severity.as_str()]),
                    count,
                )
            }),
        )?;
        page.gauges(
            "warnings_looked_time_seconds",
            "When it was looked for warnings last.",
            warnings.looked().map(|second| (Vec::new(), second)),
        )?;
        page.counters(
            "webhook_attempts",
            "Attempts to tell a webhook of a warning.",
            words(&self.metrics.webhooks, ["result"]),
        )
    }

    fn api(&self, page: &mut Page<'_>) -> fmt::Result {
        let api = &self.metrics.api;
        let answers = api.answers().into_iter();
        page.counters(
            "admin_requests",
            "Requests to the admin API by their answers.",
            answers.map(|((method, route, status), count)| {
                let status = status.to_string();
                let keys = ["method", "route", "status"];
                (labels(keys, [method, route, &status]), count)
            }),
        )?;
        page.histograms(
            "admin_request_duration_seconds",
            "From the head of a request to the admin API to its answer.",
            [(Vec::new(), &api.time)],
        )?;
        page.histograms(
            "admin_change_duration_seconds",
            "From the request for a change to the moment when it was in force.",
            [(Vec::new(), &api.in_force)],
        )
    }
}

/// The same page in the older format of Prometheus, in which a counter's name has its
/// suffix also where it is described, and nothing marks the end.
pub(super) fn classic(page: &str) -> String {
    let mut classic = String::with_capacity(page.len());
    let mut lines = page.lines().peekable();
    while let Some(line) = lines.next() {
        let kind = match line.strip_prefix("# ") {
            None => "",
            Some("EOF") => continue,
            // The line of its type is the next, or this one.
            Some(_) => {
                let types = line.starts_with("# TYPE ").then_some(line);
                types.or(lines.peek().copied()).unwrap_or_default()
            }
        };
        if kind.ends_with(" counter") {
            let mut words = line.splitn(4, ' ');
            let mut word = || words.next().unwrap_or_default();
            let (hash, what, name, rest) = (word(), word(), word(), word());
            classic.push_str(&format!("{hash} {what} {name}_total {rest}\n"));
        } else {
            classic.push_str(line);
            classic.push('\n');
        }
    }
    classic
}

type Labels = Vec<(&'static str, String)>;

fn labels<const N: usize>(keys: [&'static str; N], values: [&str; N]) -> Labels {
    let values = values.map(str::to_owned);
    keys.into_iter().zip(values).collect()
}

/// One number without labels.
fn one(value: u64) -> [(Labels, u64); 1] {
    [(Vec::new(), value)]
}

fn read(value: &AtomicU64) -> [(Labels, u64); 1] {
    one(value.load(Relaxed))
}

fn words<const N: usize>(
    words: &Words<N>,
    keys: [&'static str; N],
) -> impl Iterator<Item = (Labels, u64)> {
    let all = words.all().into_iter();
    all.map(move |(words, count)| (labels(keys, words), count))
}

/// What is being written.
struct Page<'a>(DescriptorEncoder<'a>);

impl Page<'_> {
    /// The format adds `_total` to the name.
    fn counters(
        &mut self,
        name: &str,
        help: &str,
        samples: impl IntoIterator<Item = (Labels, u64)>,
    ) -> fmt::Result {
        let kind = MetricType::Counter;
        let mut metric = self.0.encode_descriptor(name, help, None, kind)?;
        for (labels, value) in samples {
            if labels.is_empty() {
                metric.encode_counter::<NoLabelSet, _, u64>(&value, None)?;
            } else {
                let mut labelled = metric.encode_family(&labels)?;
                labelled.encode_counter::<NoLabelSet, _, u64>(&value, None)?;
            }
        }
        Ok(())
    }

    fn gauges(
        &mut self,
        name: &str,
        help: &str,
        samples: impl IntoIterator<Item = (Labels, u64)>,
    ) -> fmt::Result {
        let kind = MetricType::Gauge;
        let mut metric = self.0.encode_descriptor(name, help, None, kind)?;
        for (labels, value) in samples {
            if labels.is_empty() {
                metric.encode_gauge(&value)?;
            } else {
                metric.encode_family(&labels)?.encode_gauge(&value)?;
            }
        }
        Ok(())
    }

    fn histograms<'h>(
        &mut self,
        name: &str,
        help: &str,
        samples: impl IntoIterator<Item = (Labels, &'h Histogram)>,
    ) -> fmt::Result {
        let kind = MetricType::Histogram;
        let mut metric = self.0.encode_descriptor(name, help, None, kind)?;
        for (labels, histogram) in samples {
            let buckets = histogram.buckets();
            let count = buckets.iter().map(|(_, count)| count).sum();
            let sum = histogram.sum();
            if labels.is_empty() {
                metric.encode_histogram::<NoLabelSet>(sum, count, &buckets, None)?;
            } else {
                let mut labelled = metric.encode_family(&labels)?;
                labelled.encode_histogram::<NoLabelSet>(sum, count, &buckets, None)?;
            }
        }
        Ok(())
    }
}
