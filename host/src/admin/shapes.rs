//! What documents of tenants look like, for the description of the API.
//!
//! **Nothing is read into these**: a document is judged by the reader of files (`config`),
//! so that it means the same wherever it comes from. That the two have the same keys and
//! ranges is a test. How keys go together, and what they refer to, is the reader's alone:
//! what has this form and cannot be gets 422.

#[expect(dead_code, reason = "they are there to be described")]
mod policy;
#[expect(dead_code, reason = "they are there to be described")]
mod report;
#[expect(dead_code, reason = "they are there to be described")]
mod tenant;
#[expect(dead_code, reason = "they are there to be described")]
mod texts;
#[expect(dead_code, reason = "they are there to be described")]
mod warning;

pub(super) use policy::{Decided, PolicyKeys};
pub(super) use report::ReportNumbers;
pub(super) use tenant::{OperatorKeys, OwnKeys};
pub(super) use texts::{Address, Client, DomainName, Id, NameText, Sha256, Side, Time, TokenRole};
pub(super) use warning::WarningKeys;

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::Value;

    use crate::admin::description;
    use crate::config::written_keys;

    /// Properties of all objects that are described under this name.
    fn described(components: &Value, name: &str) -> BTreeSet<String> {
        let described = &components[name];
        let forms = match described["oneOf"].as_array() {
            Some(forms) => forms.iter().collect(),
            None => vec![described],
        };
        let keys = forms.into_iter().flat_map(|form| {
            let properties = form["properties"].as_object();
            properties.expect("an object is described").keys()
        });
        keys.cloned().collect()
    }

    #[test]
    fn keys_are_those_that_the_reader_knows() {
        let description = serde_json::to_value(description()).expect("JSON");
        let components = &description["components"]["schemas"];
        for (table, names, apart) in [
            ("[[policy]]", &["PolicyKeys"][..], &["name"][..]),
            ("require", &["Require"], &[]),
            (
                "tenants/ID.toml",
                &["OwnKeys", "OperatorKeys"],
                &["domains", "lists", "module", "policy"],
            ),
            ("[defaults] of a tenant", &["TenantDefaults"], &[]),
            ("[exempt]", &["ExemptRecipients"], &[]),
            ("[trust]", &["Trust"], &[]),
            ("[webhook]", &["WebhookKeys"], &[]),
            ("[sources]", &["Sources"], &[]),
            ("[[sources.certificate]]", &["SourceCertificate"], &[]),
            ("[quotas]", &["Quotas"], &[]),
            ("[targets]", &["Targets"], &[]),
            ("[targets.inbound]", &["Target"], &[]),
            ("[targets.outbound]", &["Target"], &[]),
        ] {
            let names = names.iter().flat_map(|name| described(components, name));
            let apart = apart.iter().map(|key| (*key).to_owned());
            let found: BTreeSet<String> = names.chain(apart).collect();
            let keys = written_keys(table).iter().map(|key| (*key).to_owned());
            assert_eq!(found, keys.collect(), "{table}");
        }
    }

    #[test]
    fn ranges_are_those_of_the_reader() {
        let description = serde_json::to_value(description()).expect("JSON");
        let components = &description["components"]["schemas"];
        let mut found = 0;
        for name in ["Quotas", "Target"] {
            let properties = components[name]["properties"].as_object();
            for (key, schema) in properties.expect("an object is described") {
                if schema["type"] != "integer" {
                    continue;
                }
                let range = (schema["minimum"].as_u64(), schema["maximum"].as_u64());
                let (min, max) = crate::config::range(key);
                assert_eq!(range, (Some(min), Some(max)), "{key}");
                found += 1;
            }
        }
        assert_eq!(found, 12);
    }
}
