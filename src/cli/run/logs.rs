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

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::sync::Arc;

    use super::*;

    /// The lines that `happens` logs.
    fn logged(happens: impl FnOnce()) -> Vec<Value> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let logs = tracing_subscriber::fmt().with_writer(Arc::new(File::create(&path).unwrap()));
        tracing::subscriber::with_default(logs.event_format(Objects).finish(), happens);
        let text = std::fs::read_to_string(&path).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    #[test]
    fn an_event_is_an_object_on_a_line_with_its_fields_by_their_names() {
        let lines = logged(|| {
            tracing::warn!(peer = 7, "a \"word\"\nof it");
            tracing::info!(msg = "not this", ts = "nor this", "said");
        });
        let [warned, said] = &lines[..] else { panic!("{lines:?}") };
        assert_eq!((&warned["level"], &warned["msg"]), (&"warn".into(), &"a \"word\"\nof it".into()));
        assert_eq!((&warned["peer"], &warned["target"]), (&"7".into(), &module_path!().into()));
        assert_eq!((&said["level"], &said["msg"]), (&"info".into(), &"said".into()));
        let at = said["ts"].as_str().unwrap();
        assert!(
            at.starts_with("20") && at.ends_with('Z'),
            "no field takes the place of what each line has: {at}"
        );
    }
}
