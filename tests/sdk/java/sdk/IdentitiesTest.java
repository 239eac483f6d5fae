package sdk;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.azure.core.credential.AzureSasCredential;
import com.microsoft.azure.sdk.iot.service.auth.AuthenticationType;
import com.microsoft.azure.sdk.iot.service.auth.IotHubConnectionStringBuilder;
import com.microsoft.azure.sdk.iot.service.auth.IotHubServiceSasToken;
import com.microsoft.azure.sdk.iot.service.auth.SymmetricKey;
import com.microsoft.azure.sdk.iot.service.exceptions.IotHubConflictException;
import com.microsoft.azure.sdk.iot.service.exceptions.IotHubNotFoundException;
import com.microsoft.azure.sdk.iot.service.exceptions.IotHubUnauthorizedException;
import com.microsoft.azure.sdk.iot.service.registry.Device;
import com.microsoft.azure.sdk.iot.service.registry.DeviceStatus;
import com.microsoft.azure.sdk.iot.service.registry.Module;
import com.microsoft.azure.sdk.iot.service.registry.RegistryClient;
import java.util.List;

/** iot-service-client, RegistryClient: identities of devices and modules, statistics. */
class IdentitiesTest {
    private static SymmetricKey keys() {
        SymmetricKey keys = new SymmetricKey();
        keys.setPrimaryKey(Hub.PRIMARY);
        keys.setSecondaryKey(Hub.SECONDARY);
        return keys;
    }

    @Check(on = "identity.put")
    void new_device_is_enabled_and_disconnected_and_has_keys() throws Exception {
        Device device = Hub.device();
        assertEquals(DeviceStatus.Enabled, device.getStatus());
        assertEquals("DISCONNECTED", device.getConnectionState().toString().toUpperCase());
        assertNotEquals(device.getPrimaryKey(), device.getSecondaryKey());
        assertTrue(device.getETag().length() > 0 && device.getGenerationId().length() > 0);
    }

    @Check(on = {"identity.put", "identity.get"})
    void device_keeps_the_keys_that_are_given() throws Exception {
        Device device = new Device(Hub.name());
        device.setSymmetricKey(keys());
        Hub.REGISTRY.addDevice(device);
        Device after = Hub.REGISTRY.getDevice(device.getDeviceId());
        assertEquals(List.of(Hub.PRIMARY, Hub.SECONDARY), List.of(after.getPrimaryKey(), after.getSecondaryKey()));
    }

    @Check(on = "identity.put")
    void create_of_an_existing_device_is_refused() throws Exception {
        Device device = new Device(Hub.device().getDeviceId());
        Hub.refused(IotHubConflictException.class, "DeviceAlreadyExists", () -> Hub.REGISTRY.addDevice(device));
    }

    @Check(on = "identity.get")
    void get_of_an_unknown_device_is_refused() {
        Hub.refused(IotHubNotFoundException.class, "DeviceNotFound", () -> Hub.REGISTRY.getDevice(Hub.name()));
    }

    @Check(on = "identity.get")
    void id_of_special_characters_comes_back_unchanged() throws Exception {
        // The package escapes none of these, so those that mean something in a URL are left out.
        String device = Hub.name() + "v.a+_*!(),:=@$'-";
        Hub.REGISTRY.addDevice(new Device(device));
        assertEquals(device, Hub.REGISTRY.getDevice(device).getDeviceId());
        assertEquals(device, Hub.TWINS.get(device).getDeviceId());
    }

    @Check(on = "identity.get")
    void x509_device_keeps_its_thumbprints() throws Exception {
        Device device = new Device(Hub.name(), AuthenticationType.SELF_SIGNED);
        device.setThumbprint("A".repeat(40), "B".repeat(40));
        Hub.REGISTRY.addDevice(device);
        Device after = Hub.REGISTRY.getDevice(device.getDeviceId());
        assertEquals(AuthenticationType.SELF_SIGNED, after.getAuthenticationType());
        assertEquals("A".repeat(40), after.getPrimaryThumbprint());
    }

    @Check(on = "identity.get")
    void device_of_a_certificate_authority_keeps_its_type() throws Exception {
        Device device = new Device(Hub.name(), AuthenticationType.CERTIFICATE_AUTHORITY);
        Hub.REGISTRY.addDevice(device);
        assertEquals(
                AuthenticationType.CERTIFICATE_AUTHORITY,
                Hub.REGISTRY.getDevice(device.getDeviceId()).getAuthenticationType());
    }

    @Check(on = "identity.put")
    void update_disables_a_device() throws Exception {
        Device device = Hub.device();
        device.setStatus(DeviceStatus.Disabled);
        Hub.REGISTRY.updateDevice(device);
        Device after = Hub.REGISTRY.getDevice(device.getDeviceId());
        assertEquals(DeviceStatus.Disabled, after.getStatus());
        assertNotEquals(device.getETag(), after.getETag());
    }

    @Check(on = "identity.put")
    void update_of_an_unknown_device_is_refused() {
        Device device = new Device(Hub.name());
        device.setSymmetricKey(keys());
        Hub.refused(IotHubNotFoundException.class, "DeviceNotFound", () -> Hub.REGISTRY.updateDevice(device));
    }

    @Check(on = "identity.delete")
    void deleted_device_is_gone_with_its_twin() throws Exception {
        String device = Hub.device().getDeviceId();
        Hub.REGISTRY.removeDevice(device);
        Hub.refused(IotHubNotFoundException.class, "DeviceNotFound", () -> Hub.REGISTRY.getDevice(device));
        Hub.refused(IotHubNotFoundException.class, "DeviceNotFound", () -> Hub.TWINS.get(device));
    }

    @Check(on = "identity.delete")
    void device_that_was_read_can_be_removed() throws Exception {
        Device device = Hub.device();
        // The package sends the etag without quotes, and the hub looks at no such.
        Hub.REGISTRY.removeDevice(device);
        Hub.refused(
                IotHubNotFoundException.class, "DeviceNotFound", () -> Hub.REGISTRY.getDevice(device.getDeviceId()));
    }

    @Check(on = "statistics")
    void statistics_count_all_and_disabled() throws Exception {
        var before = Hub.REGISTRY.getStatistics();
        Hub.device();
        Device device = Hub.device();
        device.setStatus(DeviceStatus.Disabled);
        Hub.REGISTRY.updateDevice(device);
        var after = Hub.REGISTRY.getStatistics();
        assertEquals(before.getTotalDeviceCount() + 2, after.getTotalDeviceCount());
        // The package misspells the name of the enabled, and so never has them.
        assertEquals(before.getDisabledDeviceCount() + 1, after.getDisabledDeviceCount());
    }

    @Check(on = {"identity.put", "identity.get"})
    void module_has_keys_of_its_own() throws Exception {
        Module module = Hub.module();
        Module after = Hub.REGISTRY.getModule(module.getDeviceId(), "m1");
        assertEquals(module.getPrimaryKey(), after.getPrimaryKey());
        assertNotEquals(module.getPrimaryKey(), Hub.REGISTRY.getDevice(module.getDeviceId()).getPrimaryKey());
    }

    @Check(on = "identity.put")
    void module_update_changes_keys() throws Exception {
        Module module = Hub.module();
        module.setSymmetricKey(keys());
        Hub.REGISTRY.updateModule(module);
        assertEquals(Hub.PRIMARY, Hub.REGISTRY.getModule(module.getDeviceId(), "m1").getPrimaryKey());
    }

    @Check(on = "identity.list")
    void modules_of_a_device_are_listed() throws Exception {
        String device = Hub.module().getDeviceId();
        Hub.REGISTRY.addModule(new Module(device, "m2"));
        var modules = Hub.REGISTRY.getModulesOnDevice(device).stream().map(Module::getId).sorted().toList();
        assertEquals(List.of("m1", "m2"), modules);
    }

    @Check(on = {"identity.delete", "identity.get"})
    void removed_module_is_gone() throws Exception {
        Module module = Hub.module();
        Hub.REGISTRY.removeModule(module.getDeviceId(), "m1");
        Hub.refused(
                IotHubNotFoundException.class,
                "ModuleNotFound",
                () -> Hub.REGISTRY.getModule(module.getDeviceId(), "m1"));
    }

    @Check(on = "identity.delete")
    void module_that_was_read_can_be_removed() throws Exception {
        Module module = Hub.module();
        Hub.REGISTRY.removeModule(module);
        assertEquals(List.of(), Hub.REGISTRY.getModulesOnDevice(module.getDeviceId()));
    }

    @Check(on = "identity.get")
    void token_that_was_made_elsewhere_is_taken() throws Exception {
        var connection = IotHubConnectionStringBuilder.createIotHubConnectionString(Hub.CONNECTION);
        String token = new IotHubServiceSasToken(connection).toString();
        RegistryClient registry = new RegistryClient(connection.getHostName(), new AzureSasCredential(token));
        String device = Hub.device().getDeviceId();
        assertEquals(device, registry.getDevice(device).getDeviceId());
    }

    @Check(on = "identity.get")
    void wrong_service_key_is_refused() throws Exception {
        String wrong = Hub.CONNECTION.replaceFirst("SharedAccessKey=.*", "SharedAccessKey=" + Hub.key('x'));
        String device = Hub.device().getDeviceId();
        Hub.refused(
                IotHubUnauthorizedException.class,
                "IotHubUnauthorizedAccess",
                () -> new RegistryClient(wrong).getDevice(device));
    }
}
