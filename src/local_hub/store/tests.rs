//! Data folders: what survives, and what is refused.

use std::fs;
use std::path::PathBuf;

use serde_json::json;

use super::super::testing::Stage;
use super::super::{Config, LocalHub};

/// A folder of its own, removed at the end.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        let path = std::env::temp_dir().join(format!("hubtwin-store-{:032x}", fastrand::u128(..)));
        fs::create_dir(&path).unwrap();
        Self(path)
    }

    fn config(&self) -> Config {
        Config { data: Some(self.0.clone()), ..Config::default() }
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[tokio::test]
async fn keys_identities_and_twins_survive_a_restart() {
    let folder = Folder::new();
    let first = Stage::with(folder.config()).await;
    first.device("d1").await;
    first.device("gone").await;
    first.call("PATCH", "/twins/d1", Some(json!({"tags": {"a": 1}}))).await;
    first.call("PUT", "/devices/d1/modules/m", Some(json!({"deviceId": "d1", "moduleId": "m"}))).await;
    assert_eq!(first.call("DELETE", "/devices/gone", None).await.status, 204);
    let (ca, token) = (first.hub.ca_pem().to_owned(), first.token.clone());
    let paths = ["/twins/d1", "/devices/d1", "/twins/d1/modules/m"];
    let mut before = Vec::new();
    for path in paths {
        before.push(first.call("GET", path, None).await.body);
    }
    first.hub.shutdown().await;

    let mut second = Stage::with(folder.config()).await;
    assert_eq!(second.hub.ca_pem(), ca);
    second.token = token;
    for (path, before) in paths.iter().zip(before) {
        assert_eq!(second.call("GET", path, None).await.body, before, "{path}");
    }
    assert_eq!(second.call("GET", "/twins/gone", None).await.status, 404);
    second.hub.shutdown().await;
}

#[tokio::test]
async fn folders_that_are_not_ours_are_refused_and_left_alone() {
    let foreign = Folder::new();
    fs::write(foreign.0.join("notes.txt"), "mine").unwrap();
    let told = LocalHub::start(foreign.config()).await.unwrap_err().to_string();
    assert!(told.contains("holds files but no hub.redb"), "{told}");
    assert_eq!(fs::read_dir(&foreign.0).unwrap().count(), 1);

    for content in [Vec::new(), b"not a store".to_vec(), vec![0; 8192]] {
        let damaged = Folder::new();
        fs::write(damaged.0.join("hub.redb"), &content).unwrap();
        let told = LocalHub::start(damaged.config()).await.unwrap_err().to_string();
        assert!(told.contains("is not a store of this program, or it is damaged"), "{told}");
        assert_eq!(fs::read(damaged.0.join("hub.redb")).unwrap(), content);
    }
}

#[tokio::test]
async fn a_folder_serves_one_hub_at_a_time() {
    let folder = Folder::new();
    let first = Stage::with(folder.config()).await;
    let told = LocalHub::start(folder.config()).await.unwrap_err().to_string();
    assert!(told.contains("is in use by another hub"), "{told}");
    first.hub.shutdown().await;
}

/// A hub whose folder holds two devices, stopped again.
async fn stored() -> (Folder, PathBuf, Vec<u8>) {
    let folder = Folder::new();
    let stage = Stage::with(folder.config()).await;
    stage.device("d1").await;
    stage.device("d2").await;
    stage.hub.shutdown().await;
    let file = folder.0.join("hub.redb");
    let whole = fs::read(&file).unwrap();
    (folder, file, whole)
}

/// Refused, told why, and not one byte written.
async fn refused(folder: &Folder, file: &PathBuf, content: &[u8], why: &str) {
    let told = LocalHub::start(folder.config()).await.unwrap_err().to_string();
    assert!(told.contains(why), "{told}");
    assert_eq!(fs::read(file).unwrap(), content);
    assert_eq!(fs::read_dir(&folder.0).unwrap().count(), 1);
}

#[tokio::test]
async fn a_store_that_is_damaged_anywhere_is_refused_or_whole() {
    let (folder, file, whole) = stored().await;
    let seed = fastrand::u64(..);
    println!("seed {seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    let mut refusals = 0;
    for _ in 0..60 {
        let mut content = whole.clone();
        let at = random.usize(..content.len());
        content[at] ^= 1 << random.u8(..8);
        fs::write(&file, &content).unwrap();
        match LocalHub::start(folder.config()).await {
            // The bit was in a part that holds nothing.
            Ok(hub) => {
                let stage = Stage::of(hub);
                assert_eq!(stage.call("GET", "/devices", None).await.body.as_array().unwrap().len(), 2, "{at}");
                stage.hub.shutdown().await;
            }
            Err(error) => {
                refusals += 1;
                assert!(error.to_string().contains("left untouched"), "{at}: {error}");
                assert_eq!(fs::read(&file).unwrap(), content, "{at}");
            }
        }
    }
    println!("{refusals} of 60 refused");
}

#[tokio::test]
async fn stores_of_others_are_refused() {
    let (folder, file, _) = stored().await;
    let write = |format: &str| {
        let database = redb::Database::create(&file).unwrap();
        let transaction = database.begin_write().unwrap();
        transaction.open_table(super::META).unwrap().insert("format", format.as_bytes()).unwrap();
        transaction.commit().unwrap();
        drop(database);
        fs::read(&file).unwrap()
    };
    let newer = write("hubtwin local hub 3");
    refused(&folder, &file, &newer, "was written by another version of this program").await;
    let other = write("somebody else");
    refused(&folder, &file, &other, "is not a store of this program, or it is damaged").await;
    fs::remove_file(&file).unwrap();
    drop(redb::Database::create(&file).unwrap());
    let bare = fs::read(&file).unwrap();
    refused(&folder, &file, &bare, "is not a store of this program, or it is damaged").await;
}

#[tokio::test]
async fn what_is_no_folder_is_told() {
    let folder = Folder::new();
    let file = folder.0.join("notes.txt");
    fs::write(&file, "mine").unwrap();
    let config = Config { data: Some(file.clone()), ..Config::default() };
    let told = LocalHub::start(config).await.unwrap_err().to_string();
    assert!(told.contains("notes.txt as data folder"), "{told}");
    assert_eq!(fs::read(&file).unwrap(), b"mine");
    let inside = Folder::new();
    fs::create_dir(inside.0.join("hub.redb")).unwrap();
    let told = LocalHub::start(inside.config()).await.unwrap_err().to_string();
    assert!(told.contains("hub.redb as data folder"), "{told}");
}

#[tokio::test]
async fn a_failover_goes_into_the_folder() {
    let folder = Folder::new();
    let first = Stage::with(folder.config()).await;
    first.device("d1").await;
    first.hub.hub.take_snapshot("before").unwrap();
    first.call("PATCH", "/twins/d1", Some(json!({"tags": {"a": 1}}))).await;
    first.device("d2").await;
    first.hub.hub.fail_over("before").await.unwrap();
    first.hub.shutdown().await;
    let second = Stage::with(folder.config()).await;
    assert_eq!(second.call("GET", "/twins/d1", None).await.body["etag"], "AAAAAAAAAAE=");
    assert_eq!(second.call("GET", "/twins/d2", None).await.status, 404);
}

#[tokio::test]
async fn a_store_cut_short_is_told() {
    let (folder, file, whole) = stored().await;
    for length in [whole.len() / 2, whole.len() - 1, 4096, 1] {
        fs::write(&file, &whole[..length]).unwrap();
        refused(&folder, &file, &whole[..length], "it is damaged").await;
    }
}
