"""azure-iot-hub: identities of devices and modules, bulk operations, statistics."""

import base64

from azure.iot.hub.models import AuthenticationMechanism, ExportImportDevice, SymmetricKey

from conftest import refused, rests_on

PRIMARY = base64.b64encode(b"p" * 32).decode()
SECONDARY = base64.b64encode(b"s" * 32).decode()


@rests_on("identity.put")
def test_device_without_keys_gets_keys_from_the_hub(identity):
    keys = identity.authentication.symmetric_key
    assert len(base64.b64decode(keys.primary_key)) >= 16
    assert len(base64.b64decode(keys.secondary_key)) >= 16
    assert keys.primary_key != keys.secondary_key


@rests_on("identity.put", "identity.get")
def test_device_keeps_the_keys_that_are_given(registry, name):
    device = name()
    registry.create_device_with_sas(device, PRIMARY, SECONDARY, "enabled")
    keys = registry.get_device(device).authentication.symmetric_key
    assert (keys.primary_key, keys.secondary_key) == (PRIMARY, SECONDARY)


@rests_on("identity.put")
def test_new_device_is_enabled_disconnected_and_has_an_etag(identity):
    assert (identity.status, identity.connection_state) == ("enabled", "Disconnected")
    assert identity.etag and identity.generation_id
    assert identity.authentication.type == "sas"


@rests_on("identity.get")
def test_get_device_answers_what_create_answered(registry, identity):
    assert registry.get_device(identity.device_id).as_dict() == identity.as_dict()


@rests_on("identity.put")
def test_create_of_an_existing_device_is_409(registry, identity):
    assert refused(registry.create_device_with_sas, identity.device_id, "", "", "enabled") == "409 DeviceAlreadyExists"


@rests_on("identity.get")
def test_get_of_an_unknown_device_is_404(registry, name):
    assert refused(registry.get_device, name()) == "404 DeviceNotFound"


@rests_on("identity.put", "identity.get", "twin.get")
def test_id_of_special_characters_comes_back_unchanged(registry, name):
    device = name("p.y+%_#*?!(),:=@$'")
    registry.create_device_with_sas(device, "", "", "enabled")
    assert registry.get_device(device).device_id == device
    assert registry.get_twin(device).device_id == device


@rests_on("identity.put", "identity.get")
def test_x509_device_keeps_its_thumbprints(registry, name):
    device = name()
    registry.create_device_with_x509(device, "A" * 40, "B" * 40, "enabled")
    authentication = registry.get_device(device).authentication
    assert authentication.type == "selfSigned"
    assert authentication.x509_thumbprint.primary_thumbprint == "A" * 40


@rests_on("identity.put", "identity.get")
def test_device_of_a_certificate_authority_keeps_its_type(registry, name):
    device = name()
    registry.create_device_with_certificate_authority(device, "enabled")
    assert registry.get_device(device).authentication.type == "certificateAuthority"


@rests_on("identity.list")
def test_get_devices_lists_the_new_device(registry, identity):
    assert identity.device_id in [device.device_id for device in registry.get_devices(1000)]


@rests_on("identity.list")
def test_get_devices_answers_no_more_than_asked(registry, name):
    for _ in range(3):
        registry.create_device_with_sas(name(), "", "", "enabled")
    assert len(registry.get_devices(2)) == 2


@rests_on("identity.put")
def test_update_disables_a_device_with_a_reason(registry, identity):
    registry.update_device_with_sas(identity.device_id, identity.etag, PRIMARY, SECONDARY, "disabled", status_reason="lost")
    after = registry.get_device(identity.device_id)
    assert (after.status, after.status_reason) == ("disabled", "lost")
    assert after.etag != identity.etag


@rests_on("identity.put")
def test_update_with_a_stale_etag_is_412(registry, identity):
    registry.update_device_with_sas(identity.device_id, identity.etag, PRIMARY, SECONDARY, "disabled")
    update = registry.update_device_with_sas
    assert refused(update, identity.device_id, identity.etag, PRIMARY, SECONDARY, "enabled") == "412 PreconditionFailed"
    assert registry.get_device(identity.device_id).status == "disabled"


@rests_on("identity.delete")
def test_deleted_device_is_gone_with_its_twin(registry, identity):
    registry.delete_device(identity.device_id)
    assert refused(registry.get_device, identity.device_id) == "404 DeviceNotFound"
    assert refused(registry.get_twin, identity.device_id) == "404 DeviceNotFound"


@rests_on("identity.delete")
def test_delete_with_a_stale_etag_is_412(registry, identity):
    assert refused(registry.delete_device, identity.device_id, "AAAAAAAAAAA=") == "412 PreconditionFailed"
    assert registry.get_device(identity.device_id).etag == identity.etag


@rests_on("identity.put", "identity.get")
def test_module_is_created_with_keys_of_its_own(registry, identity):
    module = registry.create_module_with_sas(identity.device_id, "m1", "iotEdge", "", "")
    assert (module.device_id, module.module_id, module.managed_by) == (identity.device_id, "m1", "iotEdge")
    assert module.authentication.symmetric_key.primary_key != identity.authentication.symmetric_key.primary_key
    assert registry.get_module(identity.device_id, "m1").etag == module.etag


@rests_on("identity.put", "identity.get")
def test_authentication_can_change_to_certificates_and_back(registry, identity):
    device = identity.device_id
    registry.update_device_with_certificate_authority(device, identity.etag, "enabled")
    assert registry.get_device(device).authentication.type == "certificateAuthority"
    registry.update_device_with_x509(device, registry.get_device(device).etag, "A" * 40, "B" * 40, "enabled")
    assert registry.get_device(device).authentication.type == "selfSigned"
    registry.update_device_with_sas(device, registry.get_device(device).etag, PRIMARY, SECONDARY, "enabled")
    assert registry.get_device(device).authentication.symmetric_key.primary_key == PRIMARY


@rests_on("identity.put", "identity.get")
def test_module_authentication_can_change_to_certificates(registry, identity):
    device = identity.device_id
    module = registry.create_module_with_certificate_authority(device, "m1", "")
    assert registry.get_module(device, "m1").authentication.type == "certificateAuthority"
    registry.update_module_with_x509(device, "m1", "", module.etag, "A" * 40, "B" * 40)
    module = registry.get_module(device, "m1")
    assert module.authentication.x509_thumbprint.primary_thumbprint == "A" * 40
    registry.update_module_with_certificate_authority(device, "m1", "", module.etag)
    assert registry.get_module(device, "m1").authentication.type == "certificateAuthority"


@rests_on("identity.put")
def test_module_update_changes_keys_and_etag(registry, identity):
    module = registry.create_module_with_sas(identity.device_id, "m1", "", "", "")
    registry.update_module_with_sas(identity.device_id, "m1", "somebody", module.etag, PRIMARY, SECONDARY)
    after = registry.get_module(identity.device_id, "m1")
    assert after.authentication.symmetric_key.primary_key == PRIMARY
    assert after.managed_by == "somebody"
    assert after.etag != module.etag


@rests_on("identity.list")
def test_get_modules_lists_all_modules_of_the_device(registry, identity):
    for module in ("m1", "m2"):
        registry.create_module_with_sas(identity.device_id, module, "", "", "")
    assert sorted(module.module_id for module in registry.get_modules(identity.device_id)) == ["m1", "m2"]


@rests_on("identity.delete", "identity.get")
def test_deleted_module_is_gone(registry, identity):
    registry.create_module_with_sas(identity.device_id, "m1", "", "", "")
    registry.delete_module(identity.device_id, "m1")
    assert refused(registry.get_module, identity.device_id, "m1") == "404 ModuleNotFound"
    assert registry.get_modules(identity.device_id) == []


@rests_on("identity.put")
def test_module_of_an_unknown_device_is_404(registry, name):
    assert refused(registry.create_module_with_sas, name(), "m1", "", "", "") == "404 DeviceNotFound"


def bulk(device, mode, **more):
    keys = AuthenticationMechanism(type="sas", symmetric_key=SymmetricKey(primary_key=PRIMARY, secondary_key=SECONDARY))
    return ExportImportDevice(id=device, import_mode=mode, authentication=keys, status="enabled", **more)


@rests_on("identity.bulk")
def test_bulk_creates_and_deletes_many(registry, name):
    devices = [name() for _ in range(20)]
    assert registry.bulk_create_or_update_devices([bulk(device, "create") for device in devices]).is_successful
    assert registry.get_device(devices[19]).authentication.symmetric_key.primary_key == PRIMARY
    assert registry.bulk_create_or_update_devices([bulk(device, "delete") for device in devices]).is_successful
    assert refused(registry.get_device, devices[19]) == "404 DeviceNotFound"


@rests_on("identity.bulk")
def test_bulk_names_the_device_that_failed(registry, identity, name):
    new = name()
    result = registry.bulk_create_or_update_devices([bulk(new, "create"), bulk(identity.device_id, "create")])
    assert not result.is_successful
    assert [error.device_id for error in result.errors] == [identity.device_id]
    assert registry.get_device(new).device_id == new


@rests_on("statistics")
def test_registry_statistics_count_enabled_and_disabled(registry, name):
    before = registry.get_device_registry_statistics()
    registry.create_device_with_sas(name(), "", "", "enabled")
    registry.create_device_with_sas(name(), "", "", "disabled")
    after = registry.get_device_registry_statistics()
    assert after.total_device_count - before.total_device_count == 2
    assert after.enabled_device_count - before.enabled_device_count == 1
    assert after.disabled_device_count - before.disabled_device_count == 1


@rests_on("statistics", "device.connect")
def test_service_statistics_count_connected_devices(registry, identity, open_device):
    before = registry.get_service_statistics().connected_device_count
    open_device(identity)
    assert registry.get_service_statistics().connected_device_count == before + 1
