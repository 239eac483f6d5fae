//! Certificates of clients: asked for, never required. The handshake proves that a client holds the key; which
//! certificate it is, is told by its thumbprint and judged later, at CONNECT. Authorities and dates play no part.

use std::sync::Arc;

use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{DigitallySignedStruct, DistinguishedName, Error, SignatureScheme};
use rustls_pki_types::{CertificateDer, UnixTime};
use sha1::Sha1;
use sha2::{Digest as _, Sha256};

/// The thumbprints of one certificate: SHA-1 and SHA-256, in hexadecimal digits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Thumbprints([String; 2]);

impl Thumbprints {
    /// Those of a certificate in DER.
    #[must_use]
    pub fn of(certificate: &[u8]) -> Self {
        Self([hex(&Sha1::digest(certificate)), hex(&Sha256::digest(certificate))])
    }

    /// Whether a registered thumbprint is one of them, in either case.
    #[must_use]
    pub fn matches(&self, registered: &str) -> bool {
        self.0.iter().any(|ours| ours.eq_ignore_ascii_case(registered))
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02X}")).collect()
}

/// Takes any certificate whose key signs the handshake.
#[derive(Debug)]
pub(super) struct AnyCertificate(pub(super) Arc<CryptoProvider>);

impl ClientCertVerifier for AnyCertificate {
    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        // No hint: a client shows whatever certificate it has.
        &[]
    }

    fn verify_client_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thumbprints_are_the_digests_of_the_certificate() {
        // The digests of "abc" in FIPS 180-4's examples.
        let thumbprints = Thumbprints::of(b"abc");
        assert!(thumbprints.matches("a9993e364706816aba3e25717850c26c9cd0d89d"));
        assert!(thumbprints.matches("BA7816BF8F01CFEA414140DE5DAE2223B00361A396177A9CB410FF61F20015AD"));
        assert!(!thumbprints.matches("A9993E364706816ABA3E25717850C26C9CD0D89E"));
        assert!(!thumbprints.matches(""));
    }
}
