"""What the tests share: the registry, identities that go away again, and device clients."""

import itertools
import json
import os
import queue
import threading
import time
import urllib.request

import pytest
from azure.iot.device import IoTHubDeviceClient, IoTHubModuleClient
from azure.iot.hub import IoTHubRegistryManager

# Seconds that anything may take.
DEADLINE = 20


def service_connection_string():
    """Without the port, which is the default one and need not be signed."""
    return os.environ["HUB_SERVICE_CONNECTION_STRING"].replace(":443;", ";")


class Told:
    """What a client was told, for a test to wait for."""

    def __init__(self):
        self._all = queue.Queue()

    def __call__(self, what=None):
        self._all.put(what)

    def until(self, wanted):
        """The first from here on that is wanted; those before it are dropped."""
        end = time.monotonic() + DEADLINE
        seen = []
        while True:
            try:
                what = self._all.get(timeout=max(0, end - time.monotonic()))
            except queue.Empty:
                raise AssertionError(f"not told in {DEADLINE} seconds; told was {seen}") from None
            if wanted(what):
                return what
            seen.append(what)


class Device:
    """A device or a module with its client, and what that was told."""

    def __init__(self, identity, key=None, **options):
        module = getattr(identity, "module_id", None)
        key = key or identity.authentication.symmetric_key.primary_key
        self.id = identity.device_id
        text = f"HostName={os.environ['HUB_HOST']};DeviceId={self.id};"
        text += f"ModuleId={module};" if module else ""
        with open(os.environ["HUB_CA_FILE"], encoding="ascii") as file:
            options.setdefault("server_verification_cert", file.read())
        kind = IoTHubModuleClient if module else IoTHubDeviceClient
        self.client = kind.create_from_connection_string(f"{text}SharedAccessKey={key}", **options)
        self.desired = Told()
        self.connection = Told()
        self.client.on_connection_state_change = lambda: self.connection(self.client.connected)

    def listen(self):
        """Subscribes to desired properties; returns when that is done."""
        self.client.on_twin_desired_properties_patch_received = self.desired


@pytest.fixture(scope="session")
def registry():
    return IoTHubRegistryManager.from_connection_string(service_connection_string())


_number = itertools.count(1)


@pytest.fixture
def name(registry):
    """Makes ids that no other test has; their devices are deleted at the end."""
    made = []

    def make(prefix="py"):
        made.append(f"{prefix}-{next(_number)}")
        return made[-1]

    yield make
    for device in made:
        try:
            registry.delete_device(device)
        except Exception as error:  # noqa: BLE001, the test may have deleted it, or never have made it
            assert error.response.status_code == 404


@pytest.fixture
def identity(registry, name):
    """A new device identity."""
    return registry.create_device_with_sas(name(), "", "", "enabled")


@pytest.fixture
def open_device():
    """Connects clients, and shuts them down at the end."""
    devices = []

    def make(identity, connect=True, **options):
        devices.append(Device(identity, **options))
        if connect:
            devices[-1].client.connect()
        return devices[-1]

    yield make
    for device in devices:
        device.client.shutdown()


@pytest.fixture
def fault():
    """Sets a fault at the admin port. Others stay, so that a route can be switched off for a whole run."""

    def call(**what):
        url, headers = f"{os.environ['HUB_ADMIN_URL']}/faults", {"Content-Type": "application/json"}
        with urllib.request.urlopen(urllib.request.Request(url, json.dumps(what).encode(), headers), timeout=DEADLINE):
            pass

    return call


def in_background(work):
    """Runs what may never return in a thread that nobody has to wait for."""
    done = Told()

    def run():
        try:
            done((work(), None))
        except Exception as error:  # noqa: BLE001, it is handed to the test
            done((None, error))

    threading.Thread(target=run, daemon=True).start()
    return done
