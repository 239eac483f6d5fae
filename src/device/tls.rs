//! One TLS setup for all devices: made for each, a thousand of them would parse a thousand root stores.

use std::sync::Arc;

use rumqttc::TlsConfiguration;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{ClientConfig, RootCertStore};

/// A client certificate and its key, both in PEM.
#[derive(Clone)]
pub struct Certificate {
    /// The certificate, and whatever stands behind it.
    pub certificate_pem: Vec<u8>,
    /// The key.
    pub key_pem: Vec<u8>,
}

impl std::fmt::Debug for Certificate {
    /// Without the key.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Certificate").finish_non_exhaustive()
    }
}

/// Why devices cannot start.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// The root certificates are not PEM, or hold none.
    #[error("the root certificates are no certificates in PEM")]
    Roots,
    /// A root certificate is malformed.
    #[error("a root certificate is malformed")]
    Root(#[source] rustls::Error),
    /// The client certificate is not PEM, or holds none.
    #[error("the client certificate is no certificate in PEM")]
    Certificate,
    /// The key is not PEM, or holds none.
    #[error("the key is no private key in PEM")]
    Key,
    /// The key cannot be used, or is not that of the certificate.
    #[error("the key is not one of this certificate")]
    Pair(#[source] rustls::Error),
}

/// The setup with these roots in place of those of the system, and a client certificate where there is one.
pub(super) fn configuration(
    ca_pem: Option<&[u8]>,
    certificate: Option<&Certificate>,
) -> Result<TlsConfiguration, SetupError> {
    let mut config = match (ca_pem, TlsConfiguration::default) {
        (Some(pem), _) => Arc::new(ClientConfig::builder().with_root_certificates(roots(pem)?).with_no_client_auth()),
        (None, system) => match system() {
            TlsConfiguration::Rustls(config) => config,
            other => return Ok(other),
        },
    };
    if let Some(certificate) = certificate {
        let key = certified_key(certificate, &config)?;
        Arc::make_mut(&mut config).client_auth_cert_resolver = Arc::new(SingleCertAndKey::from(key));
    }
    Ok(TlsConfiguration::Rustls(config))
}

fn roots(pem: &[u8]) -> Result<RootCertStore, SetupError> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem) {
        roots.add(certificate.map_err(|_| SetupError::Roots)?).map_err(SetupError::Root)?;
    }
    if roots.is_empty() { Err(SetupError::Roots) } else { Ok(roots) }
}

fn certified_key(certificate: &Certificate, config: &ClientConfig) -> Result<CertifiedKey, SetupError> {
    let Certificate { certificate_pem, key_pem } = certificate;
    let chain = CertificateDer::pem_slice_iter(certificate_pem).collect::<Result<Vec<_>, _>>();
    let chain = chain.ok().filter(|chain| !chain.is_empty()).ok_or(SetupError::Certificate)?;
    let key = PrivateKeyDer::from_pem_slice(key_pem).map_err(|_| SetupError::Key)?;
    CertifiedKey::from_der(chain, key, config.crypto_provider()).map_err(SetupError::Pair)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_certificate_or_key_is_named() {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let made = |name: &str| rcgen::generate_simple_self_signed(vec![name.to_owned()]).unwrap();
        let (one, other) = (made("one"), made("other"));
        let pem = one.cert.pem().into_bytes();
        let with = |certificate: &str, key: &str| Certificate {
            certificate_pem: certificate.as_bytes().to_vec(),
            key_pem: key.as_bytes().to_vec(),
        };
        let (certificate, key) = (one.cert.pem(), one.signing_key.serialize_pem());
        let wrong = other.signing_key.serialize_pem();
        let error = |certificate| configuration(Some(&pem), Some(&certificate)).err().map(|error| error.to_string());
        assert_eq!(error(with(&certificate, &key)), None);
        assert_eq!(error(with("x", &key)).unwrap(), "the client certificate is no certificate in PEM");
        assert_eq!(error(with(&certificate, "x")).unwrap(), "the key is no private key in PEM");
        assert_eq!(error(with(&certificate, &wrong)).unwrap(), "the key is not one of this certificate");
        let roots = configuration(Some(b"x"), None).err().map(|error| error.to_string());
        assert_eq!(roots.unwrap(), "the root certificates are no certificates in PEM");
    }
}
