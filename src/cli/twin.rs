//! `hubtwin twin`.

use std::io::{Read as _, Write as _};
use std::path::PathBuf;

use anyhow::Context as _;
use clap::{Subcommand, ValueEnum};
use serde_json::{Value, json};

use super::connect::HubArgs;
use crate::hub::{
    ConnectionState, ConnectionString, DeviceId, Etag, IfMatch, ModuleId, Status, Twin, TwinId, TwinPatch,
};
use crate::twin::document::{Object, without_system_members};

/// Arguments of `hubtwin twin`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Create a device's or module's identity; its twin comes with it
    Create(CreateArgs),
    /// Print a twin as JSON
    Get(GetArgs),
    /// Patch a twin's tags and desired properties, and print the twin after it
    Patch(PatchArgs),
}

#[derive(Debug, clap::Args)]
struct Which {
    /// The device's id
    device: DeviceId,
    /// The module's id, for a module of the device
    #[arg(long, value_name = "MODULE")]
    module: Option<ModuleId>,
}

#[derive(Debug, clap::Args)]
struct CreateArgs {
    #[command(flatten)]
    which: Which,
    #[command(flatten)]
    hub: HubArgs,
    /// How to print the identity; its keys are not printed
    #[arg(short, long, value_enum, default_value_t = Output::Text)]
    output: Output,
    /// Print the device's connection string, which holds its key
    #[arg(long)]
    show_connection_string: bool,
}

#[derive(Debug, clap::Args)]
struct GetArgs {
    #[command(flatten)]
    which: Which,
    #[command(flatten)]
    hub: HubArgs,
    /// How to print the twin
    #[arg(short, long, value_enum, default_value_t = TwinOutput::Json)]
    output: TwinOutput,
}

#[derive(Debug, clap::Args)]
struct PatchArgs {
    #[command(flatten)]
    which: Which,
    #[command(flatten)]
    hub: HubArgs,
    /// A merge patch of the tags; null removes a key
    #[arg(long, value_name = "JSON", required_unless_present_any = ["desired", "file"])]
    tags: Option<String>,
    /// A merge patch of the desired properties; null removes a key
    #[arg(long, value_name = "JSON")]
    desired: Option<String>,
    /// Read {"tags": {...}, "properties": {"desired": {...}}} from a file, or from standard input with -
    #[arg(long, value_name = "FILE", conflicts_with_all = ["tags", "desired"])]
    file: Option<PathBuf>,
    /// Patch only when the twin still has this etag
    #[arg(long, value_name = "ETAG")]
    if_match: Option<String>,
    /// How to print the twin
    #[arg(short, long, value_enum, default_value_t = TwinOutput::Json)]
    output: TwinOutput,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Output {
    Text,
    Json,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum TwinOutput {
    Json,
}

pub(super) async fn run(args: Args) -> anyhow::Result<()> {
    match args.action {
        Action::Create(args) => create(args).await,
        Action::Get(GetArgs { which, hub, output: TwinOutput::Json }) => {
            print_json(&document(&hub.client()?.get_twin(&which.id()).await?))
        }
        Action::Patch(args) => patch(args).await,
    }
}

impl Which {
    fn id(self) -> TwinId {
        TwinId { device_id: self.device, module_id: self.module }
    }
}

async fn create(args: CreateArgs) -> anyhow::Result<()> {
    let CreateArgs { which, hub, output, show_connection_string } = args;
    let id = which.id();
    let client = hub.client()?;
    let identity = client.create_identity(&id).await?;
    let string = match (show_connection_string, identity.primary_key) {
        (false, _) => None,
        (true, Some(key)) => Some(ConnectionString::of_device(client.host().clone(), id.clone(), key).expose()),
        (true, None) => anyhow::bail!("created {id}, but the hub shows no key of it"),
    };
    match output {
        Output::Json => {
            let mut shown = json!({"deviceId": id.device_id.as_str(), "generationId": identity.generation_id});
            let more = [
                ("moduleId", id.module()),
                ("etag", identity.etag.as_ref().map(Etag::as_str)),
                ("status", identity.status.map(status)),
                ("connectionString", string.as_deref()),
            ];
            for (name, value) in more.into_iter().filter_map(|(name, value)| Some((name, value?))) {
                shown[name] = json!(value);
            }
            print_json(&shown)
        }
        Output::Text => print_line(&string.unwrap_or_else(|| format!("created {id}"))),
    }
}

async fn patch(args: PatchArgs) -> anyhow::Result<()> {
    let PatchArgs { which, hub, tags, desired, file, if_match, output: TwinOutput::Json } = args;
    let patch = match file {
        Some(file) => patch_of(&read(&file)?).with_context(|| format!("read {}", file.display()))?,
        None => TwinPatch {
            tags: tags.map(|text| object(&text).context("read --tags")).transpose()?,
            desired: desired.map(|text| object(&text).context("read --desired")).transpose()?,
        },
    };
    let etag = if_match.as_deref().map(Etag::new);
    let if_match = etag.as_ref().map_or(IfMatch::Any, IfMatch::Etag);
    let twin = hub.client()?.patch_twin(&which.id(), &patch, if_match).await?;
    print_json(&document(&twin))
}

fn read(file: &PathBuf) -> anyhow::Result<String> {
    let mut text = String::new();
    if file.as_os_str() == "-" {
        std::io::stdin().read_to_string(&mut text).context("read standard input")?;
    } else {
        text = std::fs::read_to_string(file).with_context(|| format!("read {}", file.display()))?;
    }
    Ok(text)
}

fn object(text: &str) -> anyhow::Result<Object> {
    serde_json::from_str(text).context("a JSON object is expected")
}

/// The patch that a document stands for. What `twin get` printed may be edited and sent: members that only the hub or the
/// device writes are passed over.
fn patch_of(text: &str) -> anyhow::Result<TwinPatch> {
    let document = object(text)?;
    let section = |value: Option<&Value>, name: &str| match value {
        None => Ok(None),
        Some(Value::Object(members)) => Ok(Some(without_system_members(members))),
        Some(_) => Err(anyhow::anyhow!("{name} is no object")),
    };
    let tags = section(document.get("tags"), "tags")?;
    let properties = document.get("properties");
    let desired = section(properties.and_then(|found| found.get("desired")), "properties.desired")?;
    anyhow::ensure!(
        tags.is_some() || desired.is_some(),
        "there is neither \"tags\" nor \"properties\": {{\"desired\"}}"
    );
    Ok(TwinPatch { tags, desired })
}

/// A twin in the hub's own shape.
fn document(twin: &Twin) -> Value {
    let section = |content: &Object, metadata: &Object, version: i64| {
        let mut section = content.clone();
        section.insert("$metadata".to_owned(), Value::Object(metadata.clone()));
        section.insert("$version".to_owned(), json!(version));
        Value::Object(section)
    };
    let mut document = json!({
        "deviceId": twin.id.device_id.as_str(),
        "etag": twin.etag.as_str(),
        "version": twin.version,
        "status": twin.status.map(status),
        "connectionState": twin.connection_state.map(|state| match state {
            ConnectionState::Connected => "Connected",
            ConnectionState::Disconnected => "Disconnected",
        }),
        "tags": twin.tags,
        "properties": {
            "desired": section(&twin.desired, &twin.desired_metadata, twin.desired_version),
            "reported": section(&twin.reported, &twin.reported_metadata, twin.reported_version),
        },
    });
    if let Some(module) = twin.id.module() {
        document["moduleId"] = json!(module);
    }
    document
}

fn status(status: Status) -> &'static str {
    match status {
        Status::Enabled => "enabled",
        Status::Disabled => "disabled",
    }
}

fn print_json(value: &Value) -> anyhow::Result<()> {
    print_line(&serde_json::to_string_pretty(value)?)
}

fn print_line(text: &str) -> anyhow::Result<()> {
    writeln!(std::io::stdout(), "{text}").context("write to standard output")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_get_prints_patch_takes() {
        let row = json!({
            "deviceId": "d", "moduleId": "m", "etag": "AAE=", "version": 2, "tags": {"a": 1},
            "properties": {"desired": {"b": null, "$metadata": {}, "$version": 3}, "reported": {"c": 1}},
        });
        let document = document(&Twin::from_row(row).unwrap());
        assert_eq!(document["moduleId"], "m");
        let patch = patch_of(&document.to_string()).unwrap();
        assert_eq!(patch.tags.map(Value::Object), Some(json!({"a": 1})));
        assert_eq!(patch.desired.map(Value::Object), Some(json!({"b": null})));
    }

    #[test]
    fn a_document_without_a_section_is_refused() {
        for text in ["{}", "[]", r#"{"tags": 1}"#, r#"{"properties": {"reported": {}}}"#, "{"] {
            assert!(patch_of(text).is_err(), "{text}");
        }
    }
}
