package sdk;

import com.microsoft.azure.sdk.iot.device.ClientOptions;
import com.microsoft.azure.sdk.iot.device.IotHubClientProtocol;
import com.microsoft.azure.sdk.iot.device.auth.IotHubSSLContext;
import com.microsoft.azure.sdk.iot.device.transport.IotHubConnectionStatus;
import com.microsoft.azure.sdk.iot.service.registry.Device;
import java.util.Map;

/** iot-device-client: another authority, and tokens that end. */
class OtherWaysTest {
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
