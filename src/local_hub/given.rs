//! A hub's identity that somebody else made: its certificate and the key of the policy that may do everything. So a
//! hub and its clients can be set up from the same Kubernetes Secret, before the hub has run for the first time.

use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use super::auth::Policy;

/// The files, named as in a Secret of type `kubernetes.io/tls`.
const CERTIFICATE: &str = "tls.crt";
const KEY: &str = "tls.key";
const AUTHORITY: &str = "ca.crt";
const OWNER_KEY: &str = "sharedAccessKey";
/// The policy that may do everything.
const OWNER: &str = "iothubowner";
/// A key of fewer bytes is a slip of the hand.
const LEAST_KEY_BYTES: usize = 16;

/// What a folder gives. `Debug` shows no key.
pub struct Given {
    /// The server's certificate and what stands between it and the authority.
    pub(super) chain: Vec<CertificateDer<'static>>,
    /// Its key.
    pub(super) key: PrivateKeyDer<'static>,
    /// What clients have to trust, PEM.
    pub(super) authority_pem: String,
    /// The owner's shared access key, base64.
    owner_key: String,
}

impl std::fmt::Debug for Given {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Given").field("chain", &self.chain.len()).finish_non_exhaustive()
    }
}

/// Why a folder gives no identity.
#[derive(Debug, thiserror::Error)]
pub enum GivenError {
    /// A file cannot be read.
    #[error("read {}", .0.display())]
    File(PathBuf, #[source] std::io::Error),
    /// A file holds something else.
    #[error("{} does not hold {expected}", .file.display())]
    Content {
        /// The file.
        file: PathBuf,
        /// What should be in it.
        expected: &'static str,
    },
}

impl Given {
    /// Reads `tls.crt`, `tls.key`, `ca.crt` (PEM) and `sharedAccessKey` (base64) in a folder.
    ///
    /// # Errors
    /// When a file is missing or holds something else.
    pub fn read(folder: &Path) -> Result<Self, GivenError> {
        let text = |name: &str| {
            let file = folder.join(name);
            std::fs::read_to_string(&file).map_err(|error| GivenError::File(file, error))
        };
        let wrong = |name: &str, expected| GivenError::Content { file: folder.join(name), expected };
        let chain = certificates(&text(CERTIFICATE)?).ok_or_else(|| wrong(CERTIFICATE, "a PEM certificate"))?;
        let key = PrivateKeyDer::from_pem_slice(text(KEY)?.as_bytes()).map_err(|_| wrong(KEY, "a PEM private key"))?;
        let authority_pem = text(AUTHORITY)?;
        certificates(&authority_pem).ok_or_else(|| wrong(AUTHORITY, "a PEM certificate"))?;
        let owner_key = text(OWNER_KEY)?.trim().to_owned();
        let bytes = STANDARD.decode(&owner_key).ok().filter(|bytes| bytes.len() >= LEAST_KEY_BYTES);
        bytes.ok_or_else(|| wrong(OWNER_KEY, "a key of at least 16 bytes in base64"))?;
        Ok(Self { chain, key, authority_pem, owner_key })
    }

    /// Gives the owner's policy its key; the second key stays as it was.
    pub(super) fn set_key(&self, policies: &mut [Policy]) {
        for policy in policies.iter_mut().filter(|policy| policy.name == OWNER) {
            policy.keys[0].clone_from(&self.owner_key);
        }
    }
}

fn certificates(pem: &str) -> Option<Vec<CertificateDer<'static>>> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem.as_bytes()).collect();
    found.ok().filter(|found| !found.is_empty())
}
