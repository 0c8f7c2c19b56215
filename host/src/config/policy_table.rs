//! `[[policy]]`: the policies of a tenant.

use super::list_table::ListTable;
use super::network::networks;
use super::reader::{Table, Value};
use super::settings::Settings;
use super::similar::hint;
use super::tenant_file::{ON_FAILURE, contact, pins};
use super::{ModuleConfig, PolicyConfig, keys};
use crate::address::Domain;
use crate::decision::{Decision, Requirement, Requirements};
use crate::digest::Digest;
use crate::facts::TlsVersion;
use crate::name::Name;
use crate::policy::{
    BasedOn, Choice, Consultation, Directions, MAX_NARRATIVE, Mode, OnFailure, Policy, Ramp,
    RampError, Validity, Who,
};

/// What policies refer to.
pub(super) struct Surroundings<'a> {
    pub(super) modules: &'a [ModuleConfig],
    pub(super) lists: &'a [ListTable],
    pub(super) on_failure: OnFailure,
    pub(super) contact: Option<&'a str>,
}

/// The options of a policy, as written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Default,
    Opportunistic,
    Enforced,
    Module,
}

const OPTIONS: [(&str, Kind); 4] = [
    ("default", Kind::Default),
    ("opportunistic", Kind::Opportunistic),
    ("enforced", Kind::Enforced),
    ("module", Kind::Module),
];

const DIRECTIONS: [(&str, Directions); 3] = [
    ("inbound", Directions::Inbound),
    ("outbound", Directions::Outbound),
    ("both", Directions::Both),
];

const BASES: [(&str, BasedOn); 3] = [
    ("envelope", BasedOn::Envelope),
    ("header", BasedOn::Header),
    ("both", BasedOn::Both),
];

const MODES: [(&str, Mode); 2] = [("enforce", Mode::Enforce), ("monitor", Mode::Monitor)];

const TLS_VERSIONS: [(&str, TlsVersion); 2] =
    [("1.2", TlsVersion::TLS12), ("1.3", TlsVersion::TLS13)];

/// Keys that mean something for one option only.
const BELONGINGS: [(&str, Kind); 5] = [
    ("require", Kind::Enforced),
    ("module", Kind::Module),
    ("revision", Kind::Module),
    ("settings", Kind::Module),
    ("on_failure", Kind::Module),
];

/// The policies of a tenant in the order of its file.
pub(super) fn read_all(table: &Table<'_>, around: &Surroundings<'_>) -> Vec<PolicyConfig> {
    let mut policies: Vec<PolicyConfig> = Vec::new();
    for (created, section) in table.sections("policy", &keys::POLICY).iter().enumerate() {
        let Some(read) = policy(section, created, around) else {
            continue;
        };
        let twin = policies
            .iter()
            .find(|other| other.policy.name == read.policy.name);
        if let Some(twin) = twin {
            let message = format!(
                "{} names a policy already, at {}",
                twin.policy.name, twin.at
            );
            section.report("name", message);
        }
        policies.push(read);
    }
    policies
}

fn policy(table: &Table<'_>, created: usize, around: &Surroundings<'_>) -> Option<PolicyConfig> {
    let name = table.required("name").and_then(|value| value.parsed());
    let chosen = option(table, around);
    let from = who(table, "from", around);
    let to = who(table, "to", around);
    let based_on = table.choice("based_on", &BASES, BasedOn::default());
    let contact = match table.get("contact") {
        Some(value) => contact(&value),
        None => around.contact.map(str::to_owned),
    };
    let narrative = narrative(table);
    let sources = networks(table, "sources").unwrap_or_default();
    let on_failure = table.choice("on_failure", &ON_FAILURE, around.on_failure);
    let direction = table.choice("direction", &DIRECTIONS, Directions::default());
    let enabled = table.boolean("enabled", true);
    let valid = validity(table);
    let mode = table.choice("mode", &MODES, Mode::default());
    let ramp = ramp(table, mode);
    let overrides = table.boolean("override", false);
    let bidirectional = table.boolean("bidirectional", false);
    let (option, settings) = chosen?;
    Some(PolicyConfig {
        at: table.at(),
        policy: Policy {
            name: name?,
            narrative,
            option,
            direction,
            from,
            to,
            based_on,
            bidirectional,
            sources,
            enabled,
            valid,
            overrides,
            mode,
            ramp,
            on_failure,
            contact,
            created,
        },
        settings,
    })
}

fn narrative(table: &Table<'_>) -> String {
    let Some(value) = table.get("narrative") else {
        return String::new();
    };
    let text = value.text().unwrap_or_default();
    let length = text.chars().count();
    if length > MAX_NARRATIVE {
        value.fault(format_args!(
            "{length} characters are over the limit of {MAX_NARRATIVE}"
        ));
    }
    text.to_owned()
}

/// Perpetual where the dates have faults.
fn validity(table: &Table<'_>) -> Validity {
    let moment = |key| table.get(key).and_then(|value| value.moment());
    let range = Validity::new(moment("valid_from"), moment("valid_until"));
    range.unwrap_or_else(|error| {
        table.report("valid_until", error);
        Validity::PERPETUAL
    })
}

/// None where there is none, or it has faults.
fn ramp(table: &Table<'_>, mode: Mode) -> Option<Ramp> {
    let value = table.get("ramp")?;
    if mode == Mode::Monitor {
        value.fault("means something only with mode = \"enforce\": remove it, or the mode");
    }
    let section = value.table(&keys::RAMP)?;
    let moment = |key| section.required(key).and_then(|value| value.moment());
    let (start, end) = (moment("start"), moment("end"));
    let perhaps = |key| match section.get(key) {
        Some(value) => value.moment().map(Some),
        None => Some(None),
    };
    let (halted, resumed) = (perhaps("halted")?, perhaps("resumed")?);
    let halt_above = match section.get(keys::HALT_ABOVE.key) {
        Some(value) => Some(value.number(&keys::HALT_ABOVE)?),
        None => None,
    };
    let halt_above = halt_above.and_then(|percent| u8::try_from(percent).ok());
    let ramp = Ramp::new(start?, end?, halt_above, halted, resumed);
    let key = match &ramp {
        Err(RampError::Empty { .. }) => "end",
        _ => "halted",
    };
    ramp.inspect_err(|error| section.report(key, error)).ok()
}

fn who(table: &Table<'_>, key: &str, around: &Surroundings<'_>) -> Who {
    let Some(value) = table.get(key) else {
        return Who::Everyone;
    };
    let who = value.parsed().unwrap_or_default();
    if let Who::List(name) = &who {
        let lists = around.lists.iter().map(ListTable::name);
        refer(&value, "list", name, lists);
    }
    who
}

/// Reports a name that nothing has.
fn refer<'n>(value: &Value<'_>, kind: &str, name: &Name, known: impl Iterator<Item = &'n str>) {
    let known: Vec<&str> = known.collect();
    if !known.contains(&name.as_str()) {
        let hint = hint(name.as_str(), known);
        value.unresolved(format_args!("there is no {kind} {:?}{hint}", name.as_str()));
    }
}

fn option(table: &Table<'_>, around: &Surroundings<'_>) -> Option<(Choice, Option<Settings>)> {
    let kind = table.required("option")?.choice(&OPTIONS)?;
    for (key, owner) in BELONGINGS {
        if let Some(value) = table.get(key).filter(|_| kind != owner) {
            let owner = OPTIONS.iter().find(|(_, kind)| *kind == owner);
            let word = owner.map_or("", |(word, _)| word);
            value.fault(format_args!(
                "means something only with option = {word:?}: remove it"
            ));
        }
    }
    match kind {
        Kind::Default => Some((Choice::Constant(Decision::Default), None)),
        Kind::Opportunistic => Some((Choice::Constant(Decision::Opportunistic), None)),
        Kind::Enforced => {
            let required = requirements(&table.section("require", &keys::REQUIRE));
            Some((Choice::Constant(Decision::Enforced(required)), None))
        }
        Kind::Module => consultation(table, around),
    }
}

fn consultation(
    table: &Table<'_>,
    around: &Surroundings<'_>,
) -> Option<(Choice, Option<Settings>)> {
    let settings = match table.get("settings") {
        Some(value) => Settings::read(&value),
        None => Some(Settings::empty(&table.at())),
    };
    let value = table.required("module")?;
    let module = value.parsed()?;
    let known = around.modules.iter().map(|module| module.name.as_str());
    refer(&value, "module", &module, known);
    let revision = match table.get("revision") {
        Some(value) => Some(revision(&value, &module, around)?),
        None => None,
    };
    let settings = settings?;
    let consultation = Consultation {
        revision,
        ..Consultation::new(module, &settings.value)
    };
    Some((Choice::Module(consultation), Some(settings)))
}

/// The revision that is asked whichever is active; `None` has been reported.
fn revision(value: &Value<'_>, module: &Name, around: &Surroundings<'_>) -> Option<Digest> {
    let digest: Digest = value.parsed()?;
    let mut modules = around.modules.iter();
    let known = modules.find(|known| known.name == *module);
    if known.is_some_and(|known| known.revision(digest).is_none()) {
        let remedy = match value.is_stored() {
            true => "upload it, or pin one that is kept",
            false => "name its file in \"pinned\" of the module",
        };
        value.unresolved(format_args!(
            "module {:?} has no revision {digest}: {remedy}",
            module.as_str()
        ));
    }
    Some(digest)
}

fn requirements(table: &Table<'_>) -> Requirements {
    let version = table.get("tls").and_then(|v| v.choice(&TLS_VERSIONS));
    let post_quantum = table.boolean("post_quantum", false);
    let domain = |key| table.get(key).and_then(|value| value.parsed::<Domain>());
    [
        version.map(Requirement::AtLeast),
        post_quantum.then_some(Requirement::PostQuantum),
        certificate(table),
        domain("covers").map(Requirement::Covers),
        domain("within").map(Requirement::Within),
        pinned(table),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn pinned(table: &Table<'_>) -> Option<Requirement> {
    let value = table.get("pins")?;
    if value.node().as_array().is_some_and(|pins| pins.is_empty()) {
        value.fault("no key could meet an empty list of pins: name one, or remove it");
    }
    Some(Requirement::Pinned(pins(table, "pins")))
}

fn certificate(table: &Table<'_>) -> Option<Requirement> {
    let trusted = table
        .get("certificate")?
        .choice(&[("presented", false), ("trusted", true)])?;
    Some(if trusted {
        Requirement::Trusted
    } else {
        Requirement::Presented
    })
}
