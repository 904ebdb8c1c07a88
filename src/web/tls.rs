//! TLS 1.3 on the socket of a connection: bytes in, bytes out, nothing that blocks. What rustls does with certificates and
//! keys is its business; here is how they are found, and one made for who has none.

use std::fs::{self, OpenOptions};
use std::io::{self, Read, Write};
use std::net::{IpAddr, TcpStream};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rcgen::{CertificateParams, DnType, KeyPair};
use rustix::net::{RecvFlags, SendFlags, recv, send};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{ServerConfig, ServerConnection};

/// Bytes that are sealed and wait for the socket, at most.
const MAX_WAITING: usize = 256 << 10;
/// A certificate that was made here, and its key.
const OWN_CERTIFICATE: &str = "page-cert.pem";
const OWN_KEY: &str = "page-key.pem";

/// Which certificate a page shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Certificate {
    /// One in PEM, and its key.
    Files(PathBuf, PathBuf),
    /// One that is made here, and kept where the page keeps what it keeps.
    Own,
}

/// By what connections are sealed.
#[derive(Debug, Clone)]
pub(super) struct Tls {
    config: Arc<ServerConfig>,
    /// SHA-256 of the certificate, as browsers show it.
    pub(super) fingerprint: String,
}

fn invalid(what: impl std::fmt::Display) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what.to_string())
}

impl Tls {
    /// With this certificate. One that is made is kept in `keeps`, and is for these names and addresses.
    ///
    /// # Errors
    /// It cannot be read, made or used.
    pub(super) fn new(
        certificate: &Certificate,
        keeps: Option<&Path>,
        (hosts, addresses): (&[String], &[IpAddr]),
    ) -> io::Result<Tls> {
        let (chain, key) = match certificate {
            Certificate::Files(chain, key) => read(chain, key)?,
            Certificate::Own => own(keeps, hosts, addresses)?,
        };
        let digest = chain.first().map(|first| ring::digest::digest(&ring::digest::SHA256, first));
        let digest = digest.ok_or_else(|| invalid("there is no certificate in it"))?;
        let hex: Vec<String> = digest.as_ref().iter().map(|byte| format!("{byte:02X}")).collect();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])
            .map_err(invalid)?
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .map_err(invalid)?;
        Ok(Tls { config: Arc::new(config), fingerprint: hex.join(":") })
    }

    /// The state of a connection that begins.
    pub(super) fn begin(&self) -> io::Result<Box<Sealed>> {
        let mut connection = ServerConnection::new(self.config.clone()).map_err(invalid)?;
        connection.set_buffer_limit(Some(MAX_WAITING));
        Ok(Box::new(Sealed(connection)))
    }
}

type Pair = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

fn read(chain: &Path, key: &Path) -> io::Result<Pair> {
    let at = |path: &Path| {
        let path = path.display().to_string();
        move |error: rustls::pki_types::pem::Error| invalid(format!("{path}: {error}"))
    };
    let certificates = CertificateDer::pem_file_iter(chain).map_err(at(chain))?;
    let certificates = certificates.collect::<Result<Vec<_>, _>>().map_err(at(chain))?;
    Ok((certificates, PrivateKeyDer::from_pem_file(key).map_err(at(key))?))
}

/// The one that was made before, so that who has believed it need not do so again; else a new one.
fn own(keeps: Option<&Path>, hosts: &[String], addresses: &[IpAddr]) -> io::Result<Pair> {
    let places = keeps.map(|folder| (folder.join(OWN_CERTIFICATE), folder.join(OWN_KEY)));
    if let Some((chain, key)) = places.as_ref().filter(|(chain, key)| chain.exists() && key.exists()) {
        return read(chain, key);
    }
    let bare = |host: &String| host.rsplit_once(':').map_or(host.clone(), |(bare, _)| bare.to_owned());
    let names = hosts.iter().map(bare).chain(["localhost".to_owned()]);
    let names: Vec<String> = names.chain(addresses.iter().map(ToString::to_string)).collect();
    let key = KeyPair::generate().map_err(invalid)?;
    let mut params = CertificateParams::new(names).map_err(invalid)?;
    params.distinguished_name.push(DnType::CommonName, "p2p");
    let certificate = params.self_signed(&key).map_err(invalid)?;
    if let Some((chain_at, key_at)) = places {
        // The key first: a certificate without it would be of no use.
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(key_at)?;
        file.write_all(key.serialize_pem().as_bytes())?;
        fs::write(chain_at, certificate.pem())?;
    }
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    Ok((vec![certificate.der().clone()], key))
}

/// The socket as rustls reads and writes it: what is not there yet is [`io::ErrorKind::WouldBlock`].
struct Raw<'a>(&'a TcpStream);

impl Read for Raw<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        Ok(recv(self.0, buffer, RecvFlags::DONTWAIT)?.0)
    }
}

impl Write for Raw<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(send(self.0, bytes, SendFlags::NOSIGNAL | SendFlags::DONTWAIT)?)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A connection under TLS.
pub(super) struct Sealed(ServerConnection);

impl Sealed {
    /// What the other side sent, 0 bytes at its end.
    ///
    /// # Errors
    /// [`io::ErrorKind::WouldBlock`] until there is more; else what ended it.
    pub(super) fn read(&mut self, socket: &TcpStream, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.0.reader().read(buffer) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                other => return other,
            }
            let taken = self.0.read_tls(&mut Raw(socket));
            if taken? == 0 {
                return Ok(0);
            }
            let processed = self.0.process_new_packets();
            // An alert, too, has to go out.
            match (self.flush(socket), processed) {
                (_, Err(error)) => return Err(invalid(error)),
                (Err(error), _) if error.kind() != io::ErrorKind::WouldBlock => return Err(error),
                _ => {}
            }
        }
    }

    /// Seals bytes, and sends what the socket takes; how many bytes that were.
    ///
    /// # Errors
    /// [`io::ErrorKind::WouldBlock`] if none, because much waits for the socket; else what ended it.
    pub(super) fn write(&mut self, socket: &TcpStream, bytes: &[u8]) -> io::Result<usize> {
        let taken = self.0.writer().write(bytes)?;
        match self.flush(socket) {
            Err(error) if error.kind() != io::ErrorKind::WouldBlock => return Err(error),
            Err(error) if taken == 0 => return Err(error),
            _ => {}
        }
        match taken {
            0 => self.0.writer().write(bytes), // there is room now
            taken => Ok(taken),
        }
    }

    /// Sends what is sealed.
    ///
    /// # Errors
    /// [`io::ErrorKind::WouldBlock`] while the socket does not take all of it.
    pub(super) fn flush(&mut self, socket: &TcpStream) -> io::Result<()> {
        while self.0.wants_write() {
            self.0.write_tls(&mut Raw(socket))?;
        }
        Ok(())
    }

    /// True if something waits for the socket.
    pub(super) fn waits(&self) -> bool {
        self.0.wants_write()
    }

    /// Says that no more comes.
    pub(super) fn close(&mut self, socket: &TcpStream) {
        self.0.send_close_notify();
        let _ = self.flush(socket); // who is gone hears nothing
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_that_was_made_is_the_same_at_the_next_start() {
        let folder = tempfile::tempdir().unwrap();
        let make = || {
            let at = (&["p2p.example:443".to_owned()][..], &[IpAddr::from([10, 0, 0, 5])][..]);
            Tls::new(&Certificate::Own, Some(folder.path()), at).unwrap().fingerprint
        };
        let first = make();
        assert_eq!((first.len(), make()), (32 * 3 - 1, first));
        let (chain, key) = (folder.path().join(OWN_CERTIFICATE), folder.path().join(OWN_KEY));
        assert_eq!(std::os::unix::fs::MetadataExt::mode(&fs::metadata(&key).unwrap()) & 0o777, 0o600);
        assert!(read(&chain, &key).is_ok());
        let swapped = read(&key, &chain).unwrap_err().to_string();
        assert!(swapped.contains(OWN_CERTIFICATE) || swapped.contains(OWN_KEY), "{swapped}");
        fs::write(&chain, "nothing").unwrap();
        assert!(Tls::new(&Certificate::Own, Some(folder.path()), (&[], &[])).is_err());
    }
}
