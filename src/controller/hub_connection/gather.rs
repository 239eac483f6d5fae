//! What a connection needs from the API server: its Secret and its root certificate, read by name, never listed.

use std::sync::Arc;

use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::Api;

use super::super::Context;
use super::super::connection::{BundleSource, Connection, CredentialSource, Place};
use super::super::hubs::{Entry, Hub, HubKey, Source};
use crate::api::conditions::{Reason, Status, Verdict};
use crate::hub::{ConnectionString, Host, Settings};

/// What was found.
pub(super) enum Found {
    /// Nothing changed since this hub was put in place.
    Same(Arc<Hub>),
    /// Something is missing or wrong.
    Broken(Verdict),
    /// The API server did not say: nothing is known to have changed.
    Unread(String),
    /// Everything for a new client.
    Loaded(Box<Loaded>),
}

pub(super) struct Loaded {
    pub(super) settings: Settings,
    /// What they were made from.
    pub(super) source: Source,
}

fn wrong(reason: Reason, message: impl Into<String>) -> Verdict {
    Verdict::new(Status::False, reason, message)
}

pub(super) async fn gather(context: &Context, connection: &Connection, key: &HubKey) -> Found {
    match try_gather(context, connection, key).await {
        Ok(found) => found,
        Err(Trouble::Wrong(verdict)) => Found::Broken(verdict),
        Err(Trouble::Unread(text)) => Found::Unread(text),
    }
}

/// Why not everything was found.
enum Trouble {
    /// It is missing or wrong.
    Wrong(Verdict),
    /// The API server did not say.
    Unread(String),
}

impl From<Verdict> for Trouble {
    fn from(verdict: Verdict) -> Self {
        Self::Wrong(verdict)
    }
}

async fn try_gather(context: &Context, connection: &Connection, key: &HubKey) -> Result<Found, Trouble> {
    let named = connection.host();
    let host: Host = named.parse().map_err(|error| wrong(Reason::HostRefused, format!("spec.host: {error}")))?;
    if !context.settings.allowed_hosts.allow(&host) {
        let text = format!("the operator does not allow the host {host}: an administrator adds it by --allow-hosts");
        return Err(wrong(Reason::HostRefused, text).into());
    }
    let CredentialSource::ConnectionString(place) = connection.credential() else {
        return Err(wrong(Reason::SecretMissing, "spec.auth names no credential").into());
    };
    let reader = Reader(&context.client);
    let secret = reader.version::<Secret>("Secret", place).await?;
    let mut versions = vec![secret.clone()];
    match connection.bundle() {
        None => {}
        Some(BundleSource::Secret(at)) => versions.push(reader.version::<Secret>("Secret", at).await?),
        Some(BundleSource::ConfigMap(at)) => versions.push(reader.version::<ConfigMap>("ConfigMap", at).await?),
    }
    let source = Source { object: object(connection), versions, secret: Some(secret) };
    if let Some(Entry::Usable(hub)) = context.hubs.get(key)
        && hub.current().source == source
    {
        return Ok(Found::Same(hub));
    }
    let text = reader.secret(place).await?;
    let parsed = connection_string(&text, place, &host)?;
    let extra_root_pem = match connection.bundle() {
        None => None,
        Some(BundleSource::Secret(at)) => Some(reader.secret(at).await?),
        Some(BundleSource::ConfigMap(at)) => Some(reader.config_map(at).await?),
    };
    let mut settings = Settings::new(host, parsed);
    settings.extra_root_pem = extra_root_pem;
    settings.timeout = context.settings.hub_timeout;
    settings.observer = Some(context.observer());
    Ok(Found::Loaded(Box::new(Loaded { settings, source })))
}

/// The credential of a connection string that names the same host, with or without the port.
fn connection_string(text: &[u8], place: Place<'_>, host: &Host) -> Result<crate::hub::Credential, Verdict> {
    let Place { name, key, .. } = place;
    let invalid = |text: String| wrong(Reason::SecretInvalid, format!("key {key} of Secret {name}: {text}"));
    let text = std::str::from_utf8(text).map_err(|_| invalid("not UTF-8".to_owned()))?;
    let parsed = ConnectionString::parse(text.trim()).map_err(|error| invalid(error.to_string()))?;
    let named = parsed.host();
    if named.name() != host.name() || named.port().is_some_and(|port| port != host.port().unwrap_or(443)) {
        let text = format!("the connection string names the host {named}, spec.host is {host}");
        return Err(wrong(Reason::HostRefused, text));
    }
    parsed.service_credential().ok_or_else(|| {
        invalid(
            "a device's connection string; one of a shared access policy (SharedAccessKeyName) is needed".to_owned(),
        )
    })
}

/// What tells one hub from another, beside its credential: a connection made again under the same name is another one, and
/// so is one with other settings. Who may use it is not among them.
fn object(connection: &Connection) -> String {
    let uid = connection.meta().uid.as_deref().unwrap_or_default();
    format!("{uid} {} {:?}", connection.host(), connection.usage())
}

struct Reader<'a>(&'a kube::Client);

impl Reader<'_> {
    /// The resourceVersion of an object, read by metadata alone: a Secret that did not change is not read again.
    async fn version<K>(&self, kind: &str, place: Place<'_>) -> Result<String, Trouble>
    where
        K: kube::Resource<DynamicType = (), Scope = kube::core::NamespaceResourceScope>,
        K: Clone + serde::de::DeserializeOwned + std::fmt::Debug,
    {
        let Place { namespace, name, .. } = place;
        let api: Api<K> = Api::namespaced(self.0.clone(), namespace);
        let found = bounded(kind, name, api.get_metadata_opt(name)).await?;
        let missing = || wrong(Reason::SecretMissing, format!("there is no {kind} {name} in namespace {namespace}"));
        Ok(found.ok_or_else(missing)?.metadata.resource_version.unwrap_or_default())
    }

    async fn secret(&self, place: Place<'_>) -> Result<Vec<u8>, Trouble> {
        let api: Api<Secret> = Api::namespaced(self.0.clone(), place.namespace);
        let found = bounded("Secret", place.name, api.get_opt(place.name)).await?;
        let data = found.and_then(|secret| secret.data).unwrap_or_default();
        data.get(place.key).map(|bytes| bytes.0.clone()).ok_or_else(|| no_key("Secret", place).into())
    }

    async fn config_map(&self, place: Place<'_>) -> Result<Vec<u8>, Trouble> {
        let api: Api<ConfigMap> = Api::namespaced(self.0.clone(), place.namespace);
        let found = bounded("ConfigMap", place.name, api.get_opt(place.name)).await?;
        let data = found.and_then(|map| map.data).unwrap_or_default();
        data.get(place.key).map(|text| text.clone().into_bytes()).ok_or_else(|| no_key("ConfigMap", place).into())
    }
}

fn no_key(kind: &str, place: Place<'_>) -> Verdict {
    wrong(Reason::SecretMissing, format!("{kind} {} has no key {}", place.name, place.key))
}

/// A refusal is known to be one; no answer, or a server's own trouble, says nothing of the object.
async fn bounded<T>(kind: &str, name: &str, call: impl Future<Output = Result<T, kube::Error>>) -> Result<T, Trouble> {
    let text = |cause: &str| format!("{kind} {name} cannot be read: {cause}");
    match tokio::time::timeout(std::time::Duration::from_secs(10), call).await {
        Err(_) => Err(Trouble::Unread(text("no answer from the API server within 10 s"))),
        Ok(Err(kube::Error::Api(answer))) if answer.is_forbidden() => {
            Err(wrong(Reason::SecretMissing, text(&answer.message)).into())
        }
        Ok(Err(error)) => Err(Trouble::Unread(text(&error.to_string()))),
        Ok(Ok(value)) => Ok(value),
    }
}
