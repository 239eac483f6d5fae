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

#[tokio::test]
async fn a_store_cut_short_is_told() {
    let folder = Folder::new();
    let stage = Stage::with(folder.config()).await;
    stage.device("d1").await;
    stage.hub.shutdown().await;
    let file = folder.0.join("hub.redb");
    let whole = fs::read(&file).unwrap();
    fs::write(&file, &whole[..whole.len() / 2]).unwrap();
    let told = LocalHub::start(folder.config()).await.unwrap_err().to_string();
    assert!(told.contains("it is damaged"), "{told}");
    assert_eq!(fs::read(&file).unwrap(), &whole[..whole.len() / 2]);
}
