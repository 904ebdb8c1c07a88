//! The page of a peer or tracker, as a command serves it beside its work. No trouble with it ends that.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::cli::failure::Failure;
use crate::cli::reach::swarm;
use crate::cli::run::engine;
use crate::cli::show::output;
use crate::cli::typed::page::{PageAddress, PageArgs};
use crate::say;
use crate::web::{self, Certificate, Config, House, Web};

/// The usual port of a tracker's page, and of a peer's.
const TRACKER_PORT: u16 = 9780;
const PEER_PORT: u16 = 9781;
/// Stands for a certificate that is made here.
const OWN: &str = "self";
/// Bytes of the secret that pages share.
const LEAST_SECRET: usize = 32;
const MOST_SECRET: usize = 4096;

/// How a page is to be served, if one is wanted: looked at before anything else is started.
///
/// # Errors
/// Strangers could read what is said.
pub(crate) fn wanted(args: &PageArgs, of_tracker: bool) -> Result<Option<Config>, Failure> {
    let usual = if of_tracker { TRACKER_PORT } else { PEER_PORT };
    let near = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), usual);
    args.web.map(|at| checked(config(args, at, near)?)).transpose()
}

/// The same of a link for browsers, which are on other machines: sealed, unless the swarm is open, too.
///
/// # Errors
/// Strangers could read what is said.
pub(crate) fn for_browsers(args: &PageArgs) -> Result<Option<Config>, Failure> {
    let Some(at) = args.web else { return Ok(None) };
    let far = SocketAddr::new(IpAddr::V6(Ipv6Addr::UNSPECIFIED), PEER_PORT);
    let mut config = config(args, at, far)?;
    config.open = swarm::is_open();
    let is_sealed = config.certificate.is_some() || config.proxy.is_some();
    if !is_sealed && !config.open && !config.listen.ip().is_loopback() {
        config.certificate = Some(Certificate::Own);
    }
    checked(config).map(Some)
}

fn config(args: &PageArgs, at: PageAddress, usual: SocketAddr) -> Result<Config, Failure> {
    let (listen, any_port) = match at {
        PageAddress::Usual => (usual, true),
        PageAddress::At(addr) => (addr, false),
    };
    let certificate = match (&args.web_cert, &args.web_key) {
        (None, _) => None,
        (Some(chain), None) if chain.as_os_str() == OWN => Some(Certificate::Own),
        (Some(_), None) => return Err(Failure::usage("--web-key names the file with the key of --web-cert")),
        (Some(chain), Some(key)) => Some(Certificate::Files(chain.clone(), key.clone())),
    };
    let secret = args.web_secret.as_ref().map(|path| secret_in(path)).transpose()?;
    let also = args.web_also.clone();
    let (hosts, proxy, outward) = (args.web_host.clone(), args.web_proxy, engine::outward_addresses());
    Ok(Config {
        listen,
        any_port,
        hosts,
        proxy,
        certificate,
        open: false,
        outward,
        also,
        secret,
        keeps: None,
        bell: None,
        cache: 0,
    })
}

/// What pages share, which others must not be able to read.
fn secret_in(path: &Path) -> Result<Vec<u8>, Failure> {
    let at = |what: String| Failure::usage(format!("{}: {what}", path.display()));
    let metadata = fs::metadata(path).map_err(|error| at(error.to_string()))?;
    if metadata.mode() & 0o077 != 0 {
        return Err(at("others can read or change it; `chmod 600` it".to_owned()));
    }
    let secret = fs::read(path).map_err(|error| at(error.to_string()))?;
    match secret.len() {
        LEAST_SECRET..=MOST_SECRET => Ok(secret),
        bytes => Err(at(format!("a secret has {LEAST_SECRET} to {MOST_SECRET} bytes, and this has {bytes}"))),
    }
}

fn checked(config: Config) -> Result<Config, Failure> {
    config.check().map_err(|error| Failure::usage(error.to_string()))?;
    Ok(config)
}

/// Serves a page, and says how it is known if it is sealed. One that cannot be served is told, and missed.
pub(crate) fn start(config: Option<Config>, house: House) -> Option<Web> {
    match web::start(&config?, house) {
        Ok(page) => {
            if let Some(fingerprint) = page.fingerprint() {
                output::ready(&format!("the page's certificate has the SHA-256 fingerprint {fingerprint}"));
            }
            Some(page)
        }
        Err(error) => {
            say::line(&format!("warning: there is no page: {error}"));
            None
        }
    }
}

/// Serves a page, and prints the link that opens it.
pub(crate) fn serve(config: Option<Config>, house: House, keeps: Option<PathBuf>) -> Option<Web> {
    let bell = matches!(house, House::Tracker(_)).then(|| keeps.clone().or_else(swarm::state)).flatten();
    let page = start(config.map(|config| Config { keeps, bell, ..config }), house.clone())?;
    let login = page.login();
    output::ready(&format!("page at {}, opened once by {}", page.url(), login()));
    if let House::Peer(peer) = house {
        peer.has_page(login);
    }
    Some(page)
}

/// Ends it.
pub(crate) fn stop(page: Option<Web>) {
    if let Some(page) = page {
        page.stop();
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use clap::Parser;

    use super::*;
    use crate::api::Exit;

    #[derive(Parser)]
    struct Typed {
        #[command(flatten)]
        page: PageArgs,
    }

    fn typed(line: &str) -> PageArgs {
        Typed::parse_from(["p2p"].into_iter().chain(line.split_whitespace())).page
    }

    #[test]
    fn a_page_is_at_the_usual_port_of_this_machine_unless_another_place_is_named() {
        assert!(wanted(&typed(""), true).unwrap().is_none());
        for (line, of_tracker, listen, any_port) in [
            ("--web", true, "127.0.0.1:9780", true),
            ("--web", false, "127.0.0.1:9781", true),
            ("--web=80", false, "127.0.0.1:80", false),
            ("--web=[::1]:0", true, "[::1]:0", false),
        ] {
            let page = wanted(&typed(line), of_tracker).unwrap().unwrap();
            assert_eq!((&*page.listen.to_string(), page.any_port), (listen, any_port), "{line}");
        }
        let line = "--web --web-host a.example --web-host b --web-proxy 10.0.0.9 --web-also https://c:1";
        let page = wanted(&typed(line), true).unwrap().unwrap();
        assert_eq!(
            (page.hosts, page.also),
            (vec!["a.example".into(), "b".into()], vec!["https://c:1/".into()])
        );
        assert_eq!(page.proxy, Some(IpAddr::from([10, 0, 0, 9])));
    }

    #[test]
    fn what_strangers_could_read_is_sealed_or_refused() {
        assert_eq!(wanted(&typed("--web=0.0.0.0:80"), true).unwrap_err().exit, Exit::Usage);
        for sealed in ["--web-cert self", "--web-cert a.pem --web-key b.pem", "--web-proxy 10.0.0.1"] {
            assert!(
                wanted(&typed(&format!("--web=0.0.0.0:80 {sealed}")), true).unwrap().is_some(),
                "{sealed}"
            );
        }
        let seals_itself = |line: &str| {
            let page = for_browsers(&typed(line)).unwrap();
            page.map(|page| matches!(page.certificate, Some(Certificate::Own)))
        };
        for (line, seals) in [
            ("", None),
            ("--web", Some(true)),
            ("--web=10.0.0.1:80", Some(true)),
            ("--web=127.0.0.1:80", Some(false)),
            ("--web=10.0.0.1:80 --web-proxy 10.0.0.2", Some(false)),
            ("--web=10.0.0.1:80 --web-cert a.pem --web-key b.pem", Some(false)),
        ] {
            assert_eq!(seals_itself(line), seals, "{line}");
        }
        let usual = for_browsers(&typed("--web")).unwrap().unwrap();
        assert_eq!((&*usual.listen.to_string(), usual.any_port), ("[::]:9781", true));
    }

    #[test]
    fn a_certificate_has_a_key_and_a_secret_is_nobody_else_s() {
        let refused = wanted(&typed("--web --web-cert a.pem"), true).unwrap_err();
        assert!(refused.to_string().starts_with("--web-key names the file"), "{refused}");
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret");
        let line = format!("--web --web-secret {}", path.display());
        let secret =
            || wanted(&typed(&line), true).map(|page| page.unwrap().secret.map(|secret| secret.len()));
        assert!(secret().unwrap_err().to_string().starts_with(&*path.display().to_string()));
        for (bytes, mode, taken) in [
            (LEAST_SECRET, 0o600, true),
            (MOST_SECRET, 0o400, true),
            (LEAST_SECRET - 1, 0o600, false),
            (MOST_SECRET + 1, 0o600, false),
            (LEAST_SECRET, 0o640, false),
            (LEAST_SECRET, 0o602, false),
        ] {
            let _ = fs::remove_file(&path);
            fs::write(&path, vec![7; bytes]).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            match secret() {
                Ok(read) => assert_eq!((read, taken), (Some(bytes), true), "{bytes} bytes, {mode:o}"),
                Err(why) => {
                    assert_eq!((why.exit, taken), (Exit::Usage, false), "{bytes} bytes, {mode:o}: {why}")
                }
            }
        }
    }
}
