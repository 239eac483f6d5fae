"""Prints every operation that the packages offer for identities, twins and queries, and what stands beside these."""

from azure.iot import hub
from azure.iot.device import IoTHubDeviceClient, IoTHubModuleClient, aio

CLIENTS = (
    hub.IoTHubRegistryManager,
    hub.IoTHubConfigurationManager,
    hub.IoTHubJobManager,
    hub.DigitalTwinClient,
    hub.IoTHubHttpRuntimeManager,
    IoTHubDeviceClient,
    IoTHubModuleClient,
    aio.IoTHubDeviceClient,
    aio.IoTHubModuleClient,
)

for client in CLIENTS:
    # The asynchronous ones have the names of the others.
    kind = ("aio." if client is getattr(aio, client.__name__, None) else "") + client.__name__
    for name in dir(client):
        if not name.startswith("_"):
            print(f"{kind}.{name}")
