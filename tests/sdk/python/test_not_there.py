"""What the packages offer and the local hub does not have: each call gets a clear answer."""

import os
import time

import pytest
from azure.core.credentials import AccessToken
from azure.iot.device.exceptions import ClientError
from azure.iot.hub import (
    DigitalTwinClient,
    IoTHubConfigurationManager,
    IoTHubHttpRuntimeManager,
    IoTHubJobManager,
    IoTHubRegistryManager,
)
from azure.iot.hub.models import (
    CloudToDeviceMethod,
    Configuration,
    ConfigurationContent,
    ConfigurationQueriesTestInput,
    JobProperties,
    JobRequest,
    QuerySpecification,
)

from conftest import refused, rests_on, service_connection_string

NOT_SUPPORTED = "404 FeatureNotSupported"


@pytest.fixture
def configurations():
    return IoTHubConfigurationManager.from_connection_string(service_connection_string())


@pytest.fixture
def jobs():
    return IoTHubJobManager.from_connection_string(service_connection_string())


@rests_on("unknown")
def test_configurations_are_not_there(configurations):
    configuration = Configuration(id="c1", content=ConfigurationContent(), target_condition="*", priority=1)
    assert refused(configurations.create_configuration, configuration) == NOT_SUPPORTED
    assert refused(configurations.update_configuration, configuration, "*") == NOT_SUPPORTED
    assert refused(configurations.get_configuration, "c1") == NOT_SUPPORTED
    assert refused(configurations.get_configurations, 10) == NOT_SUPPORTED
    assert refused(configurations.delete_configuration, "c1") == NOT_SUPPORTED
    queries = ConfigurationQueriesTestInput(target_condition="*")
    assert refused(configurations.test_configuration_queries, queries) == NOT_SUPPORTED


@rests_on("unknown")
def test_configuration_cannot_be_applied(configurations, identity):
    content = ConfigurationContent(modules_content={})
    assert refused(configurations.apply_configuration_on_edge_device, identity.device_id, content) == NOT_SUPPORTED


@rests_on("jobs")
def test_scheduled_jobs_are_not_there(jobs):
    request = JobRequest(job_id="j1", type="scheduleUpdateTwin", query_condition="*")
    assert refused(jobs.create_scheduled_job, "j1", request) == NOT_SUPPORTED
    assert refused(jobs.get_scheduled_job, "j1") == NOT_SUPPORTED
    assert refused(jobs.cancel_scheduled_job, "j1") == NOT_SUPPORTED
    assert refused(jobs.query_scheduled_jobs, "scheduleUpdateTwin", "running") == NOT_SUPPORTED


@rests_on("jobs")
def test_import_and_export_are_not_there(jobs):
    assert refused(jobs.create_import_export_job, JobProperties(type="export")) == NOT_SUPPORTED
    assert refused(jobs.get_import_export_jobs) == NOT_SUPPORTED
    assert refused(jobs.get_import_export_job, "j1") == NOT_SUPPORTED
    assert refused(jobs.cancel_import_export_job, "j1") == NOT_SUPPORTED


@rests_on("query")
def test_query_of_jobs_is_refused(registry):
    query = QuerySpecification(query="SELECT * FROM devices.jobs")
    assert refused(registry.query_iot_hub, query) == "400 ArgumentInvalid"


@rests_on("unknown")
def test_direct_methods_are_not_there(registry, identity):
    method = CloudToDeviceMethod(method_name="reboot", payload={})
    assert refused(registry.invoke_device_method, identity.device_id, method) == NOT_SUPPORTED
    assert refused(registry.invoke_device_module_method, identity.device_id, "m1", method) == NOT_SUPPORTED


@rests_on("unknown")
def test_file_upload_is_not_there(identity, open_device):
    device = open_device(identity)
    with pytest.raises(ClientError) as caught:
        device.client.get_storage_info_for_blob("file")
    assert "404" in repr(caught.value.__cause__)
    with pytest.raises(ClientError) as caught:
        device.client.notify_blob_upload_status("correlation", True, 200, "done")
    assert "404" in repr(caught.value.__cause__)


@rests_on("unknown")
def test_digital_twins_are_not_there(identity):
    twins = DigitalTwinClient.from_connection_string(service_connection_string())
    assert refused(twins.get_digital_twin, identity.device_id) == NOT_SUPPORTED
    assert refused(twins.update_digital_twin, identity.device_id, []) == NOT_SUPPORTED
    assert refused(twins.invoke_command, identity.device_id, "reboot", {}) == NOT_SUPPORTED
    assert refused(twins.invoke_component_command, identity.device_id, "pump", "reboot", {}) == NOT_SUPPORTED


@rests_on("unknown")
def test_feedback_is_not_there():
    runtime = IoTHubHttpRuntimeManager.from_connection_string(service_connection_string())
    assert refused(runtime.receive_feedback_notification) == NOT_SUPPORTED
    assert refused(runtime.complete_feedback_notification, "lock") == NOT_SUPPORTED
    assert refused(runtime.abandon_feedback_notification, "lock") == NOT_SUPPORTED


class Entra:
    """Hands out what is no token of this hub."""

    def get_token(self, *_, **__):
        return AccessToken("eyJhbGciOiJub25lIn0.e30.", int(time.time()) + 3600)


@rests_on("twin.get")
def test_token_of_entra_is_refused(identity):
    registry = IoTHubRegistryManager.from_token_credential(os.environ["HUB_HOST"], Entra())
    assert refused(registry.get_twin, identity.device_id) == "401 IotHubUnauthorizedAccess"


@rests_on("twin.get")
def test_cut_connection_is_tried_again(registry, identity, fault):
    fault(operation="twin.get", subject=identity.device_id, times=1, effect="cutBefore")
    assert registry.get_twin(identity.device_id).device_id == identity.device_id
