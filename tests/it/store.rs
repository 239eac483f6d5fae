//! The local hub's data folder: what was acknowledged is there after the program was killed.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use hubtwin::hub::{self, ConnectionString, DeviceId, IfMatch, TwinId, TwinPatch};
use serde_json::json;
use tokio::sync::Notify;
use tokio::task::JoinSet;

use super::support::Program;

/// How often the program is killed.
const ROUNDS: usize = 8;
/// How many back ends write at once, each to a device of its own.
const WRITERS: usize = 6;

/// A data folder of its own, removed at the end.
struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// What one writer knows: the last value that it sent, and the last that was acknowledged.
#[derive(Default)]
struct Writer {
    sent: AtomicU64,
    acknowledged: AtomicU64,
}

async fn start(folder: &Folder) -> (Program, hub::Client) {
    let data = format!("--data={}", folder.0.display());
    let program = Program::start(&["hub", "--https-port=0", "--mqtt-port=0", "--admin-port=0", &data]);
    let settings = program.settings().await;
    let string = ConnectionString::parse(&settings["HUB_SERVICE_CONNECTION_STRING"]).expect("the hub's own string");
    let credential = string.service_credential().expect("it is a back end's");
    let mut client = hub::Settings::new(string.host().clone(), credential);
    client.extra_root_pem = Some(std::fs::read(&settings["HUB_CA_FILE"]).expect("the file is there"));
    (program, hub::Client::new(client).expect("a client can be made"))
}

fn device(index: usize) -> DeviceId {
    format!("d{index}").parse().expect("an id")
}

/// Writes until the hub is gone, and tells of every acknowledged write.
async fn write(client: Arc<hub::Client>, index: usize, writer: Arc<Writer>, progress: Arc<Notify>) {
    let id = TwinId::device(device(index));
    loop {
        let value = writer.sent.fetch_add(1, Ordering::SeqCst) + 1;
        let tags = json!({"n": value, "filler": "x".repeat(500)});
        let patch = TwinPatch { tags: tags.as_object().cloned(), ..TwinPatch::default() };
        if client.patch_twin(&id, &patch, IfMatch::Any).await.is_err() {
            return;
        }
        writer.acknowledged.store(value, Ordering::SeqCst);
        progress.notify_one();
    }
}

#[tokio::test]
async fn what_was_acknowledged_survives_a_kill_at_any_moment() {
    let seed = fastrand::u64(..);
    println!("seed {seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    let folder =
        Folder(PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("store-{:012x}", random.u64(..1 << 48))));
    let writers: Vec<Arc<Writer>> = (0..WRITERS).map(|_| Arc::default()).collect();
    let (mut program, mut client) = start(&folder).await;
    for index in 0..WRITERS {
        client.create_device(&device(index)).await.expect("it is new");
    }
    for round in 0..ROUNDS {
        let before: u64 = writers.iter().map(|writer| writer.acknowledged.load(Ordering::SeqCst)).sum();
        let (shared, progress) = (Arc::new(client), Arc::new(Notify::new()));
        let mut tasks = JoinSet::new();
        for (index, writer) in writers.iter().enumerate() {
            tasks.spawn(write(Arc::clone(&shared), index, Arc::clone(writer), Arc::clone(&progress)));
        }
        // After a number of writes that differs from round to round, with others under way.
        let enough = before + random.u64(1..150);
        while writers.iter().map(|writer| writer.acknowledged.load(Ordering::SeqCst)).sum::<u64>() < enough {
            progress.notified().await;
        }
        drop(program);
        while let Some(ended) = tasks.join_next().await {
            ended.expect("a writer does not panic");
        }
        (program, client) = start(&folder).await;
        for (index, writer) in writers.iter().enumerate() {
            let twin = client.get_twin(&TwinId::device(device(index))).await.expect("the device is there");
            let found = twin.tags.get("n").and_then(serde_json::Value::as_u64).unwrap_or(0);
            let (acknowledged, sent) = (writer.acknowledged.load(Ordering::SeqCst), writer.sent.load(Ordering::SeqCst));
            assert!(
                (acknowledged..=sent).contains(&found),
                "round {round}, d{index}: {acknowledged} acknowledged, {sent} sent, {found} found"
            );
            // From here on it counts from what is there.
            writer.sent.store(found, Ordering::SeqCst);
            writer.acknowledged.store(found, Ordering::SeqCst);
        }
    }
    let total: u64 = writers.iter().map(|writer| writer.acknowledged.load(Ordering::SeqCst)).sum();
    println!("{total} writes over {ROUNDS} kills");
    assert_eq!(program.terminate().await.status.code(), Some(0));
}
