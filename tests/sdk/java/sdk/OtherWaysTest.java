package sdk;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import com.microsoft.azure.sdk.iot.device.ClientOptions;
import com.microsoft.azure.sdk.iot.device.DeviceClient;
import com.microsoft.azure.sdk.iot.device.IotHubClientProtocol;
import com.microsoft.azure.sdk.iot.device.IotHubStatusCode;
import com.microsoft.azure.sdk.iot.device.Message;
import com.microsoft.azure.sdk.iot.device.ModuleClient;
import com.microsoft.azure.sdk.iot.device.auth.IotHubSSLContext;
import com.microsoft.azure.sdk.iot.device.exceptions.IotHubClientException;
import com.microsoft.azure.sdk.iot.device.transport.IotHubConnectionStatus;
import com.microsoft.azure.sdk.iot.service.auth.AuthenticationType;
import com.microsoft.azure.sdk.iot.service.registry.Device;
import com.microsoft.azure.sdk.iot.service.registry.Module;
import java.util.Map;

/** iot-device-client: WebSocket, X.509, and tokens that end. */
class OtherWaysTest {
    /** Reads, reports and is told. */
    private static void work(Device device, Client client) throws Exception {
        client.listen();
        assertEquals(1, client.twin().getDesiredProperties().getVersion());
        client.report(Map.of("a", "x"));
        assertEquals(Map.of("a", "x"), Hub.TWINS.get(device.getDeviceId()).getReportedProperties());
        Hub.desire(device.getDeviceId(), Map.of("b", "y"));
        assertEquals(Map.of("b", "y"), client.desired.until(twin -> true).getDesiredProperties());
    }

    private static Device withCertificate() throws Exception {
        Device device = new Device(Hub.name(), AuthenticationType.SELF_SIGNED);
        device.setThumbprint(System.getenv("DEVICE_SHA1"), System.getenv("DEVICE_SHA1"));
        return Hub.REGISTRY.addDevice(device);
    }

    private static Client certified(Device device, IotHubClientProtocol protocol, String certificate) throws Exception {
        String connection = "HostName=%s;DeviceId=%s;x509=true".formatted(Hub.HOST, device.getDeviceId());
        ClientOptions options = ClientOptions.builder().sslContext(Tls.context(certificate)).build();
        return new Client(new DeviceClient(connection, protocol, options));
    }

    @Check(on = {"device.websocket", "device.get", "device.report", "device.notify"})
    void websocket_serves_a_device() throws Exception {
        Device device = Hub.device();
        try (Client client = Client.of(device, IotHubClientProtocol.MQTT_WS, null).open()) {
            work(device, client);
        }
    }

    @Check(on = {"device.websocket", "device.get"})
    void websocket_serves_a_module() throws Exception {
        Module module = Hub.module();
        try (Client client = Client.of(module, IotHubClientProtocol.MQTT_WS).open().listen()) {
            client.report(Map.of("a", "x"));
            assertEquals(Map.of("a", "x"), client.twin().getReportedProperties());
        }
        assertEquals(Map.of("a", "x"), Hub.TWINS.get(module.getDeviceId(), "m1").getReportedProperties());
    }

    @Check(on = {"device.websocket", "device.report", "device.notify"})
    void websocket_that_is_lost_comes_back() throws Exception {
        Device device = Hub.device();
        try (Client client = Client.of(device, IotHubClientProtocol.MQTT_WS, null).open().listen()) {
            Admin.cutAtNextReport(device.getDeviceId());
            client.report(Map.of("a", "x"));
            client.status.until(status -> status == IotHubConnectionStatus.DISCONNECTED_RETRYING);
            client.status.until(status -> status == IotHubConnectionStatus.CONNECTED);
            Hub.desire(device.getDeviceId(), Map.of("after", "x"));
            client.desired.until(twin -> twin.getDesiredProperties().containsKey("after"));
        }
    }

    @Check(on = "device.connect")
    void model_id_is_seen_in_the_twin() throws Exception {
        Device device = Hub.device();
        ClientOptions options = ClientOptions.builder().modelId("dtmi:acme:pump;2").build();
        try (Client client = Client.of(device, IotHubClientProtocol.MQTT, options).open()) {
            assertEquals("dtmi:acme:pump;2", Hub.TWINS.get(device.getDeviceId()).getModelId());
        }
    }

    @Check(on = "device.message")
    void messages_of_a_module_are_accepted() throws Exception {
        try (Client client = Client.open(Hub.module())) {
            int timeout = (int) Hub.DEADLINE.toMillis();
            ((ModuleClient) client.sdk).sendEvent(new Message("telemetry"), "out", timeout);
        }
    }

    @Check(on = {"device.websocket", "device.notify"})
    void websocket_reopens_with_its_subscription() throws Exception {
        Device device = Hub.device();
        try (Client client = Client.of(device, IotHubClientProtocol.MQTT_WS, null).open().listen()) {
            client.sdk.close();
            client.open();
            Hub.desire(device.getDeviceId(), Map.of("after", "x"));
            client.desired.until(twin -> twin.getDesiredProperties().containsKey("after"));
        }
    }

    @Check(on = {"device.connect", "device.get", "device.report", "device.notify"})
    void certificate_lets_a_device_in() throws Exception {
        Device device = withCertificate();
        try (Client client = certified(device, IotHubClientProtocol.MQTT, "DEVICE").open()) {
            work(device, client);
        }
    }

    @Check(on = {"device.websocket", "device.get"})
    void certificate_lets_a_device_in_over_websocket() throws Exception {
        Device device = withCertificate();
        try (Client client = certified(device, IotHubClientProtocol.MQTT_WS, "DEVICE").open()) {
            work(device, client);
        }
    }

    @Check(on = "device.connect")
    void another_certificate_is_refused() throws Exception {
        Client client = certified(withCertificate(), IotHubClientProtocol.MQTT, "OTHER");
        var error = assertThrows(IotHubClientException.class, client::open);
        assertEquals(IotHubStatusCode.UNAUTHORIZED, error.getStatusCode());
    }

    @Check(on = "device.connect")
    void authority_can_be_given_as_an_option() throws Exception {
        var context = IotHubSSLContext.getSSLContextFromFile(System.getenv("HUB_CA_FILE"));
        ClientOptions options = ClientOptions.builder().sslContext(context).build();
        Client.of(Hub.device(), IotHubClientProtocol.MQTT, options).open().close();
    }

    @Check(on = {"device.connect", "device.notify"})
    void connection_whose_token_ends_comes_back_with_a_new_one() throws Exception {
        Device device = Hub.device();
        ClientOptions options = ClientOptions.builder().sasTokenExpiryTime(2).build();
        try (Client client = Client.of(device, IotHubClientProtocol.MQTT, options).open().listen()) {
            client.status.until(status -> status == IotHubConnectionStatus.DISCONNECTED_RETRYING);
            client.status.until(status -> status == IotHubConnectionStatus.CONNECTED);
            Hub.desire(device.getDeviceId(), Map.of("after", "x"));
            client.desired.until(twin -> twin.getDesiredProperties().containsKey("after"));
        }
    }
}
