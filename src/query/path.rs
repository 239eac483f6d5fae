//! Paths from the root of a twin, resolved once when the query is parsed.

/// Names of the fields at the root of a row of any source.
const ROOT: [&str; 29] = [
    "deviceId",
    "moduleId",
    "etag",
    "deviceEtag",
    "status",
    "statusReason",
    "statusUpdateTime",
    "connectionState",
    "lastActivityTime",
    "cloudToDeviceMessageCount",
    "authenticationType",
    "x509Thumbprint",
    "modelId",
    "version",
    "tags",
    "properties",
    "configurations",
    "capabilities",
    "deviceScope",
    "parentScopes",
    "attributes",
    "jobId",
    "jobType",
    "startTimeUtc",
    "endTimeUtc",
    "createdDateTimeUtc",
    "lastUpdatedDateTimeUtc",
    "outcome",
    "error",
];
const SECTIONS: [&str; 2] = ["desired", "reported"];
const CAPABILITIES: [&str; 1] = ["iotEdge"];
const THUMBPRINTS: [&str; 2] = ["primaryThumbprint", "secondaryThumbprint"];
const CONFIGURATION: [&str; 1] = ["status"];
/// Keys of twins cannot hold `$`, so these names are the hub's wherever they stand below `properties`.
const DOLLAR: [&str; 6] =
    ["$metadata", "$version", "$lastUpdated", "$lastUpdatedVersion", "$lastUpdatedBy", "$lastUpdatedByDigest"];

/// A path of at least one key, without the name of the source in front, system fields in their own spelling.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Path(Vec<String>);

/// One key as written: a name, or `[[name]]`, which is taken as it is.
#[derive(Clone, Debug)]
pub(super) enum Segment {
    Name(String),
    Raw(String),
}

impl Path {
    /// Takes off the source's name and gives system fields their own spelling. There is at least one segment.
    pub(super) fn resolve(mut written: Vec<Segment>) -> Self {
        if written.len() > 1 && is(&written[0], "devices") {
            written.remove(0);
            if written.len() > 1 && (is(&written[0], "modules") || is(&written[0], "jobs")) {
                written.remove(0);
            }
        }
        let mut keys = Vec::with_capacity(written.len());
        for segment in written {
            let key = match segment {
                Segment::Raw(key) => key,
                Segment::Name(name) => canonical(&keys, &name).map_or(name, str::to_owned),
            };
            keys.push(key);
        }
        Self(keys)
    }

    /// The keys, outermost first; there is at least one.
    #[must_use]
    pub fn keys(&self) -> &[String] {
        &self.0
    }

    /// The last key, which names the column when no alias does.
    #[must_use]
    pub fn last(&self) -> &str {
        self.0.last().map_or("", String::as_str)
    }

    /// Whether the key at `index`, written as a plain name, is read back as itself.
    pub(super) fn reads_back_plain(&self, index: usize) -> bool {
        let key = &self.0[index];
        let alone = index > 0 || !key.eq_ignore_ascii_case("devices");
        alone && canonical(&self.0[..index], key).is_none_or(|canonical| canonical == key)
    }
}

fn is(segment: &Segment, name: &str) -> bool {
    matches!(segment, Segment::Name(written) if written.eq_ignore_ascii_case(name))
}

/// The hub's spelling of a system field that stands below `above`.
fn canonical(above: &[String], name: &str) -> Option<&'static str> {
    let names: &[&'static str] = match above.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        // A sample of the .NET SDK writes `id` for the device's id.
        [] if name.eq_ignore_ascii_case("id") => return Some("deviceId"),
        [] => &ROOT,
        ["properties"] => &SECTIONS,
        ["capabilities"] => &CAPABILITIES,
        ["x509Thumbprint"] => &THUMBPRINTS,
        ["configurations", _] => &CONFIGURATION,
        ["properties", ..] => &DOLLAR,
        _ => return None,
    };
    names.iter().find(|known| known.eq_ignore_ascii_case(name)).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolved(keys: &[&str]) -> String {
        let raw = |key: &&str| match key.strip_prefix('=') {
            Some(raw) => Segment::Raw(raw.to_owned()),
            None => Segment::Name((*key).to_owned()),
        };
        Path::resolve(keys.iter().map(raw).collect()).keys().join("/")
    }

    #[test]
    fn sources_come_off_and_system_fields_get_their_spelling() {
        let cases: [(&[&str], &str); 11] = [
            (&["DEVICEID"], "deviceId"),
            (&["Devices", "deviceid"], "deviceId"),
            (&["devices", "modules", "MODULEID"], "moduleId"),
            (&["devices", "Jobs", "jobid"], "jobId"),
            (&["id"], "deviceId"),
            (&["Tags", "Site"], "tags/Site"),
            (&["PROPERTIES", "Desired", "Desired"], "properties/desired/Desired"),
            (
                &["properties", "reported", "$METADATA", "A", "$lastupdated"],
                "properties/reported/$metadata/A/$lastUpdated",
            ),
            (&["capabilities", "IOTEDGE"], "capabilities/iotEdge"),
            (&["configurations", "=Fw-3", "STATUS"], "configurations/Fw-3/status"),
            (&["properties", "=DESIRED"], "properties/DESIRED"),
        ];
        for (written, expected) in cases {
            assert_eq!(resolved(written), expected);
        }
    }
}
