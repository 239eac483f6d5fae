//! From a URL to what is meant.

/// Which collection, which object, which part.
pub struct Route {
    /// `GROUP/VERSION/PLURAL`, or `VERSION/PLURAL` for the core.
    pub collection: String,
    /// `NAMESPACE/NAME`.
    pub key: Option<String>,
    pub subresource: Option<String>,
    /// The namespace, where the URL names one.
    pub namespace: Option<String>,
}

/// What a list or a watch is to show.
#[derive(Default)]
pub struct Question {
    pub watch: bool,
    /// Whether a watch begins with all objects.
    pub initial_events: bool,
    /// Where a watch begins.
    pub version: u64,
    /// Items on a page.
    pub limit: Option<usize>,
    /// The last key of the page before.
    pub after: Option<String>,
    /// What keys begin with: a namespace.
    pub prefix: String,
}

impl Route {
    pub fn parse(path: &str) -> Option<Self> {
        let mut parts: Vec<&str> = path.trim_matches('/').split('/').collect();
        let prefix = match *parts.first()? {
            "apis" if parts.len() > 3 => format!("{}/{}", parts[1], parts[2]),
            "api" if parts.len() > 2 => parts[1].to_owned(),
            _ => return None,
        };
        parts.drain(..if parts[0] == "apis" { 3 } else { 2 });
        let namespace = (parts[0] == "namespaces" && parts.len() > 2).then(|| parts[1].to_owned());
        if namespace.is_some() {
            parts.drain(..2);
        }
        let name = parts.get(1).map(|name| super::store::key(namespace.as_deref().unwrap_or_default(), name));
        let subresource = parts.get(2).map(|part| (*part).to_owned());
        Some(Self { collection: format!("{prefix}/{}", parts[0]), key: name, subresource, namespace })
    }
}

impl Question {
    pub fn parse(query: &str) -> Self {
        let mut question = Self::default();
        for (name, value) in query.split('&').filter_map(|pair| pair.split_once('=')) {
            match name {
                "watch" => question.watch = value == "true" || value == "1",
                "sendInitialEvents" => question.initial_events = value == "true",
                "resourceVersion" => question.version = value.parse().unwrap_or_default(),
                "limit" => question.limit = value.parse().ok().filter(|limit| *limit > 0),
                "continue" => question.after = decode(value),
                _ => {}
            }
        }
        question
    }
}

/// Tokens are hexadecimal, so that they need no escapes.
pub fn encode(key: &str) -> String {
    key.bytes().map(|byte| format!("{byte:02x}")).collect()
}

fn decode(token: &str) -> Option<String> {
    let bytes = token.as_bytes().chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok());
    String::from_utf8(bytes.collect::<Option<Vec<u8>>>()?).ok().filter(|key| !key.is_empty())
}
