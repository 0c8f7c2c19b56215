//! Lines for programs: one flat object, in which an event has the fields of its spans
//! as its own.

use std::fmt;

use serde_json::{Map, Value};
use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::format::{JsonFields, Writer};
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields, FormattedFields};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::{LookupSpan, Registry, Scope};

use super::MakeWriter;
use super::filter::Filter;
use crate::unicode::is_misleading;

pub(super) fn subscriber<W>(filter: Filter, writer: W) -> impl Subscriber
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let lines = tracing_subscriber::fmt::layer()
        .with_ansi(false)
        .with_writer(writer)
        .fmt_fields(JsonFields::new())
        .event_format(Flat);
    Registry::default().with(lines).with(filter)
}

struct Flat;

impl<S, N> FormatEvent<S, N> for Flat
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'w> FormatFields<'w> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut fields = Map::new();
        for span in context.event_scope().into_iter().flat_map(Scope::from_root) {
            if let Some(known) = span.extensions().get::<FormattedFields<N>>() {
                add(&mut fields, &known.fields);
            }
        }
        let mut own = String::new();
        context.format_fields(Writer::new(&mut own), event)?;
        add(&mut fields, &own);

        let mut time = String::new();
        SystemTime.format_time(&mut Writer::new(&mut time))?;
        let metadata = event.metadata();
        write!(
            writer,
            r#"{{"timestamp":"{time}","level":"{}""#,
            metadata.level()
        )?;
        write!(writer, r#","target":"{}""#, metadata.target())?;
        if let Some(message) = fields.remove("message") {
            member(&mut writer, "message", &message)?;
        }
        for (name, value) in &fields {
            member(&mut writer, name, value)?;
        }
        writeln!(writer, "}}")
    }
}

/// What [`JsonFields`] wrote of a span or an event.
fn add(fields: &mut Map<String, Value>, object: &str) {
    if let Ok(Value::Object(more)) = serde_json::from_str(object) {
        fields.extend(more);
    }
}

fn member(writer: &mut Writer<'_>, name: &str, value: &Value) -> fmt::Result {
    write!(writer, ",{}:", Value::from(name))?;
    escaped(writer, &value.to_string())
}

/// JSON allows more characters than a terminal should see; whoever parses it gets them
/// back.
fn escaped(writer: &mut Writer<'_>, json: &str) -> fmt::Result {
    let mut units = [0; 2];
    for character in json.chars() {
        if is_misleading(character) {
            for unit in character.encode_utf16(&mut units) {
                write!(writer, "\\u{unit:04x}")?;
            }
        } else {
            writer.write_char(character)?;
        }
    }
    Ok(())
}
