"""What the tests share: the registry, identities that go away again, and device clients."""

import asyncio
import inspect
import itertools
import json
import os
import queue
import signal
import threading
import time
import urllib.request

import azure.iot.device
import pytest
from azure.iot.hub import IoTHubRegistryManager
from msrest.exceptions import HttpOperationError

# Seconds that anything may take.
DEADLINE = float(os.environ.get("DEADLINE", "20"))

# The operation of the hub that is switched off now.
switched_off = None


def rests_on(*operations):
    """Says which operations of the hub, as its log names them, a test rests on: without any of them it has to fail."""
    return pytest.mark.rests_on(*operations)


def admin(method, path, what):
    """Sets something at the admin port."""
    url, headers = os.environ["HUB_ADMIN_URL"] + path, {"Content-Type": "application/json"}
    request = urllib.request.Request(url, json.dumps(what).encode(), headers, method=method)
    with urllib.request.urlopen(request, timeout=DEADLINE):
        pass


def switch_off(operation):
    """Switches this operation off, and all others on."""
    global switched_off
    admin("PUT", "/knobs", {"disabled": [operation] if operation else []})
    # What the hub does not have is as good as off. So let it answer something else.
    if operation == "unknown":
        admin("POST", "/faults", {"operation": operation, "effect": {"status": 403}})
    elif switched_off == "unknown":
        admin("DELETE", "/faults", None)
    switched_off = operation


def pytest_generate_tests(metafunc):
    """With PROVE=1 each test runs again for each operation that it rests on, switched off, and has to fail then."""
    marks = list(metafunc.definition.iter_markers("rests_on"))
    operations = [operation for mark in marks for operation in mark.args]
    if not operations:
        raise pytest.UsageError(f"{metafunc.definition.nodeid} does not say what it rests on")
    if os.environ.get("PROVE"):
        fails = pytest.mark.xfail(strict=True)
        without = [pytest.param(name, id=f"without-{name}", marks=fails) for name in operations]
        metafunc.parametrize("off", [pytest.param(None, id="with-all"), *without], indirect=True)


@pytest.fixture(autouse=True)
def off(request):
    """Comes before all other fixtures, so these may fail too. See pytest_runtest_teardown for the other end."""
    if getattr(request, "param", None):
        try:
            switch_off(request.param)
        except OSError as error:
            # No failure of the test, which would prove something.
            pytest.exit(f"{request.param} cannot be switched off: {error}", returncode=3)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item):
    """The device package has no time-out for a twin request."""
    signal.signal(signal.SIGALRM, _too_late)
    signal.setitimer(signal.ITIMER_REAL, DEADLINE * 2)


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem):
    """Runs a test that is a coroutine on an event loop of its own, and ends it before the alarm would."""
    if not inspect.iscoroutinefunction(pyfuncitem.obj):
        return None
    arguments = {name: pyfuncitem.funcargs[name] for name in inspect.signature(pyfuncitem.obj).parameters}
    asyncio.run(asyncio.wait_for(pyfuncitem.obj(**arguments), DEADLINE * 1.5))
    return True


def _too_late(*_):
    raise TimeoutError("the test took too long")


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_teardown(item):
    signal.setitimer(signal.ITIMER_REAL, 0)
    if switched_off:
        switch_off(None)


def refused(call, *arguments):
    """The status and the code with which the hub refuses a call."""
    with pytest.raises(HttpOperationError) as caught:
        call(*arguments)
    response = caught.value.response
    return f"{response.status_code} {response.headers['iothub-errorcode']}"


@pytest.fixture
def events():
    """The operations that the hub was asked about a device, in order."""

    def call(device):
        with urllib.request.urlopen(os.environ["HUB_ADMIN_URL"] + "/events", timeout=DEADLINE) as answer:
            return [event["operation"] for event in json.load(answer) if event["subject"] == device]

    return call


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


def authority():
    """The certificate that the hub's is signed by."""
    with open(os.environ["HUB_CA_FILE"], encoding="ascii") as file:
        return file.read()


def connection_string(identity, key):
    """Of a device or a module."""
    module = getattr(identity, "module_id", None)
    text = f"HostName={os.environ['HUB_HOST']};DeviceId={identity.device_id};"
    return text + (f"ModuleId={module};" if module else "") + f"SharedAccessKey={key}"


class Device:
    """A device or a module with its client, and what that was told."""

    def __init__(self, identity, make=None, key=None, clients=azure.iot.device, **options):
        """make(**options) makes the client; by default from a connection string, the one of these clients that fits."""
        self.id = identity.device_id
        self.module = getattr(identity, "module_id", None)
        options.setdefault("server_verification_cert", authority())
        # What cannot be had need not be tried again.
        options.setdefault("connection_retry", not switched_off)
        if make is None:
            kind = clients.IoTHubModuleClient if self.module else clients.IoTHubDeviceClient
            key = key or identity.authentication.symmetric_key.primary_key
            self.client = kind.create_from_connection_string(connection_string(identity, key), **options)
        else:
            self.client = make(**options)
        self.desired = Told()
        self.connection = Told()
        self.client.on_connection_state_change = lambda: self.connection(self.client.connected)

    def listen(self):
        """Subscribes to desired properties; returns when that is done."""
        self.client.on_twin_desired_properties_patch_received = self.desired

    def comes_back(self):
        """Waits for the end of a connection, and for the next. The first may be told of when the next is there already."""
        self.connection.until(lambda _: True)
        self.connection.until(lambda connected: connected)


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
def module(registry, identity):
    """A new module identity."""
    return registry.create_module_with_sas(identity.device_id, "m1", "", "", "")


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
    """Sets a fault at the admin port."""
    return lambda **what: admin("POST", "/faults", what)


@pytest.fixture
def move_clock():
    """Moves the hub's clock ahead, and back at the end."""

    def call(hours):
        admin("PUT", "/knobs", {"disabled": [switched_off] if switched_off else [], "clockOffsetMs": hours * 3600 * 1000})

    yield call
    admin("PUT", "/knobs", {})


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
