//! Lines for people.
//!
//! They look as the library's own do. On a terminal they are the library's; elsewhere,
//! where a busy host writes thousands a second, they are put together here without what
//! colours need, and what is plain text already is taken as it is.

use std::fmt::{self, Debug, Write};

use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::field::RecordFields;
use tracing_subscriber::fmt::format::{Format, Full, Writer};
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields, FormattedFields};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::{LookupSpan, Registry, Scope};

use super::MakeWriter;
use super::filter::Filter;
use crate::unicode::is_misleading;

pub(super) fn subscriber<W>(filter: Filter, writer: W, colour: bool) -> impl Subscriber
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let lines = tracing_subscriber::fmt::layer()
        .with_ansi(colour)
        .with_writer(writer)
        .fmt_fields(Fields)
        .event_format(Line(Format::default()));
    Registry::default().with(lines).with(filter)
}

/// A line: when, how grave, in which spans, where in the sources, and what.
struct Line(Format<Full>);

impl<S, N> FormatEvent<S, N> for Line
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
        if writer.has_ansi_escapes() {
            return self.0.format_event(context, writer, event);
        }
        SystemTime.format_time(&mut writer)?;
        let metadata = event.metadata();
        writer.write_str(level(*metadata.level()))?;
        let mut spans = context.event_scope().into_iter().flat_map(Scope::from_root);
        let mut within = false;
        spans.try_for_each(|span| {
            within = true;
            writer.write_str(span.name())?;
            if let Some(known) = span.extensions().get::<FormattedFields<N>>()
                && !known.fields.is_empty()
            {
                writer.write_char('{')?;
                writer.write_str(&known.fields)?;
                writer.write_char('}')?;
            }
            writer.write_char(':')
        })?;
        if within {
            writer.write_char(' ')?;
        }
        writer.write_str(metadata.target())?;
        writer.write_str(": ")?;
        context.format_fields(writer.by_ref(), event)?;
        writer.write_char('\n')
    }
}

fn level(level: Level) -> &'static str {
    match level {
        Level::ERROR => " ERROR ",
        Level::WARN => "  WARN ",
        Level::INFO => "  INFO ",
        Level::DEBUG => " DEBUG ",
        Level::TRACE => " TRACE ",
    }
}

/// Fields of a span or an event: the message as it is, others with their names.
struct Fields;

impl<'w> FormatFields<'w> for Fields {
    fn format_fields<R: RecordFields>(&self, writer: Writer<'w>, fields: R) -> fmt::Result {
        let mut visitor = Visitor {
            writer,
            is_first: true,
            written: Ok(()),
        };
        fields.record(&mut visitor);
        visitor.written
    }
}

struct Visitor<'w> {
    writer: Writer<'w>,
    is_first: bool,
    written: fmt::Result,
}

impl Visitor<'_> {
    fn field(
        &mut self,
        field: &Field,
        value: impl FnOnce(&mut Escaping<'_, '_>) -> fmt::Result,
    ) -> fmt::Result {
        if !std::mem::take(&mut self.is_first) {
            self.writer.write_char(' ')?;
        }
        if field.name() != "message" {
            self.writer.write_str(field.name())?;
            self.writer.write_char('=')?;
        }
        value(&mut Escaping(&mut self.writer))
    }
}

impl Visit for Visitor<'_> {
    fn record_str(&mut self, field: &Field, value: &str) {
        let quoted = |writer: &mut Escaping<'_, '_>| match value.bytes().all(is_plain) {
            true => {
                writer.0.write_char('"')?;
                writer.0.write_str(value)?;
                writer.0.write_char('"')
            }
            false => write!(writer, "{value:?}"),
        };
        self.written = self.written.and_then(|()| self.field(field, quoted));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        let shown = |writer: &mut Escaping<'_, '_>| write!(writer, "{value:?}");
        self.written = self.written.and_then(|()| self.field(field, shown));
    }
}

/// Whether it stands for itself, in quotes and without.
fn is_plain(octet: u8) -> bool {
    matches!(octet, b' '..=b'~') && !matches!(octet, b'"' | b'\\')
}

/// Escapes what misleads, as [`crate::unicode::shown`] does.
struct Escaping<'a, 'w>(&'a mut Writer<'w>);

impl Write for Escaping<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        if text.bytes().all(|octet| matches!(octet, b' '..=b'~')) {
            return self.0.write_str(text);
        }
        let mut plain = text;
        while let Some(at) = plain.find(is_misleading) {
            let (before, rest) = plain.split_at(at);
            self.0.write_str(before)?;
            let mut rest = rest.chars();
            for character in rest.next().into_iter().flat_map(char::escape_default) {
                self.0.write_char(character)?;
            }
            plain = rest.as_str();
        }
        self.0.write_str(plain)
    }
}
