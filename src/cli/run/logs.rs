//! Logs and wire traces: both on standard error, as text or as JSON.

use std::fmt::{self, Write};

use serde_json::{Map, Value};
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::layer::{Context, SubscriberExt};
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer};

use crate::cli::typed::options::{LogArgs, LogFormat};
use crate::net::trace::{self, Side};
use crate::say;
use crate::warnings;

/// Sets up both, once at the start.
pub(crate) fn start(args: &LogArgs) {
    let level = if args.quiet {
        say::be_quiet();
        EnvFilter::new("error")
    } else {
        EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("warn"))
    };
    let logs = tracing_subscriber::fmt()
        .with_env_filter(level)
        .with_writer(|| say::Lines)
        .log_internal_errors(false)
        .with_ansi(say::in_colour())
        .with_target(false);
    match args.log_format {
        LogFormat::Text => logs.finish().with(Kept).init(),
        LogFormat::Json => {
            say::speak_json();
            logs.event_format(Objects).finish().with(Kept).init();
        }
    }
    for side in [Side::Tracker, Side::Serve, Side::Fetch] {
        trace::set(side, args.verbose.min(trace::ALL));
    }
    for (side, level) in &args.trace {
        trace::set(*side, *level);
    }
}

/// Warnings are kept for who looks at the page.
#[derive(Debug)]
struct Kept;

impl<S: Subscriber> Layer<S> for Kept {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        if *event.metadata().level() > Level::WARN {
            return;
        }
        let mut fields = Fields::default();
        event.record(&mut fields);
        let others = fields.others.iter().map(|(name, value)| format!(" {name}={value}"));
        let others = others.collect::<String>();
        warnings::note(fields.message + &others);
    }
}

/// Each event as a JSON object on a line: `ts`, `level`, `target`, `msg`, and its fields by their names.
#[derive(Debug)]
struct Objects;

impl<S, N> FormatEvent<S, N> for Objects
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, _: &FmtContext<'_, S, N>, mut out: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let mut fields = Fields::default();
        event.record(&mut fields);
        let level = event.metadata().level().as_str().to_lowercase();
        let mut object = say::object(&level, &fields.message);
        object.insert("target".to_owned(), event.metadata().target().into());
        fields.others.into_iter().for_each(|(name, value)| _ = object.entry(name).or_insert(value));
        writeln!(out, "{}", Value::Object(object))
    }
}

#[derive(Default)]
struct Fields {
    message: String,
    others: Map<String, Value>,
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() == "message" {
            let _ = write!(self.message, "{value:?}");
        } else {
            self.others.insert(field.name().to_owned(), format!("{value:?}").into());
        }
    }
}
