//! Examples for the end of each command's help: what is behind `#` says what the line does.

pub(crate) const TRACKER: &str = "Examples:
  p2p tracker                         # on port 9700, closed; prints the link by which others join
  p2p tracker --open                  # the same in the clear, for everybody who can reach this machine
  p2p tracker --listen 127.0.0.1:0    # on a free port, for this machine alone
  p2p tracker --web                   # with a page, for this machine alone";

pub(crate) const PEER: &str = "Examples:
  p2p peer ./photos                       # at the tracker on this machine
  p2p peer ./photos --tracker 10.0.0.5    # at another one
  p2p peer ./photos --up 10MB/s --exclude '*.raw' --exclude drafts/
  p2p peer ./lent --store 100GB --zone cellar  # keeps for others what the tracker says
  p2p peer ./photos --web                      # with a page, for this machine alone";

#[cfg(feature = "web")]
pub(crate) const WEB: &str = "Examples:
  p2p web login            # a link that opens, once, the page of the peer that shares this folder
  p2p web login ./photos   # of the peer that shares that one
  p2p web login ./data     # of the tracker that was started with --data ./data";

pub(crate) const UP: &str = "Examples:
  p2p up                        # what node.toml says, until stopped
  p2p up /etc/p2p/node.toml
  p2p up --demo 3               # three nodes on this machine, to look at";

pub(crate) const NODE: &str = "Examples:
  p2p node status
  p2p node restart                       # every role, one after the other
  p2p node stop tracker
  p2p node logs data --file node.toml
  p2p node drain                         # before the machine goes down";

pub(crate) const CLUSTER: &str = "Examples:
  p2p cluster status
  p2p cluster add 4=10.0.0.4:9700     # which runs with --node 4 and the same --cluster as the others
  p2p cluster remove 2                # for good, or before it comes back with an empty disk
  p2p cluster nodes                   # which hosts there are, and which are lost
  p2p cluster pause                   # while hosts are worked on: nobody is brought back
  p2p cluster forget rack1-b          # it is gone for good";

pub(crate) const DOCTOR: &str = "Examples:
  p2p doctor                              # this machine and its tracker
  p2p doctor ./photos --tracker 10.0.0.5
  p2p doctor --quick --json               # for health checks: exit code 1 if something fails";

pub(crate) const SHARE: &str = "Examples:
  p2p share big.iso              # with a tracker built in; prints the line for the other side
  p2p share ./photos --until 1   # ends when somebody has all of it";

pub(crate) const LS: &str = "Examples:
  p2p ls             # the top level
  p2p ls photos/     # what lies in a folder
  p2p ls -r          # everything
  p2p ls '*.iso'     # what matches, at any depth";

pub(crate) const FIND: &str = "Examples:
  p2p find big.iso
  p2p find 4662aad9e124         # by the first digits of its id
  p2p find 'photos/*' --json";

pub(crate) const GET: &str = "Examples:
  p2p get big.iso                              # into the current folder
  p2p get photos/ notes.txt ~/Downloads/       # a folder and a file
  p2p get 'photos/2024/*.jpg' pictures/        # what matches; `*` and `?` stand for what is in one name
  p2p get photos/ --include '*.jpg' -n         # what would be fetched of it, and where to
  p2p get notes.txt - -q                       # to standard output
  p2p get 4662aad9e124 --as big.iso            # by the first digits of its id";

pub(crate) const UPLOAD: &str = "Examples:
  p2p upload ./photos                  # kept by two stores when this ends
  p2p upload big.iso --as images/2026.iso --copies 3";

pub(crate) const PUBLISH: &str = "Examples:
  p2p publish 'p2p:4662aad9…?name=big.iso&size=268435456' --as images/2026.iso
  p2p publish photos.p2p --as photos   # a new version for all who get photos/";

pub(crate) const DOWNLOAD: &str = "Examples:
  p2p download photos/ pictures/       # the latest version
  p2p download photos@2 old/           # the second one
  p2p download photos/2024/beach.jpg   # one file of it";

pub(crate) const VERSIONS: &str = "Examples:
  p2p versions photos/
  p2p versions big.iso --json";

pub(crate) const RM: &str = "Examples:
  p2p rm photos@2    # one version
  p2p rm photos/     # all of them";

pub(crate) const CREATE: &str = "Examples:
  p2p create big.iso                           # writes big.iso.p2p, prints the link
  p2p create ./photos -o /tmp/photos.p2p --tracker 10.0.0.5";

pub(crate) const LOAD: &str = "Examples:
  p2p load alice
  p2p load 10.0.0.7:40124 --json";

pub(crate) const STATUS: &str = "Examples:
  p2p status             # what the trackers see
  p2p status ./photos    # what the peer that shares this folder is doing";

pub(crate) const CANCEL: &str = "Examples:
  p2p cancel big.iso    # of the peer that shares the current folder
  p2p cancel --all --peer ./photos";

pub(crate) const PAUSE: &str = "Examples:
  p2p pause big.iso
  p2p pause 4662aad9e124 --peer ./photos    # by the first digits of its id";

pub(crate) const RESUME: &str = "Examples:
  p2p resume big.iso
  p2p resume --all";

pub(crate) const LIMIT: &str = "Examples:
  p2p limit --down 5MB/s --up 1MB/s    # all that the peer of the current folder does
  p2p limit big.iso --down 500KB/s     # one fetch
  p2p limit --down none --peer ./photos";

pub(crate) const STORES: &str = "Examples:
  p2p stores
  p2p stores leave lab3   # others keep what it holds; then it can be taken away";

pub(crate) const HEALTH: &str = "Examples:
  p2p health             # of everything that stores keep
  p2p health photos/     # of all versions of one name";

pub(crate) const WHY: &str = "Examples:
  p2p why             # of the peer that shares the current folder
  p2p why ./photos";

pub(crate) const CONFORMANCE: &str = "Examples:
  p2p conformance 127.0.0.1:9700 --role tracker
  p2p conformance 127.0.0.1:40124 --role server --json
  p2p conformance --role asker -- p2p get {name} {dest} --tracker {tracker} --wait {wait}";

pub(crate) const INVITE: &str = "Examples:
  p2p invite                              # for one machine, within a day
  p2p invite --uses 20 --for 7d           # for a class
  p2p invite --role reader                # may fetch, and help to serve
  p2p invite --prefix anna/               # publishes under anna/ alone";

pub(crate) const JOIN: &str = "Examples:
  p2p join 'p2p-join:10.0.0.5:9700/4KX7W-…'   # as `p2p invite` printed it
  p2p join -                                  # pasted, so that it is not among the processes";

pub(crate) const MEMBERS: &str = "Examples:
  p2p members
  p2p members --json";

pub(crate) const REVOKE: &str = "Examples:
  p2p revoke anna@laptop     # as `p2p members` calls it
  p2p revoke 4KX7W2M9        # by the first letters of its key";

pub(crate) const SWARM: &str = "Examples:
  p2p swarm show               # which swarm this is, and who its trackers are
  p2p swarm show --secret      # its key, for a paper backup
  p2p swarm role anna admin    # from now on anna invites, too
  p2p swarm rotate --grace 0s  # a new key, and the old one is over";

#[cfg(test)]
mod tests {
    use clap::{CommandFactory, Parser};

    use crate::cli::typed::args::Cli;

    /// The words of a line, as a shell divides it.
    fn words(line: &str) -> Vec<String> {
        let line = line.split(" #").next().unwrap_or_default();
        let quoted = line.split('\'').enumerate();
        quoted
            .flat_map(|(place, part)| match place % 2 {
                0 => part.split_whitespace().map(str::to_owned).collect::<Vec<_>>(),
                _ => vec![part.to_owned()],
            })
            .collect()
    }

    #[test]
    fn every_command_has_examples_that_can_be_typed() {
        let is_typed =
            |command: &&clap::Command| command.get_name() != "completions" && !command.is_hide_set();
        for command in Cli::command().get_subcommands().filter(is_typed) {
            let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            let lines: Vec<&str> = help.lines().filter_map(|line| line.strip_prefix("  ")).collect();
            assert!(lines.len() >= 2, "{} has no examples", command.get_name());
            for line in lines {
                assert!(
                    line.starts_with(&format!("p2p {} ", command.get_name()))
                        || line.contains(command.get_name())
                );
                let typed = Cli::try_parse_from(words(line));
                assert!(typed.is_ok(), "{line}: {}", typed.unwrap_err());
            }
        }
    }
}
