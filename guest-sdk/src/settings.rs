//! Settings: JSON text to a policy's own type, with the path of what is wrong.

use std::fmt;

use schemars::JsonSchema;
use serde::de::DeserializeOwned;

/// The schema of a policy without settings: nothing, or an object with nothing in it.
#[cfg(any(target_arch = "wasm32", test))]
pub(crate) const NO_SETTINGS: &str =
    r#"{"type":["object","null"],"maxProperties":0,"description":"this policy has no settings"}"#;

/// Reads settings as the host hands them to a policy.
///
/// The error names the path of what is wrong: `partners."a b".then: …`. Native tests
/// of a policy use it to test its settings.
///
/// ```
/// #[derive(Debug, serde::Deserialize)]
/// struct Settings {
///     days: u8,
/// }
/// let fault = portcullis_sdk::parse_settings::<Settings>(r#"{"days": 300}"#).expect_err("over 255");
/// assert!(fault.starts_with("days: invalid value"));
/// ```
pub fn parse_settings<T: DeserializeOwned>(json: &str) -> Result<T, String> {
    // They were checked when the policy was made and are read for every decision: where
    // a fault is matters only when there is one.
    serde_json::from_str(json).or_else(|_| parse_with_paths(json))
}

fn parse_with_paths<T: DeserializeOwned>(json: &str) -> Result<T, String> {
    let mut deserializer = serde_json::Deserializer::from_str(json);
    let settings = serde_path_to_error::deserialize(&mut deserializer).map_err(|fault| {
        let path = fault.path().to_string();
        // At the top, and where the text ends too soon, the path tells nobody anything.
        match path.as_str() {
            "." | "?" => format!("settings: {}", fault.inner()),
            _ => format!("{path}: {}", fault.inner()),
        }
    })?;
    deserializer
        .end()
        .map_err(|fault| format!("settings: {fault}"))?;
    Ok(settings)
}

/// The JSON Schema (draft 2020-12) of a settings type, as the host is given it.
pub fn settings_schema<T: JsonSchema>() -> String {
    schemars::SchemaGenerator::default()
        .into_root_schema_for::<T>()
        .as_value()
        .to_string()
}

/// What a schema cannot say about settings: faults with their paths, collected by a
/// policy's check.
///
/// ```
/// # struct Settings { warn_days: u32, expire_days: u32 }
/// use portcullis_sdk::Faults;
///
/// fn check(settings: &Settings, faults: &mut Faults) {
///     if settings.warn_days > settings.expire_days {
///         faults.add("warn_days", "is after the expiry: choose fewer days");
///     }
/// }
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Faults(Vec<String>);

impl Faults {
    /// None yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a fault at this path, such as `partners."example.com".expires`.
    pub fn add(&mut self, path: impl fmt::Display, fault: impl fmt::Display) {
        self.0.push(format!("{path}: {fault}"));
    }

    /// The faults, each beginning with its path.
    pub fn as_slice(&self) -> &[String] {
        &self.0
    }

    /// `Ok` when there is none.
    pub fn into_result(self) -> Result<(), Vec<String>> {
        if self.0.is_empty() {
            Ok(())
        } else {
            Err(self.0)
        }
    }
}

/// A policy without settings takes an empty object, or nothing.
#[cfg(any(target_arch = "wasm32", feature = "vectors", test))]
pub(crate) fn expect_no_settings(json: &str) -> Result<(), String> {
    // By hand, so that a policy without settings carries no JSON parser.
    let bare: String = json.chars().filter(|c| !c.is_ascii_whitespace()).collect();
    match bare.as_str() {
        "" | "{}" | "null" => Ok(()),
        _ => Err(format!("settings: this policy has none, found {json}")),
    }
}

#[cfg(test)]
mod tests;
