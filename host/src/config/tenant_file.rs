//! One file for each tenant, named by its id.

use std::collections::BTreeSet;
use std::collections::btree_map::Entry;
use std::io;
use std::num::NonZero;
use std::panic::resume_unwind;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;

use super::contents::Pem;
use super::document::{Document, Faults, beside};
use super::fault::{Located, Position};
use super::host::{DEFAULTS, Domains, MAX_TENANT, text_of};
use super::list_table::{self, ListTable};
use super::policy_table::{self, Surroundings};
use super::reader::{Table, Value, shown};
use super::tenant_document::TenantDocument;
use super::webhook::webhook;
use super::{
    Authority, TargetConfig, TenantConfig, TrustConfig, keys, module_table, quotas, source_table,
    target_table,
};
use crate::address::{Domain, Mailbox};
use crate::decision::{Requirements, Resolved};
use crate::digest::Fingerprint;
use crate::facts::TenantId;
use crate::lists::Lists;
use crate::policy::{Exempt, OnFailure};
use crate::tls::SelfSigned;

/// Longest contact line in characters: a reply line has 512 octets (RFC 5321, section
/// 4.5.3.1.5), and carries the reason and the receipt's id as well.
const MAX_CONTACT: usize = 200;

pub(super) const ON_FAILURE: [(&str, OnFailure); 3] = [
    ("defer", OnFailure::Defer),
    ("enforced", OnFailure::Enforced),
    ("opportunistic", OnFailure::Opportunistic),
];

const SELF_SIGNED: [(&str, SelfSigned); 3] = [
    ("refuse", SelfSigned::Refuse),
    ("accept-pinned", SelfSigned::AcceptPinned),
    ("accept", SelfSigned::Accept),
];

/// Every tenant of the directory that `portcullis.toml` names. Those who name no target
/// have `target`; its `None` has been reported.
pub(super) fn read_all(
    host: &Table<'_>,
    target: Option<&TargetConfig>,
    faults: &Faults,
) -> (Authority, Vec<TenantConfig>) {
    let (authority, files) = files(host);
    (authority, read_files(&files, target, faults))
}

/// The tenants in these files. They are read side by side, since a thousand of them with
/// their modules take a second of one core; what they say of one another comes after.
pub(super) fn read_files(
    files: &[PathBuf],
    target: Option<&TargetConfig>,
    faults: &Faults,
) -> Vec<TenantConfig> {
    let mut taken = Domains::new();
    let mut tenants = Vec::with_capacity(files.len());
    for read in side_by_side(files, |file| Read::of(file, target)) {
        tenants.extend(read.tenant);
        faults.extend(read.faults);
        for (domain, at) in read.domains {
            match taken.entry(domain) {
                Entry::Occupied(first) => {
                    faults.push(at.fault(is_taken(first.key(), first.get())));
                }
                Entry::Vacant(free) => drop(free.insert(at)),
            }
        }
    }
    tenants
}

/// Files that a thread reads at least: fewer are read sooner than it is started.
const PIECE: usize = 16;

/// What comes of each, in their order.
fn side_by_side<T: Sync, R: Send>(all: &[T], work: impl Fn(&T) -> R + Sync) -> Vec<R> {
    let cores = thread::available_parallelism().map_or(1, NonZero::get);
    let piece = all.len().div_ceil(cores).max(PIECE);
    let (first, others) = all.split_at(piece.min(all.len()));
    let work = &work;
    thread::scope(|scope| {
        let others = others.chunks(piece);
        let others: Vec<_> = others
            .map(|piece| scope.spawn(move || piece.iter().map(work).collect::<Vec<_>>()))
            .collect();
        let mut done: Vec<_> = first.iter().map(work).collect();
        for piece in others {
            done.extend(piece.join().unwrap_or_else(|panic| resume_unwind(panic)));
        }
        done
    })
}

/// What is in one file.
#[derive(Default)]
struct Read {
    tenant: Option<TenantConfig>,
    domains: Domains,
    faults: Faults,
}

impl Read {
    fn of(file: &Path, target: Option<&TargetConfig>) -> Self {
        let mut read = Self::default();
        read.tenant = self::read(file, &mut read.domains, target, &read.faults);
        read
    }
}

fn is_taken(domain: &Domain, first: &Position) -> String {
    format!("{domain} is taken already, at {first}")
}

/// The directory's files by name. Where none is configured and none is there, the store
/// has the last word; the same where it is there and has no tenant: an installation makes
/// it anew, and it is the place of a disk that is not mounted.
fn files(host: &Table<'_>) -> (Authority, Vec<PathBuf>) {
    let configured = host.get("tenants");
    let directory = match &configured {
        Some(value) => value.directory().map(|path| path.value),
        None => Some(beside(&host.at().file, "tenants")),
    };
    let Some(directory) = directory else {
        return (Authority::Store, Vec::new());
    };
    let error = match list(&directory) {
        Ok(files) if files.is_empty() && configured.is_none() => {
            return (Authority::Store, files);
        }
        Ok(files) => return (Authority::Files(directory), files),
        Err(error) => error,
    };
    let message = format!(
        "the directory {:?} of tenants cannot be read: {error}",
        directory.display().to_string()
    );
    match configured {
        Some(value) => value.fault(message),
        None if error.kind() == io::ErrorKind::NotFound => {}
        None => host.missing(message),
    }
    (Authority::Store, Vec::new())
}

/// Files named `*.toml`; hidden ones are an editor's.
pub(super) fn list(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in directory.read_dir()? {
        let path = entry?.path();
        let hidden = path
            .file_name()
            .is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
        if !hidden
            && path
                .extension()
                .is_some_and(|extension| extension == "toml")
        {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

fn read(
    file: &Path,
    domains: &mut Domains,
    target: Option<&TargetConfig>,
    faults: &Faults,
) -> Option<TenantConfig> {
    let stem = file.file_stem().unwrap_or_default().to_string_lossy();
    let id: Result<TenantId, _> = stem.parse();
    if let Err(error) = &id {
        let message = format!("{error}, and name the file so");
        faults.push(Position::file(file).fault(message));
    }
    let text = match text_of(file, MAX_TENANT) {
        Ok(text) => text,
        Err(fault) => {
            faults.push(fault);
            return None;
        }
    };
    let document = Document::parse(file, &text, faults);
    let table = Table::root(&document, &keys::TENANT, faults);
    tenant(&table, id.ok(), domains, target, faults)
}

pub(super) fn tenant(
    table: &Table<'_>,
    id: Option<TenantId>,
    taken: &mut Domains,
    target: Option<&TargetConfig>,
    faults: &Faults,
) -> Option<TenantConfig> {
    let domains = domains(table, taken);
    let defaults = table.section("defaults", &keys::TENANT_DEFAULTS);
    let on_failure = defaults.choice("on_failure", &ON_FAILURE, OnFailure::default());
    let contact = table.get("contact").and_then(|value| contact(&value));
    let lists = list_table::read_all(table, faults);
    let modules = module_table::read_all(table);
    let policies = policy_table::read_all(
        table,
        &Surroundings {
            modules: &modules,
            lists: &lists,
            on_failure,
            contact: contact.as_deref(),
        },
    );
    list_table::check_groups(&lists, &policies, faults);
    module_table::check_pins(table, &modules, &policies, faults);
    let targets = target_table::targets(table);
    let inbound = targets
        .inbound
        .and_then(|own| own.or_else(|| target.cloned()));
    quotas::check(table, &lists, &modules, policies.len());
    let lists: Lists = lists.into_iter().filter_map(ListTable::into_list).collect();
    let exempt = exempt(table, &domains);
    let webhook = webhook(table);
    let sources = source_table::read(table);
    let id = id?;
    let document = TenantDocument::of(table, id.clone(), &domains, lists.clone(), &modules);
    Some(TenantConfig {
        file: table.at().file,
        document: Arc::new(document),
        default: default(&defaults),
        trust: trust(table),
        lists,
        id,
        exempt,
        domains,
        contact,
        webhook,
        sources,
        inbound: inbound.unwrap_or_default(),
        outbound: targets.outbound,
        modules,
        policies,
    })
}

fn domains(table: &Table<'_>, taken: &mut Domains) -> Vec<Domain> {
    let Some(value) = table.required("domains") else {
        return Vec::new();
    };
    let elements = value.elements();
    if elements.is_empty() && value.node().is_array() {
        value.fault("a tenant needs at least one domain");
    }
    let parsed = elements.iter().filter_map(|element| {
        let domain: Domain = element.parsed()?;
        match taken.get(&domain) {
            Some(at) => {
                element.fault(is_taken(&domain, at));
                None
            }
            None => {
                taken.insert(domain.clone(), element.at());
                Some(domain)
            }
        }
    });
    parsed.collect()
}

fn default(table: &Table<'_>) -> Option<Resolved> {
    let enforced = table.get("decision")?.choice(&DEFAULTS)?;
    Some(if enforced {
        Resolved::Enforced(Requirements::default())
    } else {
        Resolved::Opportunistic
    })
}

/// Recipients whom no policy is asked about.
fn exempt(table: &Table<'_>, domains: &[Domain]) -> Exempt {
    let section = table.section("exempt", &keys::EXEMPT);
    let addresses = section.elements("tls_reports");
    Exempt {
        postmaster: section.boolean("postmaster", true),
        tls_reports: addresses
            .iter()
            .filter_map(|value| own_address(value, domains))
            .collect(),
    }
}

fn own_address(value: &Value<'_>, domains: &[Domain]) -> Option<Mailbox> {
    let address: Mailbox = value.parsed()?;
    let domain = address.domain();
    if !domain.is_some_and(|domain| domains.contains(domain)) {
        value.unresolved(format_args!(
            "{address} is in none of the tenant's domains: name an address at which it receives mail here"
        ));
    }
    Some(address)
}

/// A line that goes into SMTP replies: nothing in it may end the line.
pub(super) fn contact(value: &Value<'_>) -> Option<String> {
    let text = value.text()?;
    let printable = text.bytes().all(|b| (b' '..=b'~').contains(&b));
    if !printable || text.trim().is_empty() {
        value.fault(format_args!(
            "{:?} is not one line of printable ASCII, as replies need it",
            shown(text)
        ));
        return None;
    }
    if text.len() > MAX_CONTACT {
        let length = text.len();
        value.fault(format_args!(
            "{length} characters are over the limit of {MAX_CONTACT}: give a link"
        ));
        return None;
    }
    Some(text.to_owned())
}

fn trust(table: &Table<'_>) -> TrustConfig {
    let section = table.section("trust", &keys::TRUST);
    TrustConfig {
        anchors: pem_texts(&section, "anchors"),
        crls: pem_texts(&section, "crls"),
        pins: pins(&section, "pins"),
        self_signed: section.choice("self_signed", &SELF_SIGNED, SelfSigned::default()),
        public_roots: section.boolean("public_roots", true),
    }
}

pub(super) fn pem_texts(table: &Table<'_>, key: &str) -> Vec<Located<Pem>> {
    let elements = table.elements(key);
    elements
        .iter()
        .filter_map(|element| element.pem(super::MAX_PEM))
        .collect()
}

pub(super) fn pins(table: &Table<'_>, key: &str) -> BTreeSet<Fingerprint> {
    let elements = table.elements(key);
    elements.iter().filter_map(Value::parsed).collect()
}

#[cfg(test)]
mod tests {
    use super::super::tests::Files;
    use super::*;

    /// More files than one thread reads.
    #[test]
    fn many_files_are_read_in_their_order_and_know_of_one_another() {
        let files = Files::new();
        let numbers: Vec<String> = (0..4 * PIECE).map(|n| format!("t{n:03}")).collect();
        for id in &numbers {
            let text = format!("domains = [\"{id}.example\"]\n");
            files.write(&format!("tenants/{id}.toml"), text);
        }
        let tenants = files.read().expect("no fault").tenants;
        let ids: Vec<&str> = tenants.iter().map(|tenant| tenant.id.as_str()).collect();
        assert_eq!(ids, numbers);
        for twin in ["t040", "t063"] {
            let text = "domains = [\"T002.example\"]\n";
            files.write(&format!("tenants/{twin}.toml"), text);
        }
        assert_eq!(
            files.read().expect_err("one domain, three tenants"),
            "tenants/t040.toml:1: domains[0]: t002.example is taken already, at tenants/t002.toml:1: domains[0]\n\
             tenants/t063.toml:1: domains[0]: t002.example is taken already, at tenants/t002.toml:1: domains[0]"
        );
    }
}
