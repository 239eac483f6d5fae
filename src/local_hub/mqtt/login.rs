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

impl Login {
    /// Reads `{device}[/{module}]` and `{host}/{client id}/?api-version=…`. Ids are not escaped and may hold `?`, so the
    /// client id says where the query starts.
    pub(super) fn parse(client_id: &str, user_name: &str) -> Option<Self> {
        let id = match client_id.split_once('/') {
            None => EntityId::device(client_id),
            Some((device, module)) if !module.is_empty() && !module.contains('/') => EntityId::module(device, module),
            Some(_) => return None,
        };
        if id.device.is_empty() {
            return None;
        }
        let (host, rest) = user_name.split_once('/')?;
        let query = rest.strip_prefix(client_id)?;
        if !query.is_empty() && !query.starts_with('/') {
            return None;
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
        Some(login)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(client_id: &str, user_name: &str) -> Option<(String, Option<String>, Option<String>)> {
        Login::parse(client_id, user_name).map(|login| (login.id.to_string(), login.api_version, login.model))
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
        for (client_id, user_name) in
            [("", "hub//?"), ("d1", "hub"), ("d1", "hub/d2/?"), ("d1", "hub/d11/?"), ("a/b/c", "hub/a/b/c/?")]
        {
            assert_eq!(read(client_id, user_name), None, "{client_id} {user_name}");
        }
    }
}
