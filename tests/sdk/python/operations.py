"""Prints every operation that the packages offer for identities, twins and queries, and what stands beside these."""

from azure.iot import hub
from azure.iot.device import IoTHubDeviceClient, IoTHubModuleClient

CLIENTS = (
    hub.IoTHubRegistryManager,
    hub.IoTHubConfigurationManager,
    hub.IoTHubJobManager,
    hub.DigitalTwinClient,
    hub.IoTHubHttpRuntimeManager,
    IoTHubDeviceClient,
    IoTHubModuleClient,
)

for client in CLIENTS:
    for name in dir(client):
        if not name.startswith("_"):
            print(f"{client.__name__}.{name}")
