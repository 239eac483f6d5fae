"""azure-iot-device: WebSocket, X.509 certificates, tokens made elsewhere, and the rest."""

import base64
import os

import pytest
from azure.iot.device import IoTHubDeviceClient, IoTHubModuleClient, X509, Message
from azure.iot.device.exceptions import CredentialError
from azure.iot.hub.models import Twin, TwinProperties
from azure.iot.hub.sastoken import SasToken

from conftest import DEADLINE, in_background, rests_on
from test_twins import own

HOST = os.environ["HUB_HOST"]
OTHER_THUMBPRINT = "0" * 40
WRONG = base64.b64encode(b"x" * 32).decode()


def desired(registry, device, **properties):
    twin = Twin(properties=TwinProperties(desired=properties))
    if device.module:
        return registry.update_module_twin(device.id, device.module, twin)
    return registry.update_twin(device.id, twin)


def reads_reports_and_is_told(registry, device):
    device.listen()
    assert device.client.get_twin()["desired"]["$version"] == 1
    device.client.patch_twin_reported_properties({"a": 1})
    twin = registry.get_module_twin(device.id, device.module) if device.module else registry.get_twin(device.id)
    assert (own(twin.properties.reported), twin.connection_state) == ({"a": 1}, "Connected")
    desired(registry, device, b=2)
    assert device.desired.until(lambda notice: "b" in notice)["b"] == 2


@rests_on("device.websocket", "device.connect", "device.get", "device.report", "device.notify")
def test_websocket_serves_a_device(registry, identity, open_device):
    reads_reports_and_is_told(registry, open_device(identity, websockets=True))


@rests_on("device.websocket", "device.get")
def test_websocket_serves_a_module(registry, module, open_device):
    reads_reports_and_is_told(registry, open_device(module, websockets=True))


@rests_on("device.websocket", "device.notify")
def test_websocket_reconnects_with_its_subscription(registry, identity, open_device):
    device = open_device(identity, websockets=True, ensure_desired_properties=False)
    device.listen()
    device.client.disconnect()
    device.client.connect()
    desired(registry, device, after=1)
    assert device.desired.until(lambda notice: "after" in notice)["after"] == 1


@rests_on("device.websocket", "device.report", "device.notify")
def test_websocket_that_is_lost_comes_back(registry, identity, open_device, fault):
    device = open_device(identity, websockets=True, ensure_desired_properties=False)
    device.listen()
    device.connection.until(lambda connected: connected)
    fault(operation="device.report", subject=device.id, times=1, effect="cutBefore")
    report = in_background(lambda: device.client.patch_twin_reported_properties({"a": 1}))
    device.comes_back()
    assert report.until(lambda _: True) == (None, None)
    desired(registry, device, after=1)
    assert device.desired.until(lambda notice: "after" in notice)["after"] == 1


@rests_on("device.websocket", "device.connect")
def test_websocket_refuses_a_wrong_key(identity, open_device):
    device = open_device(identity, connect=False, websockets=True, key=WRONG)
    with pytest.raises(CredentialError):
        device.client.connect()


def certificate(name="DEVICE"):
    return X509(os.environ[f"{name}_CERT"], os.environ[f"{name}_KEY"])


def with_certificate(identity, name="DEVICE"):
    """What makes the client of a device or a module that shows this certificate."""
    module = getattr(identity, "module_id", None)
    if module:
        return lambda **options: IoTHubModuleClient.create_from_x509_certificate(
            certificate(name), HOST, identity.device_id, module, **options
        )
    return lambda **options: IoTHubDeviceClient.create_from_x509_certificate(certificate(name), HOST, identity.device_id, **options)


@pytest.fixture
def certified(registry, name):
    """A device that is known by the thumbprint of its certificate."""
    return registry.create_device_with_x509(name(), os.environ["DEVICE_SHA1"], OTHER_THUMBPRINT, "enabled")


@rests_on("device.connect", "device.get", "device.report", "device.notify")
def test_certificate_lets_a_device_in(registry, certified, open_device):
    reads_reports_and_is_told(registry, open_device(certified, make=with_certificate(certified)))


@rests_on("device.websocket", "device.connect")
def test_certificate_lets_a_device_in_over_websocket(registry, certified, open_device):
    reads_reports_and_is_told(registry, open_device(certified, make=with_certificate(certified), websockets=True))


@rests_on("device.connect", "device.report")
def test_certificate_lets_a_module_in(registry, identity, open_device):
    module = registry.create_module_with_x509(identity.device_id, "m1", "", os.environ["DEVICE_SHA1"], OTHER_THUMBPRINT)
    reads_reports_and_is_told(registry, open_device(module, make=with_certificate(module)))


@rests_on("device.connect", "identity.put")
def test_second_thumbprint_lets_a_device_in(registry, certified, open_device):
    registry.update_device_with_x509(
        certified.device_id, certified.etag, OTHER_THUMBPRINT, os.environ["DEVICE_SHA1"], "enabled"
    )
    assert open_device(certified, make=with_certificate(certified)).client.connected


@rests_on("device.connect")
def test_another_certificate_is_refused(certified, open_device):
    with pytest.raises(CredentialError):
        open_device(certified, make=with_certificate(certified, "OTHER"))


@rests_on("device.connect")
def test_certificate_of_a_device_with_keys_is_refused(identity, open_device):
    with pytest.raises(CredentialError):
        open_device(identity, make=with_certificate(identity))


@rests_on("device.connect", "identity.put")
def test_thumbprint_that_goes_cuts_the_connection(registry, certified, open_device):
    device = open_device(certified, make=with_certificate(certified), connection_retry=False)
    device.connection.until(lambda connected: connected)
    registry.update_device_with_x509(certified.device_id, certified.etag, OTHER_THUMBPRINT, OTHER_THUMBPRINT, "enabled")
    assert not device.connection.until(lambda connected: not connected)


@rests_on("device.connect", "device.get")
def test_symmetric_key_alone_lets_a_device_in(identity, open_device):
    key = identity.authentication.symmetric_key.primary_key
    device = open_device(
        identity, make=lambda **options: IoTHubDeviceClient.create_from_symmetric_key(key, HOST, identity.device_id, **options)
    )
    assert own(device.client.get_twin()["desired"]) == {}


def token(identity, seconds):
    """A token as somebody else makes it."""
    module = getattr(identity, "module_id", None)
    resource = f"{HOST}/devices/{identity.device_id}" + (f"/modules/{module}" if module else "")
    return str(SasToken(resource, identity.authentication.symmetric_key.primary_key, ttl=seconds))


@rests_on("device.connect", "device.notify")
def test_token_made_elsewhere_is_replaced_before_its_end(registry, identity, open_device):
    # The package asks for a new one two minutes before the end.
    device = open_device(
        identity,
        make=lambda **options: IoTHubDeviceClient.create_from_sastoken(token(identity, 122), **options),
        ensure_desired_properties=False,
        connect=False,
    )
    device.client.on_new_sastoken_required = lambda: device.client.update_sastoken(token(identity, 3600))
    device.client.connect()
    device.listen()
    device.connection.until(lambda connected: connected)
    device.comes_back()
    desired(registry, device, after=1)
    assert device.desired.until(lambda notice: "after" in notice)["after"] == 1


@rests_on("device.connect", "device.get")
def test_token_made_elsewhere_lets_a_module_in(module, open_device):
    device = open_device(module, make=lambda **options: IoTHubModuleClient.create_from_sastoken(token(module, 3600), **options))
    assert own(device.client.get_twin()["desired"]) == {}


@rests_on("device.connect")
def test_token_that_is_over_is_refused(identity, open_device, move_clock):
    device = open_device(
        identity, make=lambda **options: IoTHubDeviceClient.create_from_sastoken(token(identity, 3600), **options), connect=False
    )
    move_clock(hours=2)
    with pytest.raises(CredentialError):
        device.client.connect()


@rests_on("device.connect")
def test_model_id_is_seen_in_the_twin(registry, identity, open_device):
    # A product that looks like the name of a model is one.
    device = open_device(identity, product_info="dtmi:acme:pump;2")
    assert registry.get_twin(device.id).additional_properties["modelId"] == "dtmi:acme:pump;2"


@rests_on("device.subscribe", "device.message")
def test_methods_and_messages_can_be_subscribed_to(identity, open_device, events):
    device = open_device(identity)
    device.client.on_method_request_received = lambda request: None
    device.client.on_message_received = lambda message: None
    # Answered in order, so that both are granted then.
    device.client.send_message(Message("after"))
    assert events(device.id).count("device.subscribe") == 2


@rests_on("device.message")
def test_messages_of_a_module_are_accepted(module, open_device, events):
    device = open_device(module)
    device.client.send_message("telemetry")
    device.client.send_message_to_output(Message("telemetry"), "out")
    assert events(f"{device.id}/m1").count("device.message") == 2


@rests_on("device.subscribe")
def test_messages_to_inputs_of_a_module_can_be_subscribed_to(module, open_device, events):
    device = open_device(module)
    device.client.on_message_received = lambda message: None
    device.client.send_message("after")
    assert "device.subscribe" in events(f"{device.id}/m1")


@rests_on("device.notify")
def test_notice_can_be_waited_for(registry, identity, open_device):
    device = open_device(identity)
    # The first call subscribes.
    device.client.receive_twin_desired_properties_patch(block=False)
    version = desired(registry, device, a=1).properties.desired["$version"]
    assert device.client.receive_twin_desired_properties_patch(timeout=DEADLINE) == {"a": 1, "$version": version}
