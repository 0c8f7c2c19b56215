//! Lines for people.

use std::fmt::{self, Write};

use tracing::Subscriber;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::field::MakeExt;
use tracing_subscriber::fmt::format::{Writer, debug_fn};

use super::{MakeWriter, SetFilter};
use crate::unicode::is_misleading;

pub(super) fn subscriber<W>(
    filter: EnvFilter,
    writer: W,
    colour: bool,
) -> (impl Subscriber, SetFilter)
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let fields = debug_fn(|writer, field, value| {
        if field.name() != "message" {
            write!(writer, "{field}=")?;
        }
        write!(Escaping(writer), "{value:?}")
    });
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(colour)
        .with_writer(writer)
        .fmt_fields(fields.delimited(" "))
        // After the rest, which decides what is filtered.
        .with_filter_reloading();
    let filter = builder.reload_handle();
    (
        builder.finish(),
        Box::new(move |next| filter.reload(next).is_ok()),
    )
}

/// Escapes what misleads, as [`crate::unicode::shown`] does.
struct Escaping<'a, 'w>(&'a mut Writer<'w>);

impl Write for Escaping<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
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
