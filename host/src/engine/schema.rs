//! The JSON Schema of a policy's settings; in the compile worker only.
//!
//! A schema is a tenant's program too: references that fan out make a kilobyte of it
//! run for years. So it is compiled and applied where it can be killed.

use jsonschema::{PatternOptions, Retrieve, Uri, Validator};
use serde_json::Value;

use super::log::kept;
use super::module::{FAULTS, SettingsFault};

/// Not a schema.
#[derive(Debug, thiserror::Error)]
pub(super) enum SchemaError {
    #[error("the settings schema is not JSON: {0}")]
    Json(#[from] serde_json::Error),
    #[error("the settings schema is not a JSON Schema: {0}")]
    Schema(String),
}

/// Compiles a schema.
pub(super) fn compile(text: &str) -> Result<Validator, SchemaError> {
    let schema: Value = serde_json::from_str(text)?;
    jsonschema::options()
        .with_draft(jsonschema::Draft::Draft202012)
        .with_retriever(Nothing)
        // Linear in the text it is matched against.
        .with_pattern_options(PatternOptions::regex())
        .build(&schema)
        .map_err(|error| SchemaError::Schema(kept(&error.to_string())))
}

/// What is wrong with these settings.
pub(super) fn faults(schema: &Validator, settings: &Value) -> Vec<SettingsFault> {
    schema
        .iter_errors(settings)
        .take(FAULTS)
        .map(|error| SettingsFault::new(error.instance_path().as_str(), &error.to_string()))
        .collect()
}

/// A schema refers to its own parts, never to a file or a server.
struct Nothing;

impl Retrieve for Nothing {
    fn retrieve(
        &self,
        uri: &Uri<String>,
    ) -> Result<Value, Box<dyn std::error::Error + Send + Sync>> {
        Err(format!("{uri} lies outside of the schema").into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_name_their_path() {
        let schema = r##"{
            "type": "object",
            "properties": { "list": { "$ref": "#/$defs/name" }, "days": { "type": "integer" } },
            "required": ["list"],
            "additionalProperties": false,
            "$defs": { "name": { "type": "string", "pattern": "^[a-z]+$" } }
        }"##;
        let schema = compile(schema).expect("a schema");
        let settings = serde_json::json!({ "list": "A", "days": "two" });
        let shown: Vec<_> = faults(&schema, &settings)
            .iter()
            .map(ToString::to_string)
            .collect();
        assert_eq!(
            shown,
            [
                "/days: \"two\" is not of type \"integer\"",
                "/list: \"A\" does not match \"^[a-z]+$\""
            ]
        );
        assert!(faults(&schema, &serde_json::json!({ "list": "a" })).is_empty());
    }

    #[test]
    fn what_is_no_schema() {
        for (text, expected) in [
            ("{", "not JSON"),
            (r#"{"type": "nonsense"}"#, "not a JSON Schema"),
            (r#"{"$ref": "https://example.com/a.json"}"#, "outside"),
            (r#"{"$ref": "file:///etc/passwd"}"#, "outside"),
            (r#"{"pattern": "(a"}"#, "not a JSON Schema"),
        ] {
            let error = compile(text).expect_err(text).to_string();
            assert!(error.contains(expected), "{text}: {error}");
        }
    }

    #[test]
    fn schemas_that_refer_to_themselves_end() {
        for text in [
            r##"{"$ref": "#"}"##,
            r##"{"properties": {"a": {"$ref": "#/properties/a"}}}"##,
            r##"{"allOf": [{"$ref": "#"}]}"##,
            r##"{"$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}}, "$ref": "#/$defs/a"}"##,
        ] {
            if let Ok(schema) = compile(text) {
                faults(&schema, &serde_json::json!({ "a": { "a": 1 } }));
            }
        }
    }
}
