//! Tests whose operator watches every namespace. It would meddle with the objects of all other tests, so each has an API
//! server of its own: the test runs itself again beside a fresh control plane.

use std::process::Command;

use super::root;

/// Set where the API server is nobody else's.
const ALONE: &str = "HUBTWIN_TEST_ALONE";

/// Runs `work` where the API server is nobody else's; `test` is the path of the test that calls this.
pub fn alone(test: &str, work: impl Future<Output = ()>) {
    if std::env::var_os(ALONE).is_some() {
        let runtime = tokio::runtime::Runtime::new().expect("a runtime can be made");
        return runtime.block_on(work);
    }
    let this = std::env::current_exe().expect("this program is a file");
    let mut run = Command::new(root().join("tests/control-plane/run"));
    run.arg("--").arg(this).args(["--exact", test, "--nocapture"]);
    let ran = run.env(ALONE, "1").output().expect("the control plane is run");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(ran.status.success(), "{}\n{}", text(&ran.stdout), text(&ran.stderr));
    assert!(text(&ran.stdout).contains("1 passed"), "the test ran: {}", text(&ran.stdout));
}
