package sdk;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.microsoft.azure.sdk.iot.device.DeviceClient;
import com.microsoft.azure.sdk.iot.device.IotHubClientProtocol;
import com.microsoft.azure.sdk.iot.device.IotHubStatusCode;
import com.microsoft.azure.sdk.iot.device.Message;
import com.microsoft.azure.sdk.iot.device.exceptions.IotHubClientException;
import com.microsoft.azure.sdk.iot.device.transport.IotHubConnectionStatus;
import com.microsoft.azure.sdk.iot.device.transport.NoRetry;
import com.microsoft.azure.sdk.iot.device.twin.DirectMethodResponse;
import com.microsoft.azure.sdk.iot.device.twin.Twin;
import com.microsoft.azure.sdk.iot.device.twin.TwinCollection;
import com.microsoft.azure.sdk.iot.service.registry.Device;
import com.microsoft.azure.sdk.iot.service.registry.DeviceStatus;
import com.microsoft.azure.sdk.iot.service.registry.Module;
import java.util.List;
import java.util.Map;

/** iot-device-client over MQTT: what a device and a module see of their twin. */
class DevicesTest {
    private static Map<String, Object> reported(String device) throws Exception {
        return Hub.TWINS.get(device).getReportedProperties();
    }

    @Check(on = "device.connect")
    void connected_device_is_seen_as_connected() throws Exception {
        Device device = Hub.device();
        try (Client client = Client.open(device)) {
            assertEquals("CONNECTED", Hub.TWINS.get(device.getDeviceId()).getConnectionState());
        }
        // The package does not wait for the hub to end the connection.
        Hub.until(() -> Hub.TWINS.get(device.getDeviceId()).getConnectionState().equals("DISCONNECTED"));
    }

    @Check(on = "device.connect")
    void secondary_key_lets_a_device_in() throws Exception {
        Device device = Hub.device();
        String connection = Client.connection(device, device.getSecondaryKey());
        new Client(new DeviceClient(connection, IotHubClientProtocol.MQTT)).open().close();
    }

    @Check(on = "device.connect")
    void token_of_a_provider_lets_a_device_in() throws Exception {
        Device device = Hub.device();
        String token = Token.of(device.getDeviceId(), device.getPrimaryKey(), 3600);
        DeviceClient sdk =
                new DeviceClient(Hub.HOST, device.getDeviceId(), token::toCharArray, IotHubClientProtocol.MQTT);
        try (Client client = new Client(sdk).open().listen()) {
            assertEquals(1, client.twin().getDesiredProperties().getVersion());
        }
    }

    @Check(on = "device.get")
    void twin_has_desired_and_reported() throws Exception {
        Device device = Hub.device();
        int version = Hub.desire(device.getDeviceId(), Map.of("a", Map.of("b", 1)));
        try (Client client = Client.open(device).listen()) {
            Twin twin = client.twin();
            assertEquals("{\"a\":{\"b\":1}}", twin.getDesiredProperties().toJsonElement().toString());
            assertEquals(version, twin.getDesiredProperties().getVersion());
            assertEquals(Map.of(), twin.getReportedProperties());
        }
    }

    @Check(on = "device.get")
    void twin_can_be_had_by_callback() throws Exception {
        try (Client client = Client.open(Hub.device()).listen()) {
            Twin answer = Client.told(told -> client.sdk.getTwinAsync((twin, error, context) -> told.tell(twin), null));
            assertEquals(1, answer.getReportedProperties().getVersion());
        }
    }

    @Check(on = "device.report")
    void report_is_seen_by_the_service_and_the_device() throws Exception {
        Device device = Hub.device();
        try (Client client = Client.open(device).listen()) {
            int version = client.report(Map.of("a", "x", "b", Map.of("c", List.of(true))));
            assertTrue(version > 1);
            assertEquals(Map.of("a", "x", "b", Map.of("c", List.of(true))), reported(device.getDeviceId()));
            assertEquals(version, client.twin().getReportedProperties().getVersion());
        }
    }

    @Check(on = "device.report")
    void report_can_be_sent_with_a_callback() throws Exception {
        Device device = Hub.device();
        try (Client client = Client.open(device).listen()) {
            TwinCollection properties = new TwinCollection();
            properties.put("a", "x");
            IotHubStatusCode answer = Client.told(told -> client.sdk.updateReportedPropertiesAsync(
                    properties, (status, response, error, context) -> told.tell(status), null));
            assertEquals(IotHubStatusCode.OK, answer);
        }
        assertEquals(Map.of("a", "x"), reported(device.getDeviceId()));
    }

    @Check(on = "device.report")
    void null_in_a_report_removes() throws Exception {
        Device device = Hub.device();
        try (Client client = Client.open(device).listen()) {
            client.report(Hub.map("a", "x", "b", Map.of("c", "y", "d", "z")));
            client.report(Hub.map("a", null, "b", Hub.map("c", null)));
        }
        assertEquals(Map.of("b", Map.of("d", "z")), reported(device.getDeviceId()));
    }

    @Check(on = "device.report")
    void report_over_the_size_limit_is_refused() throws Exception {
        Device device = Hub.device();
        try (Client client = Client.open(device).listen()) {
            Map<String, Object> large = Hub.map();
            for (int n = 0; n < 9; n += 1) {
                large.put("k" + n, "x".repeat(4000));
            }
            var error = assertThrows(IotHubClientException.class, () -> client.report(large));
            assertEquals(IotHubStatusCode.QUOTA_EXCEEDED, error.getStatusCode());
            assertEquals(Map.of(), reported(device.getDeviceId()));
            client.report(Map.of("a", "x"));
        }
    }

    @Check(on = "device.report")
    void report_of_an_old_version_is_refused() throws Exception {
        Device device = Hub.device();
        try (Client client = Client.open(device).listen()) {
            TwinCollection properties = client.twin().getReportedProperties();
            client.report(Map.of("a", "x"));
            properties.put("a", "y");
            var error = assertThrows(IotHubClientException.class, () -> client.report(properties));
            assertEquals(IotHubStatusCode.PRECONDITION_FAILED, error.getStatusCode());
        }
        assertEquals(Map.of("a", "x"), reported(device.getDeviceId()));
    }

    @Check(on = {"device.subscribe", "device.notify"})
    void notice_brings_the_patch_and_its_version() throws Exception {
        Device device = Hub.device();
        Hub.desire(device.getDeviceId(), Map.of("old", 1));
        try (Client client = Client.open(device).listen()) {
            int version = Hub.desire(device.getDeviceId(), Hub.map("a", Map.of("b", "x"), "old", null));
            TwinCollection notice = client.desired.until(twin -> true).getDesiredProperties();
            assertEquals(Hub.map("a", Map.of("b", "x"), "old", null), notice);
            assertEquals(version, notice.getVersion());
        }
    }

    @Check(on = "device.notify")
    void change_of_tags_is_not_told() throws Exception {
        Device device = Hub.device();
        try (Client client = Client.open(device).listen()) {
            var tags = new com.microsoft.azure.sdk.iot.service.twin.Twin(device.getDeviceId());
            tags.getTags().put("t", "x");
            Hub.TWINS.patch(tags);
            Hub.desire(device.getDeviceId(), Map.of("after", "x"));
            assertEquals(Map.of("after", "x"), client.desired.until(twin -> true).getDesiredProperties());
        }
    }

    @Check(on = "device.notify")
    void lost_connection_comes_back_with_its_subscription() throws Exception {
        Device device = Hub.device();
        try (Client client = Client.open(device).listen()) {
            Admin.cutAtNextReport(device.getDeviceId());
            // The package sends it again on the next connection, because the hub gave no receipt.
            client.report(Map.of("a", "x"));
            client.status.until(status -> status == IotHubConnectionStatus.DISCONNECTED_RETRYING);
            client.status.until(status -> status == IotHubConnectionStatus.CONNECTED);
            Hub.desire(device.getDeviceId(), Map.of("after", "x"));
            client.desired.until(twin -> twin.getDesiredProperties().containsKey("after"));
        }
        assertEquals(Map.of("a", "x"), reported(device.getDeviceId()));
    }

    @Check(on = {"device.connect", "device.notify"})
    void reopened_client_keeps_its_subscription() throws Exception {
        Device device = Hub.device();
        try (Client client = Client.open(device).listen()) {
            client.sdk.close();
            Hub.desire(device.getDeviceId(), Map.of("away", "x"));
            client.open();
            Hub.desire(device.getDeviceId(), Map.of("after", "x"));
            List<Twin> told = client.desired.upTo(twin -> twin.getDesiredProperties().containsKey("after"));
            assertEquals(1, told.size());
        }
    }

    @Check(on = {"device.connect", "device.report"})
    void second_connection_takes_over() throws Exception {
        Device device = Hub.device();
        try (Client first = Client.open(device)) {
            first.sdk.setRetryPolicy(new NoRetry());
            try (Client second = Client.open(device).listen()) {
                first.status.until(status -> status == IotHubConnectionStatus.DISCONNECTED);
                second.report(Map.of("by", "second"));
            }
        }
        assertEquals(Map.of("by", "second"), reported(device.getDeviceId()));
    }

    @Check(on = "device.message")
    void messages_are_accepted() throws Exception {
        try (Client client = Client.open(Hub.device())) {
            client.sdk.sendEvent(new Message("telemetry"), (int) Hub.DEADLINE.toMillis());
        }
    }

    @Check(on = "device.message")
    void messages_can_be_sent_with_a_callback() throws Exception {
        Told<Boolean> told = new Told<>();
        try (Client client = Client.open(Hub.device())) {
            client.sdk.sendEventAsync(
                    new Message("telemetry"), (message, error, context) -> told.tell(error == null), null);
            assertTrue(told.until(sent -> true));
        }
    }

    @Check(on = {"device.subscribe", "device.notify"})
    void subscription_can_be_made_with_a_callback() throws Exception {
        Device device = Hub.device();
        Told<Boolean> granted = new Told<>();
        try (Client client = Client.open(device)) {
            client.sdk.subscribeToDesiredPropertiesAsync(
                    (twin, context) -> client.desired.tell(twin),
                    null,
                    (error, context) -> granted.tell(error == null),
                    null);
            assertTrue(granted.until(answer -> true));
            Hub.desire(device.getDeviceId(), Map.of("a", "x"));
            assertEquals(Map.of("a", "x"), client.desired.until(twin -> true).getDesiredProperties());
        }
    }

    @Check(on = "device.subscribe")
    void subscription_to_methods_is_granted() throws Exception {
        try (Client client = Client.open(Hub.device())) {
            client.sdk.subscribeToMethods(
                    (method, payload, context) -> new DirectMethodResponse(200, null),
                    null,
                    (int) Hub.DEADLINE.toMillis());
        }
    }

    private static void refused(Client client) {
        var error = assertThrows(IotHubClientException.class, client::open);
        assertEquals(IotHubStatusCode.UNAUTHORIZED, error.getStatusCode());
    }

    @Check(on = "device.connect")
    void wrong_key_is_refused() throws Exception {
        String connection = Client.connection(Hub.device(), Hub.key('x'));
        refused(new Client(new DeviceClient(connection, IotHubClientProtocol.MQTT)));
    }

    @Check(on = "device.connect")
    void unknown_device_is_refused() throws Exception {
        Device device = Hub.device();
        Hub.REGISTRY.removeDevice(device.getDeviceId());
        refused(Client.of(device, IotHubClientProtocol.MQTT, null));
    }

    @Check(on = {"device.connect", "identity.put"})
    void disabling_cuts_the_connection_and_keeps_the_device_out() throws Exception {
        Device device = Hub.device();
        try (Client client = Client.open(device)) {
            client.sdk.setRetryPolicy(new NoRetry());
            device.setStatus(DeviceStatus.Disabled);
            Hub.REGISTRY.updateDevice(device);
            client.status.until(status -> status == IotHubConnectionStatus.DISCONNECTED);
        }
        refused(Client.of(device, IotHubClientProtocol.MQTT, null));
    }

    @Check(on = {"device.connect", "identity.delete"})
    void deleting_cuts_the_connection() throws Exception {
        Device device = Hub.device();
        try (Client client = Client.open(device)) {
            client.sdk.setRetryPolicy(new NoRetry());
            Hub.REGISTRY.removeDevice(device.getDeviceId());
            client.status.until(status -> status == IotHubConnectionStatus.DISCONNECTED);
        }
    }

    @Check(on = {"device.get", "device.report", "device.notify"})
    void module_has_a_twin_of_its_own() throws Exception {
        Module module = Hub.module();
        String device = module.getDeviceId();
        try (Client client = Client.open(module).listen()) {
            client.report(Map.of("a", "x"));
            Hub.desire(device, Map.of("of", "device"));
            Hub.TWINS.patch(Hub.desired(device, "m1", Map.of("of", "module")));
            assertEquals(Map.of("of", "module"), client.desired.until(twin -> true).getDesiredProperties());
            assertEquals(Map.of("a", "x"), client.twin().getReportedProperties());
        }
        assertEquals(Map.of("a", "x"), Hub.TWINS.get(device, "m1").getReportedProperties());
        assertTrue(reported(device).isEmpty());
    }
}
