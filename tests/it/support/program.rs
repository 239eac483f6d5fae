//! The built program as a process of its own.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};

use super::eventually;

/// A running `hubtwin` that says where it is in an env file. It is killed when this is dropped.
pub struct Program {
    child: Option<Child>,
    folder: PathBuf,
}

impl Program {
    /// Starts a command, to which `--env-file` is added.
    pub fn start(arguments: &[&str]) -> Self {
        let folder =
            PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("program-{:012x}", fastrand::u64(..1 << 48)));
        std::fs::create_dir(&folder).expect("a folder of its own");
        let child = Command::new(env!("CARGO_BIN_EXE_hubtwin"))
            .args(arguments)
            .arg("--env-file")
            .arg(folder.join("env"))
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program runs");
        Self { child: Some(child), folder }
    }

    /// The lines of the env file, once it is there.
    pub async fn settings(&self) -> BTreeMap<String, String> {
        eventually("an env file", || async {
            let text = std::fs::read_to_string(self.folder.join("env")).map_err(|error| error.to_string())?;
            let pair = |line: &str| {
                let (name, value) = line.trim_start_matches("export ").split_once('=')?;
                Some((name.to_owned(), value.trim_matches('\'').to_owned()))
            };
            let settings: BTreeMap<_, _> = text.lines().filter_map(pair).collect();
            if settings.is_empty() { Err(text) } else { Ok(settings) }
        })
        .await
    }

    /// Asks it to end, as a service manager does, and answers how it ended.
    pub async fn terminate(mut self) -> Output {
        let child = self.child.take().expect("it is ended once");
        let asked = Command::new("kill").args(["-TERM", &child.id().to_string()]).status();
        assert!(asked.expect("kill runs").success());
        tokio::task::spawn_blocking(|| child.wait_with_output()).await.expect("no panic").expect("it ends")
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            // It may have ended by itself.
            let _ = child.kill();
            let _ = child.wait();
        }
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}
