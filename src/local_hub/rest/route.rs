//! Which operation a request asks for, and about whom. Pure.

use http::{HeaderMap, Method};
use percent_encoding::percent_decode_str;

use super::super::machine::EntityId;
use super::operation::Operation;

/// What a request asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Route {
    /// The operation.
    pub(super) operation: Operation,
    /// The device or module that the path names.
    pub(super) id: Option<EntityId>,
}

impl Route {
    fn to(operation: Operation) -> Self {
        Self { operation, id: None }
    }
}

/// The method that is meant. Java's HTTP library knows no PATCH: its SDK sends POST, and names the method in a header.
pub(super) fn meant(method: &Method, headers: &HeaderMap) -> Method {
    let patch = headers.get("x-http-method-override").is_some_and(|value| value == Method::PATCH.as_str());
    if *method == Method::POST && patch { Method::PATCH } else { method.clone() }
}

/// Reads method and path. Ids may be percent-encoded or not; the path is taken apart before it is decoded, so that an id
/// may hold anything but a bare `/`, `?` and `#`.
pub(super) fn route(method: &Method, path: &str) -> Route {
    let decoded = path.split('/').skip(1).map(|segment| percent_decode_str(segment).decode_utf8());
    let Ok(segments) = decoded.collect::<Result<Vec<_>, _>>() else { return Route::to(Operation::Unknown) };
    let segments: Vec<&str> = segments.iter().map(AsRef::as_ref).collect();
    let one = |wanted: &Method, operation| Route::to(if method == wanted { operation } else { Operation::WrongMethod });
    match segments[..] {
        // The Node SDK lists with a slash at the end.
        ["devices"] | ["devices", ""] => Route::to(match *method {
            Method::GET => Operation::ListDevices,
            Method::POST => Operation::BulkIdentities,
            _ => Operation::WrongMethod,
        }),
        // A device may be called "query" as well.
        ["devices", "query"] if method == Method::POST => Route::to(Operation::Query),
        ["devices", device] => identity(method, EntityId::device(device)),
        ["devices", device, "modules"] | ["devices", device, "modules", ""] => {
            Route { id: Some(EntityId::device(device)), ..one(&Method::GET, Operation::ListModules) }
        }
        ["devices", device, "modules", module] => identity(method, EntityId::module(device, module)),
        ["twins", device] if !device.is_empty() => twin(method, EntityId::device(device)),
        ["twins", device, "modules", module] if !module.is_empty() => twin(method, EntityId::module(device, module)),
        ["statistics", "devices"] => one(&Method::GET, Operation::Statistics),
        ["statistics", "service"] => one(&Method::GET, Operation::ServiceStatistics),
        ["jobs", ..] => Route::to(Operation::Jobs),
        ["configurations" | "digitaltwins" | "messages", ..]
        | ["twins", _, "methods"]
        | ["twins", _, "modules", _, "methods"]
        | ["devices", _, "commands" | "messages" | "files" | "applyConfigurationContent", ..]
        | ["devices", "keys", "regenerate"] => Route::to(Operation::Unsupported),
        _ => Route::to(Operation::Unknown),
    }
}

fn identity(method: &Method, id: EntityId) -> Route {
    let operation = match *method {
        Method::GET => Operation::GetIdentity,
        Method::PUT => Operation::PutIdentity,
        Method::DELETE => Operation::DeleteIdentity,
        _ => Operation::WrongMethod,
    };
    Route { operation, id: Some(id) }
}

fn twin(method: &Method, id: EntityId) -> Route {
    let operation = match *method {
        Method::GET => Operation::GetTwin,
        Method::PATCH => Operation::PatchTwin,
        Method::PUT => Operation::ReplaceTwin,
        _ => Operation::WrongMethod,
    };
    Route { operation, id: Some(id) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_lead_to_operations() {
        use Operation::{
            BulkIdentities, DeleteIdentity, GetIdentity, GetTwin, Jobs, ListDevices, ListModules, PatchTwin,
            PutIdentity, Query, ReplaceTwin, ServiceStatistics, Statistics, Unknown, Unsupported, WrongMethod,
        };
        let cases = [
            ("GET", "/devices", ListDevices, None),
            ("GET", "/devices/", ListDevices, None),
            ("POST", "/devices", BulkIdentities, None),
            ("DELETE", "/devices", WrongMethod, None),
            ("POST", "/devices/query", Query, None),
            ("GET", "/devices/query", GetIdentity, Some("query")),
            ("PUT", "/devices/d1", PutIdentity, Some("d1")),
            ("DELETE", "/devices/d1", DeleteIdentity, Some("d1")),
            ("PATCH", "/devices/d1", WrongMethod, Some("d1")),
            ("HEAD", "/devices/d1", WrongMethod, Some("d1")),
            ("GET", "/devices/d1/modules", ListModules, Some("d1")),
            ("GET", "/devices/d1/modules/", ListModules, Some("d1")),
            ("POST", "/devices/d1/modules", WrongMethod, Some("d1")),
            ("GET", "/devices/d1/modules/m", GetIdentity, Some("d1/m")),
            ("GET", "/twins/d1", GetTwin, Some("d1")),
            ("PATCH", "/twins/d1", PatchTwin, Some("d1")),
            ("PUT", "/twins/d1/modules/%24edgeAgent", ReplaceTwin, Some("d1/$edgeAgent")),
            ("DELETE", "/twins/d1", WrongMethod, Some("d1")),
            // Every character of ids, escaped and not.
            ("GET", "/twins/Az0-:.+%25_%23*%3F!(),=@;$'", GetTwin, Some("Az0-:.+%_#*?!(),=@;$'")),
            ("GET", "/twins/%2D%3a%2E%2b%5f%2A%21%28%29%2c%3D%40%3B%24%27", GetTwin, Some("-:.+_*!(),=@;$'")),
            ("GET", "/statistics/devices", Statistics, None),
            ("GET", "/statistics/service", ServiceStatistics, None),
            ("PUT", "/jobs/v2/j1", Jobs, None),
            ("GET", "/jobs", Jobs, None),
            ("POST", "/twins/d1/methods", Unsupported, None),
            ("GET", "/configurations", Unsupported, None),
            ("GET", "/twins", Unknown, None),
            ("GET", "/twins/", Unknown, None),
            ("GET", "/twins/d1/", Unknown, None),
            ("GET", "/twins/d1/modules/", Unknown, None),
            ("GET", "/twins/%ff", Unknown, None),
            ("GET", "/", Unknown, None),
            ("GET", "*", Unknown, None),
        ];
        for (method, path, operation, id) in cases {
            let found = route(&method.parse().unwrap(), path);
            assert_eq!(found.operation, operation, "{method} {path}");
            assert_eq!(found.id.map(|id| id.to_string()).as_deref(), id, "{method} {path}");
        }
    }
}
