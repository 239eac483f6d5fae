//! The programs as processes: started, used, and asked to end.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use hubtwin::sas::Key;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::support::{Cluster, Program, eventually, is_true, kubeconfig, twin as device_twin};

/// Runs `hubtwin twin` with the settings that a hub wrote.
async fn twin(settings: &BTreeMap<String, String>, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hubtwin"));
    command.arg("twin").args(arguments).envs(settings);
    tokio::task::spawn_blocking(move || command.output()).await.expect("no panic").expect("the program runs")
}

async fn json_of(settings: &BTreeMap<String, String>, arguments: &[&str]) -> Value {
    let output = twin(settings, arguments).await;
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    serde_json::from_slice(&output.stdout).expect("it prints JSON")
}

#[tokio::test]
async fn a_hub_serves_back_ends_until_it_is_asked_to_end() {
    let hub = Program::start(&["hub", "--https-port=0", "--mqtt-port=0", "--admin-port=0"]);
    let settings = hub.settings().await;
    let created = twin(&settings, &["create", "pump"]).await;
    assert_eq!(String::from_utf8_lossy(&created.stdout), "created pump\n", "{created:?}");
    let again = twin(&settings, &["create", "pump"]).await;
    let told = String::from_utf8_lossy(&again.stderr).into_owned();
    assert!(again.status.code() == Some(1) && told.lines().count() == 1, "{again:?}");
    assert!(told.starts_with("hubtwin: ") && told.contains("pump"), "{told}");

    let patched = json_of(&settings, &["patch", "pump", "--tags", r#"{"a":1,"b":2}"#, "--desired", r#"{"c":3}"#]).await;
    assert_eq!((&patched["tags"], &patched["properties"]["desired"]["c"]), (&json!({"a": 1, "b": 2}), &json!(3)));
    json_of(&settings, &["patch", "pump", "--tags", r#"{"b":null}"#]).await;
    assert_eq!(json_of(&settings, &["get", "pump"]).await["tags"], json!({"a": 1}));
    let missing = twin(&settings, &["get", "nobody"]).await;
    assert!(String::from_utf8_lossy(&missing.stderr).contains("nobody"), "{missing:?}");

    let ended = hub.terminate().await;
    assert_eq!(ended.status.code(), Some(0), "{ended:?}");
    let key = settings["HUB_SERVICE_CONNECTION_STRING"].split_once("SharedAccessKey=").expect("a key").1;
    assert!(!String::from_utf8_lossy(&ended.stdout).contains(key), "the banner shows no key");
    let down = twin(&settings, &["get", "pump"]).await;
    assert_eq!(down.status.code(), Some(1), "{down:?}");
}

#[tokio::test]
async fn a_device_goes_by_its_certificate() {
    let hub = Program::start(&["hub", "--https-port=0", "--mqtt-port=0", "--admin-port=0"]);
    let settings = hub.settings().await;
    let made = rcgen::generate_simple_self_signed(vec!["pump".to_owned()]).expect("a certificate can be made");
    let thumbprint: String = Sha256::digest(made.cert.der()).iter().map(|byte| format!("{byte:02x}")).collect();
    let authentication =
        json!({"type": "selfSigned", "x509Thumbprint": {"primaryThumbprint": null, "secondaryThumbprint": thumbprint}});
    let identity = json!({"deviceId": "pump", "authentication": authentication});
    assert_eq!(put(&settings, "/devices/pump", &identity).await, 200);

    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("device-{:012x}", fastrand::u64(..1 << 48)));
    std::fs::create_dir(&folder).expect("a folder of its own");
    let (certificate, key) = (folder.join("pump.pem"), folder.join("pump.key"));
    std::fs::write(&certificate, made.cert.pem()).expect("the folder can be written");
    std::fs::write(&key, made.signing_key.serialize_pem()).expect("the folder can be written");
    let mut device = Command::new(env!("CARGO_BIN_EXE_hubtwin"))
        .args(["device", "pump", "--report", r#"{"a":1}"#, "--cert-file"])
        .arg(&certificate)
        .arg("--key-file")
        .arg(&key)
        .envs(&settings)
        .stdout(Stdio::piped())
        .spawn()
        .expect("the program runs");
    let lines = BufReader::new(device.stdout.take().expect("it is piped")).lines();
    let reported = tokio::task::spawn_blocking(|| lines.map_while(Result::ok).any(|line| line == "pump: reported"));
    let done = tokio::time::timeout(Duration::from_secs(20), reported).await;
    device.kill().expect("it can be ended");
    device.wait().expect("it ends");
    assert!(done.is_ok_and(|line| line.is_ok_and(|found| found)), "the device says that it reported");
    assert_eq!(json_of(&settings, &["get", "pump"]).await["properties"]["reported"]["a"], 1);
    std::fs::remove_dir_all(&folder).expect("the folder is ours");
    assert_eq!(hub.terminate().await.status.code(), Some(0));
}

/// Puts an identity as a back end; the status of the answer.
async fn put(settings: &BTreeMap<String, String>, path: &str, body: &Value) -> u16 {
    let key = settings["HUB_SERVICE_CONNECTION_STRING"].split_once("SharedAccessKey=").expect("a key").1;
    let expires = (SystemTime::now() + Duration::from_secs(600)).duration_since(UNIX_EPOCH).expect("after 1970");
    let token = Key::parse(key).expect("base64").sign("localhost", Some("iothubowner"), expires.as_secs());
    let ca = std::fs::read(&settings["HUB_CA_FILE"]).expect("the file is there");
    let ca = reqwest::Certificate::from_pem(&ca).expect("a certificate");
    let client = reqwest::Client::builder().tls_certs_only([ca]).no_proxy().build().expect("a client can be made");
    let url = format!("https://localhost:{}{path}?api-version=2021-04-12", settings["HUB_HTTPS_PORT"]);
    let call = client.put(url).header("authorization", token.expose()).json(body);
    call.send().await.expect("the hub answers").status().as_u16()
}

#[tokio::test]
async fn an_operator_says_when_it_is_ready_until_it_is_asked_to_end() {
    let cluster = Cluster::new().await;
    let (kubeconfig, namespace) = (kubeconfig(), cluster.namespace.clone());
    let operator = Program::start(&[
        "operator",
        "--kubeconfig",
        &kubeconfig,
        "--namespace",
        &namespace,
        "--listen=127.0.0.1:0",
        "--log-format=json",
    ]);
    let url = operator.settings().await["OPERATOR_URL"].clone();
    let client = reqwest::Client::builder().no_proxy().build().expect("a client can be made");
    eventually("readiness", || async {
        let answer = client.get(format!("{url}/readyz")).send().await.map_err(|error| error.to_string())?;
        is_true(answer.status() == 200, answer.status())
    })
    .await;
    let get = |path: &str| client.get(format!("{url}{path}")).send();
    assert_eq!(get("/healthz").await.expect("it answers").status(), 200);
    cluster.apply(&device_twin("secret-name")).await;
    let metrics = eventually("a reconcile is counted", || async {
        let answer = get("/metrics").await.expect("it answers").text().await.expect("metrics are text");
        is_true(answer.contains("hubtwin_reconciles_total{kind=\"DeviceTwin\"}"), &answer).map(|()| answer)
    })
    .await;
    assert!(
        metrics.ends_with("# EOF\n") && !metrics.contains("secret-name"),
        "labels come from closed sets: {metrics}"
    );
    let ended = operator.terminate().await;
    assert_eq!(ended.status.code(), Some(0), "{ended:?}");
    for line in String::from_utf8_lossy(&ended.stderr).lines() {
        assert!(serde_json::from_str::<Value>(line).is_ok(), "every line of the log is JSON: {line}");
    }
}
