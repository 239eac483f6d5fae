"""azure-iot-device: what a device and a module see of their twin."""

import base64

import pytest
from azure.iot.device.exceptions import ClientError, CredentialError
from azure.iot.hub.models import Twin, TwinProperties

from conftest import in_background, rests_on
from test_twins import own


def desired(registry, device, **properties):
    twin = registry.update_twin(device, Twin(properties=TwinProperties(desired=properties)), "*")
    return twin.properties.desired["$version"]


@rests_on("device.connect")
def test_connected_device_is_seen_as_connected(registry, identity, open_device):
    device = open_device(identity)
    assert device.client.connected
    assert registry.get_twin(device.id).connection_state == "Connected"
    assert registry.get_device(device.id).connection_state == "Connected"


@rests_on("device.connect")
def test_disconnected_device_is_seen_as_disconnected(registry, identity, open_device):
    device = open_device(identity)
    device.client.disconnect()
    assert not device.client.connected
    assert registry.get_twin(device.id).connection_state == "Disconnected"


@rests_on("device.connect")
def test_secondary_key_lets_a_device_in(identity, open_device):
    device = open_device(identity, key=identity.authentication.symmetric_key.secondary_key)
    assert device.client.connected


@rests_on("device.get", "device.subscribe")
def test_get_twin_answers_desired_and_reported_without_tags(registry, identity, open_device):
    registry.update_twin(identity.device_id, Twin(tags={"t": 1}, properties=TwinProperties(desired={"a": {"b": 1}})))
    twin = open_device(identity).client.get_twin()
    assert sorted(twin) == ["desired", "reported"]
    assert (own(twin["desired"]), own(twin["reported"])) == ({"a": {"b": 1}}, {})
    assert (twin["desired"]["$version"], twin["reported"]["$version"]) == (2, 1)


@rests_on("device.report", "device.get")
def test_report_is_seen_by_the_service_and_the_device(registry, identity, open_device):
    device = open_device(identity)
    device.client.patch_twin_reported_properties({"a": 1, "b": {"c": [2]}})
    assert own(registry.get_twin(device.id).properties.reported) == {"a": 1, "b": {"c": [2]}}
    twin = device.client.get_twin()
    assert (own(twin["reported"]), twin["reported"]["$version"]) == ({"a": 1, "b": {"c": [2]}}, 2)


@rests_on("device.report")
def test_null_in_a_report_removes(registry, identity, open_device):
    device = open_device(identity)
    device.client.patch_twin_reported_properties({"a": 1, "b": {"c": 2, "d": 3}})
    device.client.patch_twin_reported_properties({"a": None, "b": {"c": None}})
    assert own(registry.get_twin(device.id).properties.reported) == {"b": {"d": 3}}


@rests_on("device.report")
def test_report_with_a_forbidden_key_is_refused(registry, identity, open_device):
    device = open_device(identity)
    with pytest.raises(ClientError):
        device.client.patch_twin_reported_properties({"a.b": 1})
    assert own(registry.get_twin(device.id).properties.reported) == {}
    device.client.patch_twin_reported_properties({"a": 1})
    assert own(registry.get_twin(device.id).properties.reported) == {"a": 1}


@rests_on("device.notify", "device.subscribe")
def test_desired_notice_brings_the_patch_and_its_version(registry, identity, open_device):
    device = open_device(identity)
    device.listen()
    desired(registry, device.id, old=1)
    version = desired(registry, device.id, a={"b": 1}, old=None)
    notice = device.desired.until(lambda notice: "a" in notice)
    assert notice == {"a": {"b": 1}, "old": None, "$version": version}


@rests_on("device.notify", "twin.replace")
def test_replacement_is_told_with_the_new_content(registry, identity, open_device):
    device = open_device(identity)
    desired(registry, device.id, old=1)
    device.listen()
    registry.replace_twin(device.id, Twin(properties=TwinProperties(desired={"new": 2})))
    notice = device.desired.until(lambda notice: "new" in notice)
    assert notice["new"] == 2
    # What went away is either not named or null.
    assert notice.get("old") is None
    assert notice["$version"] == device.client.get_twin()["desired"]["$version"]


@rests_on("device.notify")
def test_change_of_tags_is_not_told(registry, identity, open_device):
    device = open_device(identity)
    device.listen()
    seen = []
    registry.update_twin(device.id, Twin(tags={"t": 1}))
    desired(registry, device.id, after=1)
    device.desired.until(lambda notice: seen.append(notice) or "after" in notice)
    assert all("t" not in notice for notice in seen)
    assert [notice for notice in seen if own(notice)] == seen


@rests_on("device.notify", "device.report")
def test_own_report_is_not_told(registry, identity, open_device):
    device = open_device(identity)
    device.listen()
    seen = []
    device.client.patch_twin_reported_properties({"mine": 1})
    desired(registry, device.id, after=1)
    device.desired.until(lambda notice: seen.append(notice) or "after" in notice)
    assert all("mine" not in notice for notice in seen)


@rests_on("device.connect", "device.notify")
def test_reconnect_keeps_the_subscription(registry, identity, open_device):
    # Without the package's own reading of the twin, which would hide a lost subscription.
    device = open_device(identity, ensure_desired_properties=False)
    device.listen()
    device.client.disconnect()
    device.client.connect()
    desired(registry, device.id, after=1)
    assert device.desired.until(lambda notice: "after" in notice)["after"] == 1


@rests_on("device.connect", "device.get")
def test_change_while_away_is_found_after_reconnect(registry, identity, open_device):
    device = open_device(identity)
    # The package reads the twin by itself, but does not subscribe to the answer: that is left to the first call.
    device.client.get_twin()
    device.listen()
    desired(registry, device.id, before=1)
    device.desired.until(lambda notice: "before" in notice)
    device.client.disconnect()
    version = desired(registry, device.id, away=1)
    device.client.connect()
    notice = device.desired.until(lambda notice: "away" in notice)
    assert notice["$version"] == version


@rests_on("device.connect", "device.notify")
def test_change_while_away_is_not_queued_by_the_hub(registry, identity, open_device):
    device = open_device(identity, ensure_desired_properties=False)
    device.listen()
    device.client.disconnect()
    desired(registry, device.id, away=1)
    device.client.connect()
    desired(registry, device.id, after=1)
    seen = []
    device.desired.until(lambda notice: seen.append(notice) or "after" in notice)
    assert len(seen) == 1


@rests_on("device.report", "device.notify")
def test_lost_connection_comes_back_with_its_subscription(registry, identity, open_device, fault):
    device = open_device(identity, ensure_desired_properties=False)
    device.listen()
    device.connection.until(lambda connected: connected)
    fault(operation="device.report", subject=device.id, times=1, effect="cutBefore")
    report = in_background(lambda: device.client.patch_twin_reported_properties({"a": 1}))
    device.comes_back()
    desired(registry, device.id, after=1)
    assert device.desired.until(lambda notice: "after" in notice)["after"] == 1
    # The package sends the report again, because the hub gave no receipt.
    assert report.until(lambda _: True) == (None, None)
    assert own(registry.get_twin(device.id).properties.reported) == {"a": 1}


@rests_on("device.connect")
def test_second_connection_takes_over(identity, open_device):
    first = open_device(identity, connection_retry=False)
    first.connection.until(lambda connected: connected)
    second = open_device(identity)
    assert not first.connection.until(lambda connected: not connected)
    assert second.client.connected
    second.client.patch_twin_reported_properties({"by": "second"})
    assert own(second.client.get_twin()["reported"]) == {"by": "second"}


@rests_on("device.connect", "device.notify")
def test_token_is_renewed_and_the_subscription_stays(registry, identity, open_device):
    # The package renews two minutes before the end.
    device = open_device(identity, sastoken_ttl=122, ensure_desired_properties=False)
    device.listen()
    device.connection.until(lambda connected: connected)
    device.comes_back()
    desired(registry, device.id, after=1)
    assert device.desired.until(lambda notice: "after" in notice)["after"] == 1


@rests_on("device.message")
def test_message_is_accepted(identity, open_device):
    open_device(identity).client.send_message("telemetry")


@rests_on("device.connect")
def test_wrong_key_is_refused(identity, open_device):
    device = open_device(identity, connect=False, key=base64.b64encode(b"x" * 32).decode())
    with pytest.raises(CredentialError):
        device.client.connect()
    assert not device.client.connected


@rests_on("device.connect")
def test_unknown_device_is_refused(registry, identity, open_device):
    registry.delete_device(identity.device_id)
    with pytest.raises(CredentialError):
        open_device(identity)


@rests_on("device.connect")
def test_disabled_device_is_refused(registry, name, open_device):
    with pytest.raises(CredentialError):
        open_device(registry.create_device_with_sas(name(), "", "", "disabled"))


@rests_on("device.connect", "identity.put")
def test_disabling_cuts_the_connection(registry, identity, open_device):
    device = open_device(identity, connection_retry=False)
    device.connection.until(lambda connected: connected)
    keys = identity.authentication.symmetric_key
    registry.update_device_with_sas(device.id, identity.etag, keys.primary_key, keys.secondary_key, "disabled")
    assert not device.connection.until(lambda connected: not connected)


@rests_on("device.connect", "identity.delete")
def test_deleting_cuts_the_connection(registry, identity, open_device):
    device = open_device(identity, connection_retry=False)
    device.connection.until(lambda connected: connected)
    registry.delete_device(device.id)
    assert not device.connection.until(lambda connected: not connected)


@rests_on("device.report", "device.get")
def test_module_has_a_twin_of_its_own(registry, identity, open_device):
    device = open_device(registry.create_module_with_sas(identity.device_id, "m1", "", "", ""))
    device.client.patch_twin_reported_properties({"a": 1})
    assert own(device.client.get_twin()["reported"]) == {"a": 1}
    assert own(registry.get_module_twin(device.id, "m1").properties.reported) == {"a": 1}
    assert own(registry.get_twin(device.id).properties.reported) == {}


@rests_on("device.notify")
def test_module_is_told_of_its_own_changes(registry, identity, open_device):
    device = open_device(registry.create_module_with_sas(identity.device_id, "m1", "", "", ""))
    device.listen()
    desired(registry, device.id, of="device")
    registry.update_module_twin(device.id, "m1", Twin(properties=TwinProperties(desired={"of": "module"})))
    assert device.desired.until(lambda notice: "of" in notice)["of"] == "module"


@rests_on("device.connect", "device.notify")
def test_module_reconnects_with_its_subscription(registry, module, open_device):
    device = open_device(module, ensure_desired_properties=False)
    device.listen()
    device.client.disconnect()
    assert not device.client.connected
    device.client.connect()
    registry.update_module_twin(device.id, "m1", Twin(properties=TwinProperties(desired={"after": 1})))
    assert device.desired.until(lambda notice: "after" in notice)["after"] == 1
