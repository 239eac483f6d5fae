"""azure-iot-hub: twins of devices and modules, and queries over them."""

import base64
import os

import pytest
from azure.iot.hub import IoTHubRegistryManager
from azure.iot.hub.models import QuerySpecification, Twin, TwinProperties

from conftest import refused, rests_on

STALE = "AAAAAAAAAAA="


def own(section):
    """Without what the hub adds."""
    return {key: value for key, value in (section or {}).items() if not key.startswith("$")}


def desired(**properties):
    return Twin(properties=TwinProperties(desired=properties))


@rests_on("twin.get")
def test_twin_of_a_new_device_is_empty(registry, identity):
    twin = registry.get_twin(identity.device_id)
    assert own(twin.tags) == own(twin.properties.desired) == own(twin.properties.reported) == {}
    assert twin.properties.desired["$version"] == twin.properties.reported["$version"] == 1
    assert (twin.status, twin.connection_state, twin.authentication_type) == ("enabled", "Disconnected", "sas")


@rests_on("twin.get")
def test_get_twin_of_an_unknown_device_is_404(registry, name):
    assert refused(registry.get_twin, name()) == "404 DeviceNotFound"


@rests_on("twin.patch", "twin.get")
def test_update_twin_answers_the_whole_new_twin(registry, identity):
    twin = registry.update_twin(identity.device_id, Twin(tags={"site": {"floor": 3}}, properties=TwinProperties(desired={"a": 1})))
    assert (twin.tags, own(twin.properties.desired)) == ({"site": {"floor": 3}}, {"a": 1})
    assert registry.get_twin(identity.device_id).as_dict() == twin.as_dict()


@rests_on("twin.patch")
def test_update_twin_merges_at_every_depth(registry, identity):
    registry.update_twin(identity.device_id, desired(net={"ip": "10.0.0.1", "dns": {"a": 1, "b": 2}}))
    twin = registry.update_twin(identity.device_id, desired(net={"dns": {"b": 3}}, more=True))
    assert own(twin.properties.desired) == {"net": {"ip": "10.0.0.1", "dns": {"a": 1, "b": 3}}, "more": True}


@rests_on("twin.patch", "twin.get")
def test_update_twin_raises_etag_and_versions(registry, identity):
    before = registry.get_twin(identity.device_id)
    after = registry.update_twin(identity.device_id, desired(a=1), before.etag)
    assert after.etag != before.etag
    assert after.version > before.version
    assert after.properties.desired["$version"] == before.properties.desired["$version"] + 1


@rests_on("twin.patch")
def test_update_twin_with_a_stale_etag_is_412(registry, identity):
    assert refused(registry.update_twin, identity.device_id, desired(a=1), STALE) == "412 PreconditionFailed"
    assert own(registry.get_twin(identity.device_id).properties.desired) == {}


@rests_on("twin.patch")
def test_update_twin_with_any_etag_is_taken(registry, identity):
    assert own(registry.update_twin(identity.device_id, desired(a=1), "*").properties.desired) == {"a": 1}


@rests_on("twin.patch")
def test_null_removes_from_tags_and_desired_at_any_depth(registry, identity):
    both = Twin(tags={"a": 1, "b": {"c": 2, "d": 3}}, properties=TwinProperties(desired={"e": 4, "f": {"g": 5, "h": 6}}))
    registry.update_twin(identity.device_id, both)
    nulls = Twin(tags={"a": None, "b": {"c": None}}, properties=TwinProperties(desired={"e": None, "f": {"g": None}}))
    twin = registry.update_twin(identity.device_id, nulls)
    assert (twin.tags, own(twin.properties.desired)) == ({"b": {"d": 3}}, {"f": {"h": 6}})


@rests_on("twin.patch")
def test_metadata_says_when_and_in_which_version_a_property_changed(registry, identity):
    twin = registry.update_twin(identity.device_id, desired(a=1))
    metadata = twin.properties.desired["$metadata"]
    assert metadata["a"]["$lastUpdatedVersion"] == twin.properties.desired["$version"]
    assert metadata["a"]["$lastUpdated"] == metadata["$lastUpdated"]


@rests_on("twin.patch", "twin.get")
def test_every_kind_of_value_comes_back_unchanged(registry, identity):
    values = {"text": "ünï\"cødé\n", "int": -4503599627370496, "float": 1.5, "yes": True, "list": [1, "a", {"b": [2]}], "none": {}}
    registry.update_twin(identity.device_id, desired(**values))
    assert own(registry.get_twin(identity.device_id).properties.desired) == values


@rests_on("twin.replace")
def test_replace_twin_drops_what_is_not_named(registry, identity):
    registry.update_twin(identity.device_id, Twin(tags={"old": 1}, properties=TwinProperties(desired={"old": 1})))
    new = Twin(tags={"new": 2}, properties=TwinProperties(desired={"new": 2}))
    twin = registry.replace_twin(identity.device_id, new)
    assert (twin.tags, own(twin.properties.desired)) == ({"new": 2}, {"new": 2})
    assert own(registry.get_twin(identity.device_id).properties.desired) == {"new": 2}


@rests_on("twin.replace")
def test_replace_twin_with_a_stale_etag_is_412(registry, identity):
    registry.update_twin(identity.device_id, desired(a=1))
    assert refused(registry.replace_twin, identity.device_id, desired(b=1), STALE) == "412 PreconditionFailed"
    assert own(registry.get_twin(identity.device_id).properties.desired) == {"a": 1}


@rests_on("twin.patch")
def test_twin_that_was_read_can_be_sent_back(registry, identity):
    twin = registry.update_twin(identity.device_id, Twin(tags={"a": 1}, properties=TwinProperties(desired={"b": 2})))
    twin.tags["a"] = 3
    after = registry.update_twin(identity.device_id, twin, twin.etag)
    assert (after.tags, own(after.properties.desired)) == ({"a": 3}, {"b": 2})


@rests_on("twin.patch")
@pytest.mark.parametrize("key", ["a.b", "a b", "$a"])
def test_update_twin_with_a_forbidden_key_is_400(registry, identity, key):
    assert refused(registry.update_twin, identity.device_id, desired(**{key: 1})) == "400 ArgumentInvalid"


@rests_on("twin.patch")
def test_update_twin_over_the_size_limit_is_403(registry, identity):
    large = {f"k{n}": "x" * 4000 for n in range(9)}
    assert refused(registry.update_twin, identity.device_id, desired(**large)) == "403 DeviceModelMaxPropertiesExceeded"
    assert own(registry.get_twin(identity.device_id).properties.desired) == {}


@rests_on("twin.patch", "twin.get")
def test_module_twin_is_its_own(registry, module):
    twin = registry.update_module_twin(module.device_id, "m1", desired(a=1))
    assert (twin.device_id, twin.module_id, own(twin.properties.desired)) == (module.device_id, "m1", {"a": 1})
    assert registry.get_module_twin(module.device_id, "m1").etag == twin.etag
    assert own(registry.get_twin(module.device_id).properties.desired) == {}


@rests_on("twin.patch")
def test_module_twin_with_a_stale_etag_is_412(registry, module):
    assert refused(registry.update_module_twin, module.device_id, "m1", desired(a=1), STALE) == "412 PreconditionFailed"


@rests_on("twin.replace")
def test_module_twin_is_replaced(registry, module):
    registry.update_module_twin(module.device_id, "m1", desired(a=1))
    assert own(registry.replace_module_twin(module.device_id, "m1", desired(b=2)).properties.desired) == {"b": 2}


def ask(registry, text, token=None, count=None):
    return registry.query_iot_hub(QuerySpecification(query=text), token, count)


@pytest.fixture
def fleet(registry, name):
    """Seven devices with tags of their own: the fleet that they share, and a number each."""
    devices = [name() for _ in range(7)]
    for number, device in enumerate(devices):
        registry.create_device_with_sas(device, "", "", "enabled")
        registry.update_twin(device, Twin(tags={"fleet": devices[0], "n": number, "odd": number % 2 == 1}))
    return devices


@rests_on("query")
def test_query_answers_twins(registry, fleet):
    result = ask(registry, f"SELECT * FROM devices WHERE tags.fleet = '{fleet[0]}' AND tags.n = 4")
    assert [twin.device_id for twin in result.items] == [fleet[4]]
    assert result.items[0].tags == {"fleet": fleet[0], "n": 4, "odd": False}
    assert (result.type, result.continuation_token) == ("Twin", None)


@rests_on("query")
def test_query_that_matches_nothing_answers_an_empty_page(registry):
    result = ask(registry, "SELECT * FROM devices WHERE tags.fleet = 'nobody'")
    assert (result.items, result.continuation_token) == ([], None)


@rests_on("query")
def test_query_goes_on_page_by_page_until_there_is_no_token(registry, fleet):
    text = f"SELECT * FROM devices WHERE tags.fleet = '{fleet[0]}'"
    seen, pages, token = [], [], None
    while True:
        result = ask(registry, text, token, 3)
        pages.append(len(result.items))
        seen += [twin.device_id for twin in result.items]
        token = result.continuation_token
        if token is None:
            break
    assert pages == [3, 3, 1]
    assert sorted(seen) == sorted(fleet)


@rests_on("query")
def test_query_counts(registry, fleet):
    result = ask(registry, f"SELECT COUNT() AS n FROM devices WHERE tags.fleet = '{fleet[0]}'")
    assert [item.additional_properties for item in result.items] == [{"n": 7}]
    assert result.type == "Raw"


@rests_on("query")
def test_query_groups_with_aggregates(registry, fleet):
    text = "SELECT tags.odd AS odd, COUNT() AS n, SUM(tags.n) AS sum, MIN(tags.n) AS min, MAX(tags.n) AS max, AVG(tags.n) AS avg"
    result = ask(registry, f"{text} FROM devices WHERE tags.fleet = '{fleet[0]}' GROUP BY tags.odd")
    rows = sorted((item.additional_properties for item in result.items), key=lambda row: row["odd"])
    assert rows == [
        {"odd": False, "n": 4, "sum": 12, "min": 0, "max": 6, "avg": 3},
        {"odd": True, "n": 3, "sum": 9, "min": 1, "max": 5, "avg": 3},
    ]


@rests_on("query")
def test_query_projects_with_an_alias(registry, fleet):
    result = ask(registry, f"SELECT deviceId, tags.n AS number FROM devices WHERE tags.fleet = '{fleet[0]}' AND tags.n = 2")
    assert [(item.device_id, item.additional_properties) for item in result.items] == [(fleet[2], {"number": 2})]


@rests_on("query")
def test_query_of_modules_answers_module_twins(registry, module):
    result = ask(registry, f"SELECT * FROM devices.modules WHERE deviceId = '{module.device_id}'")
    assert [(twin.device_id, twin.module_id) for twin in result.items] == [(module.device_id, "m1")]


@rests_on("query")
def test_query_that_cannot_be_read_is_400(registry):
    assert refused(ask, registry, "SELECT * FROM devices WHERE") == "400 ArgumentInvalid"


@rests_on("query")
def test_query_with_a_token_of_another_query_is_400(registry, fleet):
    token = ask(registry, f"SELECT * FROM devices WHERE tags.fleet = '{fleet[0]}'", None, 1).continuation_token
    assert token
    assert refused(ask, registry, "SELECT deviceId FROM devices", token, 1) == "400 ArgumentInvalid"


@rests_on("twin.get")
def test_wrong_service_key_is_401():
    key = base64.b64encode(b"x" * 32).decode()
    text = f"HostName={os.environ['HUB_HOST']};SharedAccessKeyName=iothubowner;SharedAccessKey={key}"
    assert refused(IoTHubRegistryManager.from_connection_string(text).get_twin, "any") == "401 IotHubUnauthorizedAccess"
