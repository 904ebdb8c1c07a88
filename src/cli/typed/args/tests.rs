//! That what can be typed is consistent, and that docs/CLI.md speaks of all of it, and of nothing else.

use std::collections::BTreeSet;

use clap::CommandFactory;

use super::*;

const DOCUMENT: &str = include_str!("../../../../docs/CLI.md");

#[test]
fn the_definitions_are_consistent() {
    Cli::command().debug_assert();
}

/// Every long option, with the commands that have it.
fn options(command: &clap::Command, all: &mut BTreeSet<String>) {
    let seen = command.get_arguments().filter(|argument| !argument.is_hide_set());
    all.extend(seen.filter_map(|argument| argument.get_long()).map(str::to_owned));
    command.get_subcommands().for_each(|below| options(below, all));
}

/// Every long option that a text speaks of.
fn spoken_of(text: &str) -> BTreeSet<String> {
    let starts = text.match_indices("--").map(|(at, _)| (text[..at].chars().next_back(), &text[at + 2..]));
    let stands_alone =
        |before: Option<char>| before.is_none_or(|c| !c.is_ascii_alphanumeric() && c != '-' && c != '|');
    let name =
        |rest: &str| rest.chars().take_while(|c| c.is_ascii_lowercase() || *c == '-').collect::<String>();
    let names = starts.filter(|(before, _)| stands_alone(*before)).map(|(_, rest)| name(rest));
    names.map(|name| name.trim_end_matches('-').to_owned()).filter(|name| !name.is_empty()).collect()
}

#[test]
fn the_document_speaks_of_every_option_and_of_no_other() {
    let mut command = Cli::command();
    command.build();
    let mut there = BTreeSet::new();
    options(&command, &mut there);
    let spoken_of = spoken_of(DOCUMENT);
    let silent: Vec<_> = there.difference(&spoken_of).collect();
    assert!(silent.is_empty(), "docs/CLI.md says nothing of {silent:?}");
    let unknown: Vec<_> = spoken_of.difference(&there).collect();
    assert!(unknown.is_empty(), "docs/CLI.md speaks of {unknown:?}, which no command has");
}

fn read(line: &str) -> Result<Command, clap::Error> {
    Cli::try_parse_from(line.split_whitespace()).map(|cli| cli.command)
}

fn understood(line: &str) -> Command {
    read(line).unwrap_or_else(|error| panic!("`{line}`: {error}"))
}

#[test]
fn what_does_not_go_together_or_is_not_enough_is_refused_by_name() {
    use clap::error::ErrorKind::{
        ArgumentConflict, InvalidSubcommand, InvalidValue, MissingRequiredArgument, UnknownArgument,
        ValueValidation,
    };
    for (line, expected, named) in [
        ("p2p lss", InvalidSubcommand, "lss"),
        ("p2p ls --nothing", UnknownArgument, "--nothing"),
        ("p2p get", MissingRequiredArgument, "WHAT"),
        ("p2p get a --union --newest", ArgumentConflict, "--newest"),
        ("p2p get a --union --from b", ArgumentConflict, "--from"),
        ("p2p get a --union --delete", ArgumentConflict, "--delete"),
        ("p2p get a --union --include b", ArgumentConflict, "--include"),
        ("p2p get a --seed --seed-for 5s", ArgumentConflict, "--seed-for"),
        ("p2p get a --as ../b", ValueValidation, "--as"),
        ("p2p get a --max-neighbours 0", ValueValidation, "nothing could ever be fetched"),
        ("p2p get a --max-in-flight 0B", ValueValidation, "nothing could ever be fetched"),
        ("p2p get a --down 0", ValueValidation, "nothing ever arrives"),
        ("p2p get a --refresh 99ms", ValueValidation, "100ms at least"),
        ("p2p get a --wait soon", ValueValidation, "--wait"),
        ("p2p upload a --copies 2 --code 4+2", ArgumentConflict, "--code"),
        ("p2p upload a --code 1+1", ValueValidation, "K is 2 to 16"),
        ("p2p upload a --copies 256", ValueValidation, "--copies"),
        ("p2p publish a", MissingRequiredArgument, "--as"),
        ("p2p peer a --zone b", MissingRequiredArgument, "--store"),
        ("p2p peer a --adopt", MissingRequiredArgument, "--store"),
        ("p2p peer a --repair-rate 5MB", MissingRequiredArgument, "--store"),
        ("p2p peer a --fault corrupt=2", ValueValidation, "from 0 to 1"),
        ("p2p share a --until 0", ValueValidation, "--until"),
        ("p2p tracker --recover", MissingRequiredArgument, "--data"),
        ("p2p tracker --cluster 1=a", MissingRequiredArgument, "--node"),
        ("p2p tracker --node 1", MissingRequiredArgument, "--cluster"),
        ("p2p tracker --node 100 --cluster 1=a", ValueValidation, "--node"),
        ("p2p tracker --lease 0", ValueValidation, "100ms at least"),
        ("p2p cluster remove 0", ValueValidation, "0"),
        ("p2p cluster add t4:9701", ValueValidation, "N=HOST:PORT"),
        ("p2p up a --demo 2", ArgumentConflict, "--demo"),
        ("p2p up --demo 0", ValueValidation, "--demo"),
        ("p2p up --demo 17", ValueValidation, "--demo"),
        ("p2p node stop", MissingRequiredArgument, "ROLE"),
        ("p2p hook --until 5", MissingRequiredArgument, "ARGV"),
        ("p2p cancel", MissingRequiredArgument, "WHAT"),
        ("p2p pause a --all", ArgumentConflict, "--all"),
        ("p2p limit --up 0", ValueValidation, "--up"),
        ("p2p stores burn a", InvalidValue, "burn"),
        ("p2p invite --uses 0", ValueValidation, "--uses"),
        ("p2p invite --role king", InvalidValue, "king"),
        ("p2p swarm role a", MissingRequiredArgument, "ROLE"),
        ("p2p swarm show --secret --json", ArgumentConflict, "--json"),
        ("p2p ls --swarm a --open", ArgumentConflict, "--open"),
        ("p2p ls --trace all", ValueValidation, "tracker, serve and fetch"),
        ("p2p ls --log-format xml", InvalidValue, "xml"),
        ("p2p conformance --role tracker", MissingRequiredArgument, "HOST:PORT"),
        ("p2p conformance a:1", MissingRequiredArgument, "--role"),
        ("p2p conformance a:1 --role server --size 7", MissingRequiredArgument, "--id"),
        ("p2p conformance a:1 --role asker -- b", ArgumentConflict, "HOST:PORT"),
        ("p2p completions tcsh", InvalidValue, "tcsh"),
    ] {
        let Err(error) = read(line) else { panic!("`{line}` is understood") };
        let said = error.to_string();
        assert!(error.kind() == expected && said.contains(named), "`{line}`: {:?}: {said}", error.kind());
    }
}

#[test]
fn what_is_not_said_is_what_makes_sense_for_the_command() {
    let seconds = |seconds| Patience::For(Duration::from_secs(seconds));
    let Command::Upload(upload) = understood("p2p upload a") else { panic!("another command") };
    assert_eq!((upload.copies, upload.code, upload.asking.wait), (2, None, seconds(30)));
    assert!(!upload.allow_degraded && upload.called.is_none());
    let Command::Publish(publish) = understood("p2p publish a --as b") else { panic!("another command") };
    assert_eq!((publish.expect, publish.asking.wait), (0, seconds(30)));
    let Command::Ls(ls) = understood("p2p ls") else { panic!("another command") };
    assert_eq!((ls.asking.wait, ls.pattern, ls.recursive), (seconds(0), None, false));
    let Command::Find(find) = understood("p2p find a --wait forever") else { panic!("another command") };
    assert_eq!(find.asking.wait, Patience::Forever);
    let Command::Node(node) = understood("p2p node drain") else { panic!("another command") };
    assert_eq!((node.wait, node.file), (Period(Duration::from_secs(90)), None));
    let Command::Invite(invite) = understood("p2p invite") else { panic!("another command") };
    assert_eq!((invite.uses, invite.valid, &*invite.prefix), (1, Period(Duration::from_secs(86_400)), ""));
    let Command::Peer(peer) = understood("p2p peer a") else { panic!("another command") };
    assert_eq!((peer.store, peer.zone, peer.fault.len()), (None, None, 0));
    assert_eq!(peer.scrub, Period(Duration::from_secs(30 * 86_400)));
}

#[test]
fn several_are_given_one_after_the_other_or_with_commas_between() {
    let Command::Ls(ls) = understood("p2p ls --tracker a,b:7 --tracker c") else { panic!("another command") };
    assert_eq!(ls.asking.trackers.trackers, ["a:9700", "b:7", "c:9700"]);
    let line = "p2p tracker --node 2 --cluster 1=a,2=b:7 --cluster 3=c --spare 4=d";
    let Command::Tracker(tracker) = understood(line) else { panic!("another command") };
    let numbers: Vec<u16> = tracker.cluster.cluster.iter().map(|place| place.node).collect();
    assert_eq!((numbers, tracker.cluster.spare.len()), (vec![1, 2, 3], 1));
    assert_eq!(tracker.cluster.replace_after, Period(Duration::from_secs(300)));
    let line = "p2p get a --include *.jpg --include b/ --exclude c";
    let Command::Get(get) = understood(line) else { panic!("another command") };
    let filter = get.filter();
    assert_eq!((filter.include.len(), filter.exclude.len()), (2, 1));
}

#[test]
fn of_several_words_the_last_is_where_to() {
    for (line, whats, dest) in [
        ("p2p get a", vec!["a"], "."),
        ("p2p get a b", vec!["a"], "b"),
        ("p2p download a b@2/c -", vec!["a", "b@2/c"], "-"),
    ] {
        let (Command::Get(args) | Command::Download(args)) = understood(line) else {
            panic!("another command")
        };
        let (found, place) = args.places().unwrap();
        assert_eq!(
            (found, place),
            (whats.into_iter().map(str::to_owned).collect(), PathBuf::from(dest)),
            "{line}"
        );
    }
    use std::os::unix::ffi::OsStringExt;
    let no_text = OsString::from_vec(vec![0xff]);
    let words = ["p2p".into(), "get".into(), no_text, "b".into()];
    let Command::Get(args) = Cli::try_parse_from::<_, OsString>(words).unwrap().command else {
        panic!("another command")
    };
    assert!(args.places().unwrap_err().to_string().contains("UTF-8"));
}
