//! The built program, run to its end.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::process::{Command, Stdio};

/// What a run came to.
#[derive(Debug)]
pub struct Ran {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

/// Runs the program with these settings in its environment and nothing else of ours, and this on standard input.
pub fn hubtwin(arguments: &[&str], settings: &BTreeMap<String, String>, input: &str) -> Ran {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hubtwin"));
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    for setting in ["HUB_SERVICE_CONNECTION_STRING", "HUB_CA_FILE", "KUBECONFIG"] {
        command.env_remove(setting);
    }
    let mut child = command.envs(settings).spawn().expect("the program runs");
    let mut stdin = child.stdin.take().expect("standard input is a pipe");
    let input = input.to_owned();
    // The program may end without reading it, and may print before it has read all.
    let writer = std::thread::spawn(move || stdin.write_all(input.as_bytes()));
    let output = child.wait_with_output().expect("the program ends");
    let _ = writer.join().expect("no panic");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("the program prints text");
    Ran { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
}

impl Ran {
    /// Standard output of a run that ended with this code.
    pub fn printed(&self, code: i32) -> &str {
        assert_eq!(self.code, Some(code), "{}\n{}", self.stdout, self.stderr);
        &self.stdout
    }
}
