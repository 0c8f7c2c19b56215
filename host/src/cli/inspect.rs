//! `portcullis inspect`.

use std::path::PathBuf;

use anyhow::anyhow;
use serde_json::{Value, json};

use super::{columns, rows};
use crate::author::build::Project;
use crate::author::inspect::{Anatomy, Examined, Form, examine, read};
use crate::author::workbench::Workbench;
use crate::engine::Manifest;
use crate::unicode;

/// Which module.
#[derive(clap::Args)]
pub(super) struct InspectArguments {
    /// The module or component; without it, that of the crate is built.
    #[arg(conflicts_with = "path")]
    module: Option<PathBuf>,
    /// The directory of the crate.
    #[arg(long, value_name = "DIR", default_value = ".")]
    path: PathBuf,
    /// Show so many of the largest functions.
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u16).range(..=1000))]
    functions: u16,
    /// JSON, on one line.
    #[arg(long)]
    json: bool,
}

/// Shows a module. Where the host would refuse it, that is the error.
pub(super) async fn run(arguments: &InspectArguments) -> anyhow::Result<()> {
    let (path, examined) = match &arguments.module {
        Some(path) => {
            let bytes = read(path)?;
            (path.clone(), examine(&Workbench::new()?, &bytes).await?)
        }
        None => {
            let built = Project::find(&arguments.path)?.build().await?;
            (built.module, built.examined)
        }
    };
    let path = path.display().to_string();
    let lines = match arguments.json {
        true => vec![json(&examined).to_string()],
        false => {
            let body = body(&examined, usize::from(arguments.functions));
            [head(&path, &examined), body].concat()
        }
    };
    rows::read_or_not(rows::lines(lines))?;
    match examined.verdict {
        Ok(_) => Ok(()),
        Err(reason) => Err(anyhow!("{path} would be refused by the host: {reason}")),
    }
}

/// What it is, in lines for people.
pub(super) fn head(path: &str, examined: &Examined) -> Vec<String> {
    let anatomy = examined.anatomy.as_ref().ok();
    let form = match anatomy.map(|anatomy| anatomy.form) {
        Some(Form::Component) => "a component",
        Some(Form::Module) => "a core module",
        None => "a file",
    };
    let title = format!("{path}: {form} of {} bytes", grouped(examined.size));
    let mut rows = vec![row("sha256", examined.digest.to_string())];
    if let Some(anatomy) = anatomy {
        let versions = Vec::from_iter(anatomy.interface.iter().map(String::as_str));
        rows.push(row("interface", versions.join(", ")));
        rows.extend(list("imports", anatomy.imports.iter().cloned()));
        rows.extend(list("exports", anatomy.exports.iter().cloned()));
    }
    if let Ok(manifest) = &examined.verdict {
        rows.push(row("policy", named(manifest)));
        rows.push(row("", manifest.description.clone()));
        let schema = schema(manifest);
        rows.extend(list("settings", schema.lines().map(str::to_owned)));
    }
    let rows = rows
        .into_iter()
        .filter(|[_, value]| !value.is_empty())
        .map(|row| row.map(|cell| unicode::shown(&cell)));
    let rows = rows.map(|[key, value]| format!("  {key:9}  {value}"));
    std::iter::once(unicode::shown(&title))
        .chain(rows)
        .collect()
}

/// What it is made of.
fn body(examined: &Examined, functions: usize) -> Vec<String> {
    let Ok(anatomy) = &examined.anatomy else {
        return Vec::new();
    };
    let mut lines = vec![String::new()];
    let sections: Vec<_> = anatomy
        .sections
        .iter()
        .map(|section| sized(&section.name, section.size, examined.size))
        .collect();
    lines.extend(columns::lines(["section", "bytes", "share"], &sections));
    let largest = anatomy.functions.iter().take(functions);
    let largest: Vec<_> = largest
        .map(|function| {
            let unnamed = || format!("number {}", function.number);
            let name = function.name.clone().unwrap_or_else(unnamed);
            sized(&name, function.size, examined.size)
        })
        .collect();
    if !largest.is_empty() {
        lines.push(String::new());
        let head = format!("function ({} of {})", largest.len(), anatomy.function_count);
        lines.extend(columns::lines([&head, "bytes", "share"], &largest));
        lines.extend(without_names(anatomy));
    }
    lines
}

/// Where there is nothing to call functions by.
fn without_names(anatomy: &Anatomy) -> Option<String> {
    let none = anatomy.functions.iter().all(|one| one.name.is_none());
    none.then(|| {
        "it has no names: strip = \"debuginfo\" in [profile.release] keeps those of functions"
            .to_owned()
    })
}

/// All of it, for programs.
pub(super) fn json(examined: &Examined) -> Value {
    let manifest = examined.verdict.as_ref().ok().map(|manifest| {
        json!({
            "name": manifest.name,
            "version": manifest.version,
            "description": manifest.description,
        })
    });
    let schema = examined.verdict.as_ref().ok().map(schema_value);
    let mut object = match &examined.anatomy {
        Ok(anatomy) => json!(anatomy),
        Err(_) => json!({}),
    };
    object["size"] = json!(examined.size);
    object["digest"] = json!(examined.digest);
    object["manifest"] = json!(manifest);
    object["settings_schema"] = json!(schema);
    object["refused"] = json!(examined.verdict.as_ref().err());
    object
}

fn row(key: &str, value: String) -> [String; 2] {
    [key.to_owned(), value]
}

/// The key stands before the first.
fn list(key: &str, values: impl Iterator<Item = String>) -> impl Iterator<Item = [String; 2]> {
    let keys = std::iter::once(key).chain(std::iter::repeat(""));
    keys.zip(values).map(|(key, value)| row(key, value))
}

fn named(manifest: &Manifest) -> String {
    format!("{} {}", manifest.name, manifest.version)
}

/// The schema was compiled, so it is JSON.
fn schema_value(manifest: &Manifest) -> Value {
    serde_json::from_str(&manifest.settings_schema).unwrap_or_default()
}

fn schema(manifest: &Manifest) -> String {
    let schema = schema_value(manifest);
    serde_json::to_string_pretty(&schema).unwrap_or_default()
}

fn sized(name: &str, size: usize, of: u64) -> [String; 3] {
    let share = 100.0 * size as f64 / of.max(1) as f64;
    let size = grouped(size as u64);
    [unicode::shown(name), size, format!("{share:.1} %")]
}

/// Thousands apart, as documents write numbers.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let groups: Vec<_> = digits.as_bytes().rchunks(3).rev().collect();
    let groups = groups.iter().map(|group| String::from_utf8_lossy(group));
    groups.collect::<Vec<_>>().join(",")
}
