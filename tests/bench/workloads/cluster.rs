//! The API server that both sides use, and what it can do at most.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::Context as _;
use futures::future::try_join_all;
use k8s_openapi::api::core::v1::Namespace;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use kube::core::{DynamicObject, ObjectMeta};
use kube::{Api, Client, ResourceExt as _};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::kinds;
use super::report::float;
use crate::back_end::name;

/// How long each ceiling is measured.
const WINDOW: Duration = Duration::from_secs(3);

pub struct Cluster {
    pub client: Client,
    /// Status writes a second, the best of some numbers at once.
    pub status_writes: f64,
}

impl Cluster {
    /// The API server of the kubeconfig, with our kinds.
    pub async fn new() -> anyhow::Result<Self> {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let client = Client::try_default().await.context("find the API server: run this by `make bench`")?;
        let cluster = Self { client, status_writes: 0.0 };
        let api: Api<CustomResourceDefinition> = Api::all(cluster.client.clone());
        for crd in hubtwin::api::crds() {
            api.patch(&crd.name_any(), &PatchParams::apply("bench").force(), &Patch::Apply(&crd)).await?;
        }
        Ok(cluster)
    }

    /// A new namespace.
    pub async fn namespace(&self, prefix: &str) -> anyhow::Result<String> {
        let name = format!("{prefix}-{:08x}", fastrand::u32(..));
        let metadata = ObjectMeta { name: Some(name.clone()), ..ObjectMeta::default() };
        let object = Namespace { metadata, ..Namespace::default() };
        Api::<Namespace>::all(self.client.clone()).create(&PostParams::default(), &object).await?;
        Ok(name)
    }

    /// Writes statuses as fast as the API server takes them, 8, 16 and 32 at once.
    pub async fn measure(&mut self) -> anyhow::Result<()> {
        let namespace = self.namespace("ceiling").await?;
        let api: Api<DynamicObject> = Api::namespaced_with(self.client.clone(), &namespace, &kinds::device_twin());
        self.served(&api).await?;
        let apply = PatchParams::apply("bench").force();
        for number in 0..64 {
            api.patch(&name(number), &apply, &Patch::Apply(kinds::twin(number, 0))).await?;
        }
        for at_once in [8, 16, 32] {
            let (done, until) = (AtomicU64::new(0), Instant::now() + WINDOW);
            try_join_all((0..at_once).map(|first| writer(&api, first, at_once, &done, until))).await?;
            let rate = float(done.into_inner()) / WINDOW.as_secs_f64();
            self.status_writes = self.status_writes.max(rate);
        }
        Api::<Namespace>::all(self.client.clone()).delete(&namespace, &DeleteParams::default()).await?;
        Ok(())
    }

    /// Waits until the kind is there, which takes a moment after its CRD.
    async fn served(&self, api: &Api<DynamicObject>) -> anyhow::Result<()> {
        let deadline = Instant::now() + Duration::from_secs(20);
        while let Err(error) = api.list(&kube::api::ListParams::default().limit(1)).await {
            anyhow::ensure!(Instant::now() < deadline, "DeviceTwins are not served: {error}");
            sleep(Duration::from_millis(100)).await;
        }
        Ok(())
    }

    /// Writes to objects of ours and their statuses since the API server began, of every user: by its own metrics.
    pub async fn written(&self) -> anyhow::Result<u64> {
        let request = http::Request::get("/metrics").body(Vec::new())?;
        let text = self.client.request_text(request).await?;
        let counts = |line: &&str| {
            line.starts_with("apiserver_request_total{")
                && line.contains("group=\"hubtwin.dev\"")
                && ["APPLY", "PATCH", "PUT", "POST"].iter().any(|verb| line.contains(&format!("verb=\"{verb}\"")))
        };
        let values = text.lines().filter(counts).filter_map(|line| line.rsplit_once(' ')?.1.parse::<f64>().ok());
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "counters are whole")]
        Ok(values.sum::<f64>() as u64)
    }
}

/// Writes the statuses of every `step`-th object in turn.
async fn writer(
    api: &Api<DynamicObject>,
    first: usize,
    step: usize,
    done: &AtomicU64,
    until: Instant,
) -> anyhow::Result<()> {
    let apply = PatchParams::apply("hubtwin").force();
    for round in 0.. {
        for number in (first..64).step_by(step) {
            if Instant::now() >= until {
                return Ok(());
            }
            api.patch_status(&name(number), &apply, &Patch::Apply(status(round))).await?;
            done.fetch_add(1, Ordering::Relaxed);
        }
    }
    Ok(())
}

/// A status as large as the operator's of these twins.
fn status(round: u64) -> Value {
    let spec = &kinds::twin(0, round)["spec"];
    let condition = |type_: &str| {
        json!({
            "type": type_, "status": "True", "reason": "Synced", "observedGeneration": 1,
            "message": "the twin is as the spec wants it", "lastTransitionTime": "2026-11-22T09:14:02Z",
        })
    };
    json!({
        "apiVersion": "hubtwin.dev/v1alpha1", "kind": "DeviceTwin",
        "status": {
            "observedGeneration": 1, "conditions": [condition("Ready"), condition("Synced"), condition("Converged")],
            "hub": {"host": "localhost:12345", "deviceId": "device-00000"},
            "twin": {"etag": "AAAAAAAAAAQ=", "version": round, "desiredVersion": 3, "reportedVersion": 3},
            "properties": {"reported": {"count": round, "environment": {"temperature": 21.5, "humidity": 40}}},
            "applied": {"tags": spec["tags"], "desired": spec["properties"]["desired"]},
            "pending": {"count": 0, "paths": []}, "lastWriteTime": "2026-11-22T09:14:02Z",
        },
    })
}
