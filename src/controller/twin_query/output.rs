//! All rows of a query in ConfigMaps that the query owns: the shards `NAME-0`, `NAME-1`, ..., and then an index `NAME`.

use std::collections::BTreeMap;
use std::time::Duration;

use k8s_openapi::api::core::v1::ConfigMap;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::api::{Api, DeleteParams, ListParams, ObjectMeta, PostParams, Preconditions};
use kube::core::PartialObjectMeta;
use kube::{Resource as _, ResourceExt as _};

use super::super::status::WriteError;
use super::rows::Rows;
use crate::api::TwinQuery;

mod shards;

pub(super) use shards::BOUNDS;
use shards::{Content, Index, Step};

/// Names the query that made a ConfigMap.
const LABEL: &str = "hubtwin.dev/query-uid";
/// The key of the rows in a shard.
const ROWS: &str = "rows.ndjson";
/// The key of the index.
const INDEX: &str = "index.json";
const TIMEOUT: Duration = Duration::from_secs(10);

/// What writing came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stored {
    pub(super) shards: usize,
    /// Whether anything differed.
    pub(super) changed: bool,
}

/// Why rows are not written.
#[derive(Debug)]
pub(super) enum Trouble {
    /// Somebody has to look: what is in the way, and what to do.
    Refused(String),
    /// The ConfigMaps changed meanwhile: look again.
    Changed,
    /// The API server could not be had.
    Failed(WriteError),
}

/// The ConfigMaps of one query.
pub(super) struct Output<'a> {
    api: Api<ConfigMap>,
    query: &'a TwinQuery,
    uid: String,
    namespace: String,
    name: String,
}

impl<'a> Output<'a> {
    /// The ConfigMaps with index `name`.
    pub(super) fn new(client: kube::Client, query: &'a TwinQuery, name: &str) -> Self {
        let namespace = query.namespace().unwrap_or_default();
        let api = Api::namespaced(client, &namespace);
        Self { api, query, uid: query.uid().unwrap_or_default(), namespace, name: name.to_owned() }
    }

    /// Whether there is something in the way, before the hub is asked for all rows.
    pub(super) async fn check(&self) -> Result<(), Trouble> {
        let made = self.made().await?;
        self.free(&self.name, &made).await
    }

    /// Writes all rows, unless they stand there already.
    pub(super) async fn write(&self, rows: &Rows) -> Result<Stored, Trouble> {
        let content = Content::new(&self.name, rows).map_err(Trouble::Refused)?;
        let made = self.made().await?;
        let stands = if made.contains_key(&self.name) { self.index().await? } else { None };
        let steps = content.steps(&made, stands.as_ref().map(|(index, _)| index));
        self.free(&self.name, &made).await?;
        for (shard, step) in content.shards.iter().zip(&steps) {
            if *step == Step::Create {
                self.free(&shard.name, &made).await?;
            }
        }
        let mut versions = Vec::with_capacity(steps.len());
        let mut changed = false;
        for (shard, step) in content.shards.iter().zip(steps) {
            changed |= !matches!(step, Step::Keep(_));
            versions.push(match step {
                Step::Keep(version) => version,
                Step::Create => self.put(&shard.name, ROWS, content.text(shard), None).await?,
                Step::Replace(version) => self.put(&shard.name, ROWS, content.text(shard), Some(version)).await?,
            });
        }
        let index = content.index(&versions);
        if stands.as_ref().is_none_or(|(stands, _)| *stands != index) {
            changed = true;
            let version = stands.map(|(_, version)| version).or_else(|| made.get(&self.name).cloned());
            let text = serde_json::to_string_pretty(&index).unwrap_or_default();
            self.put(&self.name, INDEX, text, version).await?;
        }
        for (name, version) in content.left_over(&self.name, &made) {
            self.delete(name, version).await?;
        }
        Ok(Stored { shards: versions.len(), changed })
    }

    /// Deletes all ConfigMaps of this query, the index first: without it nobody takes the rest for whole.
    pub(super) async fn clear(&self) -> Result<(), Trouble> {
        let made = self.made().await?;
        if let Some(version) = made.get(&self.name) {
            self.delete(&self.name, version).await?;
        }
        for (name, version) in made.iter().filter(|(name, _)| **name != self.name) {
            self.delete(name, version).await?;
        }
        Ok(())
    }

    /// The ConfigMaps that this query made, by name, with their versions.
    async fn made(&self) -> Result<BTreeMap<String, String>, Trouble> {
        let parameters = ListParams::default().labels(&format!("{LABEL}={}", self.uid));
        let listed = self.call("list", self.api.list_metadata(&parameters)).await?;
        let made = listed.items.into_iter().filter(|found| self.is_owner(found));
        Ok(made.map(|found| (found.name_any(), found.resource_version().unwrap_or_default())).collect())
    }

    fn is_owner(&self, found: &PartialObjectMeta<ConfigMap>) -> bool {
        found.owner_references().iter().any(|owner| owner.uid == self.uid)
    }

    /// Whether a name is free, or this query's own.
    async fn free(&self, name: &str, made: &BTreeMap<String, String>) -> Result<(), Trouble> {
        if made.contains_key(name) {
            return Ok(());
        }
        match self.call("get", self.api.get_metadata_opt(name)).await? {
            None => Ok(()),
            Some(found) if self.is_owner(&found) && found.labels().get(LABEL) == Some(&self.uid) => {
                Err(Trouble::Changed)
            }
            Some(_) => Err(Trouble::Refused(foreign(name))),
        }
    }

    /// The index as it stands, and its version; none if somebody made something else of it.
    async fn index(&self) -> Result<Option<(Index, String)>, Trouble> {
        let Some(found) = self.call("get", self.api.get_opt(&self.name)).await? else { return Err(Trouble::Changed) };
        let version = found.resource_version().unwrap_or_default();
        let text = found.data.as_ref().and_then(|data| data.get(INDEX));
        Ok(text.and_then(|text| serde_json::from_str(text).ok()).map(|index| (index, version)))
    }

    /// Creates a ConfigMap or writes it over a version, and answers the version it has then.
    async fn put(&self, name: &str, key: &str, text: String, over: Option<String>) -> Result<String, Trouble> {
        let owner = OwnerReference {
            api_version: TwinQuery::api_version(&()).into_owned(),
            kind: TwinQuery::kind(&()).into_owned(),
            name: self.query.name_any(),
            uid: self.uid.clone(),
            controller: Some(true),
            block_owner_deletion: None,
        };
        let labels = [(LABEL, self.uid.as_str()), ("app.kubernetes.io/managed-by", "hubtwin")];
        let object = ConfigMap {
            metadata: ObjectMeta {
                name: Some(name.to_owned()),
                labels: Some(labels.into_iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect()),
                owner_references: Some(vec![owner]),
                resource_version: over.clone(),
                ..ObjectMeta::default()
            },
            data: Some(BTreeMap::from([(key.to_owned(), text)])),
            ..ConfigMap::default()
        };
        let parameters = PostParams::default();
        let written = match over {
            None => self.call("create", self.api.create(&parameters, &object)).await?,
            Some(_) => self.call("update", self.api.replace(name, &parameters, &object)).await?,
        };
        Ok(written.resource_version().unwrap_or_default())
    }

    async fn delete(&self, name: &str, version: &str) -> Result<(), Trouble> {
        let version = Some(version.to_owned());
        let preconditions = Some(Preconditions { resource_version: version, uid: None });
        let parameters = DeleteParams { preconditions, ..DeleteParams::default() };
        match self.call("delete", self.api.delete(name, &parameters)).await {
            Ok(_) => Ok(()),
            Err(trouble) => Err(trouble),
        }
    }

    /// One bounded call.
    async fn call<T>(&self, verb: &str, call: impl Future<Output = Result<T, kube::Error>>) -> Result<T, Trouble> {
        let name = || self.query.name_any();
        let answer = match tokio::time::timeout(TIMEOUT, call).await {
            Err(_) => return Err(Trouble::Failed(WriteError::TimedOut { what: "the output", name: name() })),
            Ok(Ok(answer)) => return Ok(answer),
            Ok(Err(kube::Error::Api(answer))) => answer,
            Ok(Err(error)) => {
                let message = error.to_string();
                return Err(Trouble::Failed(WriteError::Refused { what: "the output", name: name(), message }));
            }
        };
        let told: String = answer.message.chars().filter(|c| !c.is_control()).take(400).collect();
        Err(match answer.code {
            409 | 404 => Trouble::Changed,
            403 => Trouble::Refused(format!(
                "the operator may not {verb} configmaps in namespace {}: {told}",
                self.namespace
            )),
            400 | 413 | 422 => Trouble::Refused(format!("the API server refuses to {verb} a ConfigMap: {told}")),
            _ => Trouble::Failed(WriteError::Refused { what: "the output", name: name(), message: told }),
        })
    }
}

fn foreign(name: &str) -> String {
    format!("there is a ConfigMap {name} that this query did not make: remove it, or name another in spec.output")
}
