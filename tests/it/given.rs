//! A hub whose certificate and key came from elsewhere, as from a Kubernetes Secret.

use std::fs;
use std::path::{Path, PathBuf};

use hubtwin::hub::{self, ConnectionString, TwinId};
use hubtwin::local_hub::given::Given;
use hubtwin::local_hub::{Config, LocalHub};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};

const KEY: &str = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";
const OTHER_KEY: &str = "ZmVkY2JhOTg3NjU0MzIxMGZlZGNiYTk4NzY1NDMyMTA=";

/// A folder as a Secret is mounted, with a certificate for localhost.
fn folder(name: &str) -> PathBuf {
    let folder = std::env::temp_dir().join(format!("hubtwin-given-{}-{name}", std::process::id()));
    fs::create_dir_all(&folder).expect("a folder");
    let mut authority = CertificateParams::default();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority_key = KeyPair::generate().expect("a key");
    let ca = authority.self_signed(&authority_key).expect("a certificate").pem();
    let issuer = Issuer::new(authority, authority_key);
    let key = KeyPair::generate().expect("a key");
    let params = CertificateParams::new(["localhost".to_owned()]).expect("a name");
    let certificate = params.signed_by(&key, &issuer).expect("a certificate").pem();
    for (file, text) in [
        ("ca.crt", ca),
        ("tls.crt", certificate),
        ("tls.key", key.serialize_pem()),
        ("sharedAccessKey", KEY.to_owned()),
    ] {
        fs::write(folder.join(file), text).expect("it can be written");
    }
    folder
}

/// A client that trusts the folder's authority and comes with this key.
fn client(folder: &Path, port: u16, key: &str) -> hub::Client {
    let text = format!("HostName=localhost:{port};SharedAccessKeyName=iothubowner;SharedAccessKey={key}");
    let string = ConnectionString::parse(&text).expect("a connection string");
    let mut settings = hub::Settings::new(string.host().clone(), string.service_credential().expect("a back end's"));
    settings.extra_root_pem = Some(fs::read(folder.join("ca.crt")).expect("the authority"));
    hub::Client::new(settings).expect("a client")
}

#[tokio::test]
async fn clients_that_were_set_up_from_the_same_folder_find_and_trust_the_hub() {
    let folder = folder("works");
    let given = Some(Given::read(&folder).expect("a whole folder"));
    let hub = LocalHub::start(Config { given, ..Config::default() }).await.expect("it starts");
    let pump = TwinId::parse("pump", None::<&str>).expect("an id");
    client(&folder, hub.https_port(), KEY).create_identity(&pump).await.expect("the key of the folder counts");
    let refused = client(&folder, hub.https_port(), OTHER_KEY).get_twin(&pump).await.expect_err("another does not");
    assert_eq!(refused.kind(), hub::Kind::Unauthorized);
    assert!(hub.service_connection_string().ends_with(KEY));
    hub.shutdown().await;
    fs::remove_dir_all(folder).expect("it can be removed");
}

#[test]
fn a_folder_that_is_not_whole_is_refused_by_the_name_of_the_file() {
    let folder = folder("broken");
    for (file, text, told) in [
        ("sharedAccessKey", "short", "does not hold a key of at least 16 bytes in base64"),
        ("ca.crt", "none", "does not hold a PEM certificate"),
        ("tls.key", "none", "does not hold a PEM private key"),
        ("tls.crt", "", "does not hold a PEM certificate"),
    ] {
        fs::write(folder.join(file), text).expect("it can be written");
        let error = Given::read(&folder).expect_err(file).to_string();
        assert_eq!(error, format!("{} {told}", folder.join(file).display()));
    }
    fs::remove_file(folder.join("tls.crt")).expect("it is there");
    let error = Given::read(&folder).expect_err("a file is missing").to_string();
    assert_eq!(error, format!("read {}", folder.join("tls.crt").display()));
    fs::remove_dir_all(folder).expect("it can be removed");
}
