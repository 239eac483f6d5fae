//! The built program: what it prints, and its exit codes.

use std::net::TcpListener;
use std::process::{Command, Output};

/// Runs the program with no settings from outside.
fn hubtwin(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hubtwin"));
    let command = command.args(arguments).env("KUBECONFIG", "/nonexistent/kubeconfig").env("HOME", "/nonexistent");
    for setting in ["HUB_SERVICE_CONNECTION_STRING", "HUB_CA_FILE", "HUBTWIN_NAMESPACE", "HUBTWIN_LISTEN"] {
        command.env_remove(setting);
    }
    command.output().expect("the program runs")
}

/// Standard output of a command that is done, with nothing on standard error.
fn printed(arguments: &[&str]) -> String {
    let Output { status, stdout, stderr } = hubtwin(arguments);
    let (stdout, stderr) = (text(stdout), text(stderr));
    assert_eq!((status.code(), stderr.as_str()), (Some(0), ""), "{arguments:?}");
    stdout
}

/// The one line of a command that failed, with nothing on standard output.
fn failure(arguments: &[&str]) -> String {
    let Output { status, stdout, stderr } = hubtwin(arguments);
    let (stdout, stderr) = (text(stdout), text(stderr));
    assert_eq!((status.code(), stdout.as_str()), (Some(1), ""), "{arguments:?}: {stderr}");
    assert_eq!(stderr.lines().count(), 1, "{stderr}");
    assert!(stderr.starts_with("hubtwin: "), "{stderr}");
    stderr
}

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).expect("the program prints text")
}

#[test]
fn help_and_version_are_printed() {
    let help = printed(&["--help"]);
    for command in ["operator", "ready", "hub", "device", "crds", "check", "plan", "import", "twin", "completion"] {
        assert!(help.lines().any(|line| line.trim_start().starts_with(command)), "{command}: {help}");
        let own = printed(&[command, "--help"]);
        assert!(own.contains(&format!("Usage: hubtwin {command}")), "{own}");
    }
    let commit = option_env!("HUBTWIN_COMMIT").filter(|commit| !commit.is_empty()).unwrap_or("not told to the build");
    assert_eq!(printed(&["--version"]), format!("hubtwin {} (commit {commit})\n", env!("CARGO_PKG_VERSION")));
}

#[test]
fn crds_and_completions_are_printed() {
    let crds = printed(&["crds"]);
    assert_eq!(crds.matches("kind: CustomResourceDefinition").count(), 4);
    for shell in ["bash", "zsh", "fish"] {
        assert!(printed(&["completion", shell]).contains("hubtwin"), "{shell}");
    }
}

#[test]
fn an_operator_that_is_not_there_is_not_ready() {
    let port = TcpListener::bind("127.0.0.1:0").expect("a free port").local_addr().expect("it is bound").port();
    let url = format!("http://127.0.0.1:{port}");
    assert!(failure(&["ready", &url]).starts_with(&format!("hubtwin: ask {url}/readyz: ")));
}

#[test]
fn wrong_usage_is_exit_code_2() {
    let wrong = [
        &["no-such-command"][..],
        &["crds", "--no-such-flag"],
        &["hub", "--https-port", "70000"],
        &["completion", "no-such-shell"],
        &["twin", "get"],
        &["twin", "get", "a b"],
        &["device", "a", "--ack", "loud"],
        &["operator", "--listen", "nowhere"],
        &[],
    ];
    for arguments in wrong {
        let output = hubtwin(arguments);
        let stderr = text(output.stderr);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {stderr}");
        assert!(stderr.contains("Usage:") || stderr.contains("--help"), "{arguments:?}: {stderr}");
    }
}

#[test]
fn a_taken_port_is_named_with_its_flag() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = taken.local_addr().expect("it is bound").to_string();
    let port = address.rsplit_once(':').expect("an address has a port").1;
    for flag in ["--https-port", "--mqtt-port", "--admin-port"] {
        let free = ["--https-port", "--mqtt-port", "--admin-port"].into_iter().filter(|other| *other != flag);
        let arguments: Vec<&str> = ["hub", flag, port].into_iter().chain(free.flat_map(|flag| [flag, "0"])).collect();
        let told = failure(&arguments);
        assert!(told.contains(&address) && told.contains(flag) && told.contains("in use"), "{told}");
    }
}

#[test]
fn what_is_missing_is_named() {
    let cases = [
        (&["twin", "get", "pump"][..], "HUB_SERVICE_CONNECTION_STRING is not set"),
        (&["device", "pump"], "HUB_SERVICE_CONNECTION_STRING is not set"),
        (&["twin", "get", "pump", "--connection-string-env", "NO_SUCH_VARIABLE"], "NO_SUCH_VARIABLE is not set"),
        (&["crds", "--out", "/nonexistent/folder"], "write /nonexistent/folder/hubconnections.yaml"),
    ];
    for (arguments, message) in cases {
        let told = failure(arguments);
        assert!(told.contains(message), "{arguments:?}: {told}");
    }
    let output = hubtwin(&["operator", "--kubeconfig", "/nonexistent/kubeconfig", "--listen", "127.0.0.1:0"]);
    let stderr = text(output.stderr);
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert!(stderr.contains("read /nonexistent/kubeconfig"), "{stderr}");
}

#[test]
fn settings_of_a_local_hub_are_read_before_it_starts() {
    let cases = [
        (["--knobs", r#"{"pageSize": 0}"#], "pageSize: 0 rows; 1 to 1000"),
        (["--knobs", r#"{"limits": {"tier": "S4"}}"#], "limits.tier: unknown variant `S4`"),
        (["--knobs", "tier=S1"], "not a JSON object"),
        (["--fault", r#"{"effect": {"status": 200}}"#], "effect.status: 200 is no failure; 400 to 599"),
    ];
    for (arguments, message) in cases {
        let output = hubtwin(&["hub", arguments[0], arguments[1]]);
        let told = text(output.stderr);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {told}");
        assert!(told.contains(message), "{arguments:?}: {told}");
    }
}
