//! The configuration file, as other defaults for the options.
//!
//! A value in the file becomes the default of the option it is named after, so that options and
//! environment beat it without further rules, and `--help` shows what really holds. A value is checked
//! by the option itself, before anything else happens.

use std::env;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use clap::builder::Resettable;
use clap::parser::ValueSource;
use clap::{ArgMatches, CommandFactory, FromArgMatches};
use toml::{Table, Value};

use crate::api::Exit;
use crate::cli::failure::{Failure, reason};
use crate::cli::typed::args::{Cli, Command, GetArgs};
use crate::cli::typed::swarm::SwarmArgs;

/// Keys that may stand before any section: they hold for every command that has the option.
const SHARED_KEYS: &[&str] = &[
    "trackers",
    "name",
    "advertise",
    "wait",
    "refresh",
    "max-connections",
    "max-in-flight",
    "max-neighbours",
    "up",
    "down",
    "fsync",
    "keep-partial",
];
/// Keys that only a command's own section may have: they mean something else at each.
const SECTION_KEYS: &[&str] = &["listen", "tracker-listen", "temp", "lease", "seed-for"];
/// Keys whose value may be a list.
const LISTS: &[&str] = &["trackers", "exclude", "cluster", "spare", "trace"];
/// Options of all commands that a role may have for itself: what it traces.
const OF_A_ROLE: &[&str] = &["trace", "verbose"];
/// Most often that an option is given that counts.
const MOST_COUNTED: i64 = 2;
/// Commands that may have a section.
const SECTIONS: &[&str] = &[
    "tracker", "peer", "share", "ls", "find", "get", "upload", "download", "publish", "create", "load",
    "status", "why",
];
/// The environment's list of trackers.
const TRACKER_VARIABLE: &str = "P2P_TRACKER";

/// Reads the command line, the environment and the configuration file.
///
/// # Errors
/// Bad usage, in a sentence; or a quiet success when help or the version was asked for and shown.
pub fn read() -> Result<Cli, Failure> {
    let command = of_the_swarm(without_empty_environment(Cli::command()));
    let configured = match path() {
        Some(path) => configure(command.clone(), &path),
        None => Ok(command.clone()),
    };
    // Help must not depend on a sound configuration file.
    let (command, broken) = match configured {
        Ok(command) => (command, None),
        Err(failure) => (command, Some(failure)),
    };
    let matches = command.try_get_matches().map_err(|error| {
        let printed = error.print();
        match (error.use_stderr(), printed) {
            (true, _) => Failure::quiet(Exit::Usage),
            (false, Ok(())) => Failure::quiet(Exit::Done),
            (false, Err(error)) => error.into(),
        }
    })?;
    match broken {
        Some(failure) => Err(failure),
        None => {
            let mut cli =
                Cli::from_arg_matches(&matches).map_err(|error| Failure::usage(error.to_string()))?;
            if let (Command::Get(args) | Command::Download(args), Some((_, matches))) =
                (&mut cli.command, matches.subcommand())
            {
                args.typed = typed(matches, GetArgs::ITS_OWN);
                args.typed_of_it = typed(matches, GetArgs::OF_A_FETCH);
            }
            Ok(cli)
        }
    }
}

/// Those of the options that stand on the command line, as they are typed.
fn typed(matches: &ArgMatches, options: &[&str]) -> Vec<String> {
    let is_typed = |id: &&&str| matches.value_source(id) == Some(ValueSource::CommandLine);
    options.iter().filter(is_typed).map(|id| format!("--{}", id.replace('_', "-"))).collect()
}

fn path() -> Option<PathBuf> {
    Some(dirs::config_dir()?.join("p2p").join("config.toml"))
}

/// An empty variable is one that is not set.
fn without_empty_environment(mut command: clap::Command) -> clap::Command {
    if env::var_os(TRACKER_VARIABLE).is_some_and(|value| value.is_empty()) {
        for name in SECTIONS {
            command = command.mut_subcommand(name, |section| {
                if has(&section, "trackers") {
                    section.mut_arg("trackers", |option| option.env(Resettable::Reset))
                } else {
                    section
                }
            });
        }
    }
    command
}

/// The trackers of the closed swarm that this user is a member of are the default of all commands. What is wrong with its
/// file is said when the command is carried out.
fn of_the_swarm(mut command: clap::Command) -> clap::Command {
    let Ok(Some((_, file))) = SwarmArgs::early(env::args_os()).member() else { return command };
    let trackers: Vec<clap::builder::OsStr> =
        file.trackers.iter().map(|(addr, _)| clap::builder::OsStr::from(addr.clone())).collect();
    if trackers.is_empty() {
        return command;
    }
    let names: Vec<String> = command.get_subcommands().map(|section| section.get_name().to_owned()).collect();
    for name in names {
        command = command.mut_subcommand(name, |section| with_trackers(section, &trackers));
    }
    command
}

fn with_trackers(mut section: clap::Command, trackers: &[clap::builder::OsStr]) -> clap::Command {
    let inner: Vec<String> = section.get_subcommands().map(|inner| inner.get_name().to_owned()).collect();
    for name in inner {
        section = section.mut_subcommand(name, |inner| with_trackers(inner, trackers));
    }
    let option = section.get_arguments().find(|option| option.get_id() == "trackers");
    if option.is_none_or(|option| option.get_default_values().is_empty()) {
        return section; // such as share's, which has a tracker built in by default
    }
    section.mut_arg("trackers", |option| option.default_values(trackers.to_vec()))
}

/// `command` with the defaults from the file at `path`, if there is one.
fn configure(command: clap::Command, path: &Path) -> Result<clap::Command, Failure> {
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            return Ok(command);
        }
        Err(error) => {
            return Err(Failure::usage(format!("cannot read {}: {}", path.display(), reason(&error))));
        }
    };
    apply(command, &text).map_err(|fault| Failure::usage(format!("{}: {fault}", path.display())))
}

/// Whether `text` would do as a configuration file.
#[cfg(feature = "lab")]
pub(crate) fn check(text: &str) -> Result<(), String> {
    apply(Cli::command(), text).map(|_| ())
}

/// What a text in TOML says.
///
/// # Errors
/// It is none; where, in a clause.
pub(crate) fn table(text: &str) -> Result<Table, String> {
    text.parse().map_err(|error: toml::de::Error| match error.span() {
        Some(span) => {
            let line = text.get(..span.start).map_or(1, |before| before.matches('\n').count() + 1);
            format!("line {line} is not valid TOML: {}", error.message())
        }
        None => format!("it is not valid TOML: {}", error.message()),
    })
}

/// The arguments that mean what these options of a command say, whose keys are their long names or the name of what
/// stands alone.
///
/// # Errors
/// There is no such option, or it has no such value; in a clause.
pub(crate) fn arguments(name: &str, options: &Table) -> Result<Vec<String>, String> {
    let mut program = Cli::command();
    program.build();
    let command = program.find_subcommand(name).ok_or_else(|| format!("there is no command {name}"))?;
    let (mut args, mut alone) = (vec![name.to_owned()], Vec::new());
    for (key, value) in options {
        let is_its = |option: &&clap::Arg| {
            let of_a_role = OF_A_ROLE.contains(&option.get_id().as_str());
            (!option.is_global_set() || of_a_role) && !matches!(option.get_action(), clap::ArgAction::Help)
        };
        let is_it =
            |option: &&clap::Arg| option.get_id() == &*id_of(key) && is_its(option) && !option.is_hide_set();
        let Some(option) = command.get_arguments().find(is_it) else {
            let all = command.get_arguments().filter(is_its);
            let all: Vec<String> = all.map(|option| option.get_id().as_str().replace('_', "-")).collect();
            return Err(format!("unknown key `{key}`; there are {}", all.join(", ")));
        };
        match (option.get_long(), option.get_action(), value) {
            (Some(long), clap::ArgAction::SetTrue, Value::Boolean(is_set)) => {
                args.extend(is_set.then(|| format!("--{long}")));
            }
            (_, clap::ArgAction::SetTrue, _) => {
                return Err(format!("the value of `{key}` must be true or false"));
            }
            (Some(long), clap::ArgAction::Count, Value::Integer(times @ 0..=MOST_COUNTED)) => {
                args.extend((0..*times).map(|_| format!("--{long}")));
            }
            (_, clap::ArgAction::Count, _) => {
                return Err(format!("the value of `{key}` must be a number from 0 to {MOST_COUNTED}"));
            }
            (Some(long), ..) => {
                let values = texts(key, value)?;
                check_value(option, key, &values)?;
                args.extend(values.iter().map(|value| format!("--{long}={value}")));
            }
            (None, ..) => alone.extend(texts(key, value)?),
        }
    }
    if !alone.is_empty() {
        args.push("--".to_owned());
        args.extend(alone);
    }
    match Cli::command().try_get_matches_from(std::iter::once("p2p").chain(args.iter().map(String::as_str))) {
        Ok(_) => Ok(args),
        Err(error) => {
            let text = error.to_string();
            let first = text.split("\n\n").next().unwrap_or(&text).replace('\n', " ");
            Err(first.trim_start_matches("error: ").to_owned())
        }
    }
}

fn apply(mut command: clap::Command, text: &str) -> Result<clap::Command, String> {
    let table = table(text)?;
    for (key, value) in &table {
        if let Some(section) = value.as_table() {
            known(key, SECTIONS, "section")?;
            continue_section(&mut command, key, section)?;
        } else {
            known(key, SHARED_KEYS, "key")?;
        }
    }
    // A section is nearer to its command than what stands before all sections.
    for name in SECTIONS {
        let own = table.get(*name).and_then(Value::as_table);
        for (key, value) in table.iter().filter(|(_, value)| !value.is_table()) {
            if own.is_none_or(|own| !own.contains_key(key)) {
                command = set(command, name, key, value)?;
            }
        }
    }
    Ok(command)
}

fn continue_section(command: &mut clap::Command, name: &str, section: &Table) -> Result<(), String> {
    for (key, value) in section {
        let all: Vec<_> = SHARED_KEYS.iter().chain(SECTION_KEYS).copied().collect();
        known(key, &all, "key")?;
        if command.find_subcommand(name).is_none_or(|command| !has(command, &id_of(key))) {
            return Err(format!("`{key}` has no meaning in section [{name}]"));
        }
        *command = set(std::mem::take(command), name, key, value)?;
    }
    Ok(())
}

fn known(key: &str, keys: &[&str], what: &str) -> Result<(), String> {
    if keys.contains(&key) {
        Ok(())
    } else {
        Err(format!("unknown {what} `{key}`; there are {}", keys.join(", ")))
    }
}

/// The option's id in the definitions.
fn id_of(key: &str) -> String {
    key.replace('-', "_")
}

fn has(command: &clap::Command, id: &str) -> bool {
    command.get_arguments().any(|option| option.get_id() == id)
}

/// Makes `value` the default of option `key` of command `name`, if it has that option.
fn set(command: clap::Command, name: &str, key: &str, value: &Value) -> Result<clap::Command, String> {
    let id = id_of(key);
    let Some(option) = command
        .find_subcommand(name)
        .and_then(|section| section.get_arguments().find(|option| option.get_id() == &*id))
    else {
        return Ok(command);
    };
    let values = texts(key, value)?;
    check_value(option, key, &values)?;
    let values: Vec<clap::builder::OsStr> = values.into_iter().map(Into::into).collect();
    Ok(command.mut_subcommand(name, |section| section.mut_arg(id, |option| option.default_values(values))))
}

fn texts(key: &str, value: &Value) -> Result<Vec<String>, String> {
    let one = |value: &Value| match value {
        Value::String(text) => Ok(text.clone()),
        Value::Integer(number) => Ok(number.to_string()),
        Value::Boolean(choice) => Ok(choice.to_string()),
        _ => Err(format!("the value of `{key}` must be a text, a number or true/false")),
    };
    match value {
        Value::Array(values) if LISTS.contains(&key) => values.iter().map(one).collect(),
        value => Ok(vec![one(value)?]),
    }
}

/// Has the option itself read the values.
fn check_value(option: &clap::Arg, key: &str, values: &[String]) -> Result<(), String> {
    let typed = values.iter().map(|value| format!("--{}={value}", option.get_long().unwrap_or(key)));
    let alone = clap::Command::new("p2p").no_binary_name(true).arg(
        option
            .clone()
            .env(Resettable::Reset)
            .default_value(Resettable::Reset)
            // Who is not here:
            .requires(Resettable::<clap::Id>::Reset)
            .conflicts_with(Resettable::<clap::Id>::Reset),
    );
    match alone.try_get_matches_from(typed) {
        Ok(_) if !values.is_empty() => Ok(()),
        Ok(_) => Err(format!("`{key}` is empty")),
        Err(error) => {
            let cause =
                std::error::Error::source(&error).map_or_else(String::new, |cause| format!(": {cause}"));
            Err(format!("`{}` is no value of `{key}`{cause}", values.join(", ")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What `p2p` makes of `typed` with a configuration file of `text`, whatever the environment is.
    fn parse(text: &str, typed: &[&str]) -> Result<Command, String> {
        let command = apply(Cli::command(), text)?;
        let matches =
            command.try_get_matches_from([&["p2p"], typed].concat()).map_err(|error| error.to_string())?;
        Ok(Cli::from_arg_matches(&matches).map_err(|error| error.to_string())?.command)
    }

    fn lease(text: &str, typed: &[&str]) -> String {
        match parse(text, typed) {
            Ok(Command::Tracker(args)) => args.lease.to_string(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn options_beat_sections_beat_shared_keys_beat_defaults() {
        let connections = |text, typed: &[&str]| match parse(text, typed) {
            Ok(Command::Tracker(args)) => args.max_connections,
            other => panic!("{other:?}"),
        };
        let file = "max-connections = 7\n[tracker]\nmax-connections = 8";
        assert_eq!(connections("", &["tracker"]), None);
        assert_eq!(connections("max-connections = 7", &["tracker"]), Some(7));
        assert_eq!(connections(file, &["tracker"]), Some(8));
        assert_eq!(connections(file, &["tracker", "--max-connections", "9"]), Some(9));
        assert_eq!(lease("[tracker]\nlease = \"5s\"", &["tracker"]), "5s");
    }

    #[test]
    fn what_was_typed_is_told_from_what_is_a_default() {
        let command = apply(Cli::command(), "up = 5\n[get]\nseed-for = 9").unwrap();
        let typed = |more: &[&str]| {
            let line = [&["p2p", "get", "a"], more].concat();
            let matches = command.clone().try_get_matches_from(line).unwrap();
            super::typed(matches.subcommand().unwrap().1, GetArgs::ITS_OWN)
        };
        assert!(typed(&["--listen", "h:1"]).is_empty());
        assert!(typed(&["--down", "1", "--refresh=5"]).is_empty(), "they hold for this fetch");
        assert_eq!(typed(&["--up", "1", "--max-in-flight=5"]), ["--max-in-flight", "--up"]);
        let all: Vec<&str> = ["--temp=.", "--max-in-flight=5", "--max-neighbours=5", "--up=5"]
            .into_iter()
            .chain(["--fsync=true", "--keep-partial=5", "--seed-for=5"])
            .collect();
        assert_eq!(typed(&all).len(), GetArgs::ITS_OWN.len());
    }

    #[test]
    fn trackers_are_a_list() {
        let trackers = |typed: &[&str]| match parse("trackers = [\"a\", \"b:5\"]", typed) {
            Ok(Command::Peer(args)) => args.trackers.trackers,
            other => panic!("{other:?}"),
        };
        // The environment of whoever runs this test may have its own idea of the second.
        if env::var_os(TRACKER_VARIABLE).is_none() {
            assert_eq!(trackers(&["peer", "."]), ["a:9700", "b:5"]);
        }
        assert_eq!(trackers(&["peer", ".", "--tracker", "c"]), ["c:9700"]);
    }

    #[test]
    fn options_of_a_role_are_arguments_of_its_command() {
        let args = |name: &str, text: &str| arguments(name, &text.parse().unwrap());
        let peer = "folder = \"-d\"\ntrackers = [\"a\", \"b:5\"]\nexclude = [\"*.tmp\"]\nall = true\nstore = \"5GB\"\nzone = \"z\"\nadopt = false";
        let expected = [
            "peer",
            "--all",
            "--exclude=*.tmp",
            "--store=5GB",
            "--tracker=a",
            "--tracker=b:5",
            "--zone=z",
            "--",
            "-d",
        ];
        let mut typed = args("peer", peer).unwrap();
        typed[1..7].sort();
        assert_eq!(typed, expected);
        let fault = |name: &str, text: &str| args(name, text).unwrap_err();
        assert!(
            fault("tracker", "listne = 1").starts_with("unknown key `listne`; there are listen, lease, ")
        );
        assert!(fault("tracker", "quiet = true").starts_with("unknown key `quiet`"), "it is everybody's");
        assert!(fault("tracker", "help = true").starts_with("unknown key `help`"));
        assert!(!fault("tracker", "listne = 1").contains("help"));
        assert_eq!(
            fault("tracker", "listen = 9700"),
            "`9700` is no value of `listen`: an address is HOST:PORT"
        );
        assert_eq!(args("tracker", "verbose = 2").unwrap(), ["tracker", "--verbose", "--verbose"]);
        assert_eq!(args("tracker", "verbose = 0").unwrap(), ["tracker"]);
        let traced = args("tracker", "trace = [\"tracker\", \"serve=2\"]").unwrap();
        assert_eq!(traced, ["tracker", "--trace=tracker", "--trace=serve=2"]);
        for wrong in ["verbose = true", "verbose = 3"] {
            assert_eq!(fault("tracker", wrong), "the value of `verbose` must be a number from 0 to 2");
        }
        assert!(
            fault("tracker", "trace = \"all\"").starts_with("`all` is no value of `trace`: the sides are")
        );
        assert!(fault("tracker", "lease = \"soon\"").starts_with("`soon` is no value of `lease`"));
        assert_eq!(fault("peer", "folder = \"d\"\nall = 1"), "the value of `all` must be true or false");
        assert!(
            fault("peer", "up = 5").contains("required arguments were not provided"),
            "{}",
            fault("peer", "")
        );
        assert!(fault("tracker", "recover = true").contains("--data"));
    }

    #[test]
    fn mistakes_are_named() {
        let fault = |text| parse(text, &["tracker"]).err().unwrap_or_default();
        assert!(fault("trackerz = 1").starts_with("unknown key `trackerz`; there are trackers, "));
        assert!(fault("[trackr]\n").starts_with("unknown section `trackr`"));
        assert!(fault("\n\nx = = 1").starts_with("line 3 is not valid TOML"));
        assert_eq!(fault("[tracker]\nup = 5"), "`up` has no meaning in section [tracker]");
        assert!(fault("listen = \"x\"").starts_with("unknown key `listen`"));
        assert!(
            fault("[tracker]\nlease = \"soon\"").starts_with("`soon` is no value of `lease`: a duration")
        );
        assert_eq!(fault("trackers = []"), "`trackers` is empty");
    }
}
