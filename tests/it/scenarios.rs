//! The scenarios in `tests/scenarios`, played by the real controllers against a real API server and the local hub.
//!
//! A scenario is a page for people: what is applied, written and reported stands in it as YAML, and so does what comes of
//! it. With `HUBTWIN_SCENARIOS=write` the results are written anew; else they are compared.

mod page;
mod play;
mod shown;
mod yaml;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::support::root;
use page::Page;
use play::{Expect, play};

/// How many are played at a time, each on a stage of its own.
const AT_ONCE: usize = 6;

fn folder() -> PathBuf {
    root().join("tests/scenarios")
}

fn pages() -> Vec<(PathBuf, Page)> {
    let entries = std::fs::read_dir(folder()).expect("tests/scenarios is a folder");
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.expect("an entry").path()).collect();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "md") && name(file) != "README");
    files.sort();
    let only = std::env::var("HUBTWIN_SCENARIO").unwrap_or_default();
    files.retain(|file| name(file).contains(&only));
    let read = |file: PathBuf| {
        let text = std::fs::read_to_string(&file).expect("a page is text");
        let page = Page::parse(&text).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        (file, page)
    };
    files.into_iter().map(read).collect()
}

fn name(file: &Path) -> &str {
    file.file_stem().and_then(|stem| stem.to_str()).expect("a page has a name")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_scenario_goes_as_it_is_written() {
    let write = std::env::var("HUBTWIN_SCENARIOS").is_ok_and(|value| value == "write");
    let expect = if write { Expect::Rest } else { Expect::Written };
    let turns = Arc::new(Semaphore::new(AT_ONCE));
    let mut playing = JoinSet::new();
    for (file, page) in pages() {
        let turns = Arc::clone(&turns);
        playing.spawn(async move {
            let _turn = turns.acquire().await.expect("nobody closes it");
            let name = name(&file).to_owned();
            let played = tokio::spawn(play(page, expect)).await;
            (file, played.unwrap_or_else(|error| Err(format!("{name}: {error}"))))
        });
    }
    assert!(!playing.is_empty(), "there are scenarios");
    let mut wrong = Vec::new();
    while let Some(ended) = playing.join_next().await {
        let (file, played) = ended.expect("its panics are caught");
        match played {
            Ok(page) if write => std::fs::write(&file, page.to_string()).expect("the page is written"),
            Ok(_) => {}
            Err(error) => wrong.push(format!("---- {}\n{error}", file.display())),
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
