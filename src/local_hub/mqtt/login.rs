//! Who connects, read from client id and user name.

use percent_encoding::percent_decode_str;

use super::super::machine::EntityId;

/// What a client says about itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Login {
    /// The hub that it means.
    pub(super) host: String,
    /// Who it is.
    pub(super) id: EntityId,
    /// The api-version, where given.
    pub(super) api_version: Option<String>,
    /// The model, where announced.
    pub(super) model: Option<String>,
}

/// What of the two cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LoginError {
    /// The client id is no id of a device or module.
    ClientId,
    /// The user name is not what goes with the client id.
    UserName,
}

/// Longest id of a device or module.
const MAX_ID: usize = 128;

impl Login {
    /// Reads `{device}[/{module}]` and `{host}/{client id}/?api-version=…`. Ids are not escaped and may hold `?`, so the
    /// client id says where the query starts.
    pub(super) fn parse(client_id: &str, user_name: &str) -> Result<Self, LoginError> {
        let id = match client_id.split_once('/') {
            None => EntityId::device(client_id),
            Some((device, module)) => EntityId::module(device, module),
        };
        let fits = |id: &str| (1..=MAX_ID).contains(&id.len()) && !id.contains(['/', '+', '#']);
        if !fits(&id.device) || !id.module.as_deref().is_none_or(fits) {
            return Err(LoginError::ClientId);
        }
        let (host, rest) = user_name.split_once('/').ok_or(LoginError::UserName)?;
        let query = rest.strip_prefix(client_id).ok_or(LoginError::UserName)?;
        if host.is_empty() || (!query.is_empty() && !query.starts_with('/')) {
            return Err(LoginError::UserName);
        }
        let mut login = Self { host: host.to_owned(), id, api_version: None, model: None };
        for (name, value) in query.trim_start_matches(['/', '?']).split('&').filter_map(|pair| pair.split_once('=')) {
            let value = percent_decode_str(value).decode_utf8_lossy().into_owned();
            match name {
                "api-version" => login.api_version = Some(value),
                "model-id" => login.model = Some(value),
                _ => {}
            }
        }
        Ok(login)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(client_id: &str, user_name: &str) -> Option<(String, Option<String>, Option<String>)> {
        Login::parse(client_id, user_name).ok().map(|login| (login.id.to_string(), login.api_version, login.model))
    }

    #[test]
    fn user_names_of_the_sdks_are_read() {
        let version = |text: &str| Some(text.to_owned());
        let cases = [
            ("d1", "hub/d1/?api-version=2021-04-12&DeviceClientType=azure-iot-device%2f1", ("d1", "2021-04-12")),
            ("d1/m1", "hub/d1/m1/?api-version=2019-10-01", ("d1/m1", "2019-10-01")),
            ("a?b=c/?x", "hub/a?b=c/?x/?api-version=2019-10-01", ("a?b=c/?x", "2019-10-01")),
            ("d1", "hub/d1/api-version=2016-11-14", ("d1", "2016-11-14")),
        ];
        for (client_id, user_name, (id, expected)) in cases {
            assert_eq!(read(client_id, user_name), Some((id.to_owned(), version(expected), None)), "{user_name}");
        }
        let model = read("d1", "hub/d1/?api-version=2020-09-30&model-id=dtmi%3Aacme%3Apump%3B2");
        assert_eq!(model.unwrap().2.as_deref(), Some("dtmi:acme:pump;2"));
    }

    #[test]
    fn strangers_are_not() {
        use LoginError::{ClientId, UserName};
        let long = "d".repeat(129);
        let cases = [
            ("", "hub//?", ClientId),
            ("/m1", "hub//m1/?", ClientId),
            ("d1/", "hub/d1//?", ClientId),
            ("a/b/c", "hub/a/b/c/?", ClientId),
            ("a+b", "hub/a+b/?", ClientId),
            ("a#b", "hub/a#b/?", ClientId),
            (&long, "hub/d/?", ClientId),
            ("d1", "", UserName),
            ("d1", "hub", UserName),
            ("d1", "/d1/?api-version=2021-04-12", UserName),
            ("d1", "hub/d2/?", UserName),
            ("d1", "hub/d11/?", UserName),
            ("d1", "hub/D1/?", UserName),
        ];
        for (client_id, user_name, error) in cases {
            assert_eq!(Login::parse(client_id, user_name), Err(error), "{client_id} {user_name}");
        }
    }
}
