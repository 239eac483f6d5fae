//! What the fuzz targets in `fuzz/` run, and what the tests replay: one function for each target, which panics when a law
//! does not hold. Built for tests and by `cargo fuzz` only.

mod connection_string;
mod draw;
mod patch;
mod query;
mod sas;

pub use self::connection_string::connection_string;
pub use self::patch::patch;
pub use self::query::query;
pub use self::sas::sas;
pub use crate::local_hub::fuzz_mqtt as mqtt;

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};

    type Target = fn(&[u8]);

    const TARGETS: [(&str, Target); 5] = [
        ("connection_string", super::connection_string),
        ("mqtt", super::mqtt),
        ("patch", super::patch),
        ("query", super::query),
        ("sas", super::sas),
    ];
    /// Most bytes of all corpora: they are committed.
    const MAX_BYTES: u64 = 1024 * 1024;

    fn folder() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz")
    }

    fn names(folder: &Path) -> Vec<String> {
        let entries = std::fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
        let mut names: Vec<_> =
            entries.map(|entry| entry.unwrap().file_name().into_string().expect("a plain name")).collect();
        names.sort();
        names
    }

    fn replay(target: &str) {
        let (_, run) = TARGETS.into_iter().find(|(name, _)| *name == target).unwrap();
        let corpus = folder().join("corpus").join(target);
        let inputs = names(&corpus);
        assert!(inputs.len() >= 10, "{} holds {} inputs", corpus.display(), inputs.len());
        for name in inputs {
            let bytes = std::fs::read(corpus.join(&name)).unwrap();
            // What went wrong is told by the panic itself; this tells which input it was.
            assert!(std::panic::catch_unwind(|| run(&bytes)).is_ok(), "fuzz/corpus/{target}/{name}");
        }
    }

    #[test]
    fn connection_strings() {
        replay("connection_string");
    }

    #[test]
    fn mqtt_bytes() {
        replay("mqtt");
    }

    #[test]
    fn twin_patches() {
        replay("patch");
    }

    #[test]
    fn query_texts() {
        replay("query");
    }

    #[test]
    fn sas_tokens() {
        replay("sas");
    }

    #[test]
    fn every_target_is_replayed_and_its_corpus_is_small() {
        let known = TARGETS.map(|(name, _)| name);
        let targets = names(&folder().join("fuzz_targets"));
        assert_eq!(targets.iter().map(|name| name.trim_end_matches(".rs")).collect::<Vec<_>>(), known);
        assert_eq!(names(&folder().join("corpus")), known);
        let bytes: u64 = known
            .iter()
            .flat_map(|name| std::fs::read_dir(folder().join("corpus").join(name)).unwrap())
            .map(|entry| entry.unwrap().metadata().unwrap().len())
            .sum();
        assert!(bytes < MAX_BYTES, "the corpora have {bytes} bytes");
    }
}
