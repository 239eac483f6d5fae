"""azure-iot-device, its asynchronous clients: all that they do themselves, for they share the wire with the others."""

import asyncio
import contextlib
import functools
import os

import pytest
from azure.iot.device import Message, aio
from azure.iot.device.exceptions import ClientError, CredentialError

from conftest import Device, rests_on
from test_other_ways import HOST, WRONG, certificate, desired, token
from test_twins import own


@contextlib.asynccontextmanager
async def opened(identity, connect=True, **options):
    """A client that is connected, and shut down at the end: that has to return whatever happened before."""
    device = Device(identity, clients=aio, **options)
    try:
        if connect:
            await device.client.connect()
        yield device
    finally:
        await device.client.shutdown()


async def until(told, wanted):
    """As Told.until, while the event loop goes on."""
    return await asyncio.to_thread(told.until, wanted)


def twin_of(registry, device):
    return registry.get_module_twin(device.id, device.module) if device.module else registry.get_twin(device.id)


def subject(device):
    """As the hub's log names it."""
    return f"{device.id}/{device.module}" if device.module else device.id


@pytest.fixture(params=["device", "module"])
def either(request):
    """A new device, and a new module."""
    return request.getfixturevalue({"device": "identity", "module": "module"}[request.param])


async def reads_reports_and_is_told(registry, device):
    device.listen()
    assert (await device.client.get_twin())["desired"]["$version"] == 1
    await device.client.patch_twin_reported_properties({"a": 1})
    twin = twin_of(registry, device)
    assert (own(twin.properties.reported), twin.connection_state) == ({"a": 1}, "Connected")
    desired(registry, device, b=2)
    assert (await until(device.desired, lambda notice: "b" in notice))["b"] == 2


@rests_on("device.connect", "device.subscribe", "device.get", "device.report", "device.notify")
async def test_aio_client_reads_reports_and_is_told(registry, either):
    async with opened(either) as device:
        await reads_reports_and_is_told(registry, device)


@rests_on("device.websocket", "device.get", "device.report", "device.notify")
async def test_aio_client_takes_websocket(registry, either):
    async with opened(either, websockets=True) as device:
        await reads_reports_and_is_told(registry, device)
        await device.client.disconnect()
        await device.client.connect()
        desired(registry, device, c=3)
        assert (await until(device.desired, lambda notice: "c" in notice))["c"] == 3


@rests_on("device.connect")
async def test_aio_disconnect_is_seen_by_both_sides(registry, either):
    async with opened(either) as device:
        assert await until(device.connection, lambda connected: connected)
        await device.client.disconnect()
        assert not await until(device.connection, lambda connected: not connected)
        assert not device.client.connected
        assert twin_of(registry, device).connection_state == "Disconnected"


@rests_on("device.connect", "device.notify")
async def test_aio_disconnect_returns_after_notices(registry, either):
    async with opened(either) as device:
        device.listen()
        # Nobody takes the notices: those on their way are handed over before it returns.
        for value in range(5):
            desired(registry, device, a=value)
        await device.client.disconnect()
        assert not device.client.connected


@rests_on("device.connect", "device.notify")
async def test_aio_client_reconnects_with_its_subscription(registry, either):
    # Without the package's own reading of the twin, which would hide a lost subscription.
    async with opened(either, ensure_desired_properties=False) as device:
        device.listen()
        for value in range(3):
            await device.client.disconnect()
            await device.client.connect()
            desired(registry, device, after=value)
            assert (await until(device.desired, lambda notice: "after" in notice))["after"] == value


@rests_on("device.report", "device.notify")
async def test_aio_lost_connection_comes_back_with_its_subscription(registry, identity, fault):
    async with opened(identity, ensure_desired_properties=False) as device:
        device.listen()
        await until(device.connection, lambda connected: connected)
        fault(operation="device.report", subject=device.id, times=1, effect="cutBefore")
        await device.client.patch_twin_reported_properties({"a": 1})
        await asyncio.to_thread(device.comes_back)
        desired(registry, device, after=1)
        assert (await until(device.desired, lambda notice: "after" in notice))["after"] == 1
        assert own(registry.get_twin(device.id).properties.reported) == {"a": 1}


@rests_on("device.notify")
async def test_aio_coroutine_is_told(registry, either):
    async with opened(either) as device:

        async def told(notice):
            device.desired(notice)

        device.client.on_twin_desired_properties_patch_received = told
        version = desired(registry, device, a=1).properties.desired["$version"]
        assert await until(device.desired, lambda notice: "a" in notice) == {"a": 1, "$version": version}


@rests_on("device.notify")
async def test_aio_notice_can_be_waited_for(registry, either, events):
    async with opened(either, ensure_desired_properties=False) as device:
        # The first call subscribes, and goes on waiting.
        waiting = asyncio.ensure_future(device.client.receive_twin_desired_properties_patch())
        while "device.subscribe" not in events(subject(device)):
            await asyncio.sleep(0)
        version = desired(registry, device, a=1).properties.desired["$version"]
        assert await waiting == {"a": 1, "$version": version}


@rests_on("device.report")
async def test_aio_report_with_a_forbidden_key_is_refused(registry, either):
    async with opened(either) as device:
        with pytest.raises(ClientError):
            await device.client.patch_twin_reported_properties({"a.b": 1})
        await device.client.patch_twin_reported_properties({"a": 1})
        assert own(twin_of(registry, device).properties.reported) == {"a": 1}


@rests_on("device.connect")
async def test_aio_wrong_key_is_refused(either):
    async with opened(either, connect=False, key=WRONG) as device:
        with pytest.raises(CredentialError):
            await device.client.connect()
        assert not device.client.connected


@rests_on("device.connect", "identity.delete")
async def test_aio_client_of_a_deleted_device_shuts_down(registry, identity):
    async with opened(identity, connection_retry=False) as device:
        await until(device.connection, lambda connected: connected)
        registry.delete_device(device.id)
        assert not await until(device.connection, lambda connected: not connected)


def kind(identity):
    """The class of the client, and what says who it is."""
    module = getattr(identity, "module_id", None)
    who = (identity.device_id, module) if module else (identity.device_id,)
    return (aio.IoTHubModuleClient if module else aio.IoTHubDeviceClient), who


@rests_on("device.connect", "device.get")
async def test_aio_certificate_lets_in(registry, identity, name):
    thumbprint = os.environ["DEVICE_SHA1"]
    for certified in (
        registry.create_device_with_x509(name(), thumbprint, thumbprint, "enabled"),
        registry.create_module_with_x509(identity.device_id, "m1", "", thumbprint, thumbprint),
    ):
        client, who = kind(certified)
        make = functools.partial(client.create_from_x509_certificate, certificate(), HOST, *who)
        async with opened(certified, make=make) as device:
            assert own((await device.client.get_twin())["desired"]) == {}


@rests_on("device.connect", "device.get")
async def test_aio_symmetric_key_lets_in(identity):
    key = identity.authentication.symmetric_key.primary_key
    make = functools.partial(aio.IoTHubDeviceClient.create_from_symmetric_key, key, HOST, identity.device_id)
    async with opened(identity, make=make) as device:
        assert own((await device.client.get_twin())["desired"]) == {}


@rests_on("device.connect", "device.notify")
async def test_aio_token_is_replaced_before_its_end(registry, either):
    # The package asks for a new one two minutes before the end.
    make = functools.partial(kind(either)[0].create_from_sastoken, token(either, 122))
    async with opened(either, make=make, ensure_desired_properties=False, connect=False) as device:

        async def renew():
            await device.client.update_sastoken(token(either, 3600))

        device.client.on_new_sastoken_required = renew
        await device.client.connect()
        device.listen()
        await until(device.connection, lambda connected: connected)
        await asyncio.to_thread(device.comes_back)
        desired(registry, device, after=1)
        assert (await until(device.desired, lambda notice: "after" in notice))["after"] == 1


@rests_on("device.message", "device.subscribe")
async def test_aio_messages_are_accepted_and_subscribed_to(either, events):
    async with opened(either) as device:
        device.client.on_message_received = lambda message: None
        device.client.on_method_request_received = lambda request: None
        await device.client.send_message(Message("telemetry"))
        if device.module:
            await device.client.send_message_to_output(Message("telemetry"), "out")
        seen = events(subject(device))
        assert (seen.count("device.subscribe"), seen.count("device.message")) == (2, 2 if device.module else 1)


@rests_on("unknown")
async def test_aio_file_upload_is_not_there(identity):
    async with opened(identity) as device:
        with pytest.raises(ClientError) as caught:
            await device.client.get_storage_info_for_blob("file")
        assert "404" in repr(caught.value.__cause__)
        with pytest.raises(ClientError) as caught:
            await device.client.notify_blob_upload_status("correlation", True, 200, "done")
        assert "404" in repr(caught.value.__cause__)
