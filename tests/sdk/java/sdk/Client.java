package sdk;

import com.microsoft.azure.sdk.iot.device.ClientOptions;
import com.microsoft.azure.sdk.iot.device.ConnectionStatusChangeContext;
import com.microsoft.azure.sdk.iot.device.DeviceClient;
import com.microsoft.azure.sdk.iot.device.InternalClient;
import com.microsoft.azure.sdk.iot.device.IotHubClientProtocol;
import com.microsoft.azure.sdk.iot.device.IotHubStatusCode;
import com.microsoft.azure.sdk.iot.device.ModuleClient;
import com.microsoft.azure.sdk.iot.device.exceptions.IotHubClientException;
import com.microsoft.azure.sdk.iot.device.transport.IotHubConnectionStatus;
import com.microsoft.azure.sdk.iot.device.transport.NoRetry;
import com.microsoft.azure.sdk.iot.device.twin.Twin;
import com.microsoft.azure.sdk.iot.device.twin.TwinCollection;
import com.microsoft.azure.sdk.iot.service.registry.Device;
import com.microsoft.azure.sdk.iot.service.registry.Module;
import java.time.Duration;
import java.util.Map;
import java.util.concurrent.Callable;
import java.util.function.Consumer;

/** A client of a device or a module, what it was told, and shorter calls. Closed at the end of a try. */
final class Client implements AutoCloseable {
    final InternalClient sdk;
    final Told<Twin> desired = new Told<>();
    final Told<IotHubConnectionStatus> status = new Told<>();

    private static final int MILLIS = (int) Hub.DEADLINE.toMillis();
    private static final int ATTEMPTS = 4;
    private static final int ATTEMPT = MILLIS / ATTEMPTS;

    Client(InternalClient sdk) {
        this.sdk = sdk;
        sdk.setConnectionStatusChangeCallback(this::changed, null);
        if (Admin.lacks()) {
            // What cannot be had need not be tried again.
            sdk.setRetryPolicy(new NoRetry());
        }
    }

    private void changed(ConnectionStatusChangeContext change) {
        status.tell(change.getNewStatus());
    }

    static String connection(Device device, String key) {
        return "HostName=%s;DeviceId=%s;SharedAccessKey=%s".formatted(Hub.HOST, device.getDeviceId(), key);
    }

    /** A client that is not opened yet. */
    static Client of(Device device, IotHubClientProtocol protocol, ClientOptions options) {
        return new Client(new DeviceClient(connection(device, device.getPrimaryKey()), protocol, options));
    }

    /** Opened, over MQTT on its own port. */
    static Client open(Device device) throws Exception {
        return of(device, IotHubClientProtocol.MQTT, null).open();
    }

    /** Opened, over MQTT on its own port. */
    static Client open(Module module) throws Exception {
        return of(module, IotHubClientProtocol.MQTT).open();
    }

    /** A client that is not opened yet. */
    static Client of(Module module, IotHubClientProtocol protocol) {
        String connection = "HostName=%s;DeviceId=%s;ModuleId=%s;SharedAccessKey=%s"
                .formatted(Hub.HOST, module.getDeviceId(), module.getId(), module.getPrimaryKey());
        return new Client(new ModuleClient(connection, protocol));
    }

    Client open() throws Exception {
        sdk.open(false);
        return this;
    }

    /** Subscribes to desired properties, without which the package reads and reports nothing. */
    Client listen() throws Exception {
        sdk.subscribeToDesiredProperties((twin, context) -> desired.tell(twin), null, MILLIS);
        return this;
    }

    Twin twin() throws Exception {
        return again(() -> sdk.getTwin(ATTEMPT));
    }

    /** Reports, and answers the new version. */
    int report(Map<String, ?> properties) throws Exception {
        TwinCollection reported = new TwinCollection();
        reported.putAll(properties);
        return report(reported);
    }

    int report(TwinCollection reported) throws Exception {
        return again(() -> sdk.updateReportedProperties(reported, ATTEMPT).getVersion());
    }

    /**
     * Asks again when the answer was lost inside the package: once the thread that gives receipts is done with an answer, it
     * forgets whom to tell, and at times it is faster than the thread that tells.
     */
    private static <T> T again(Callable<T> call) throws Exception {
        for (int attempt = 1; ; attempt += 1) {
            try {
                return call.call();
            } catch (IotHubClientException error) {
                if (error.getStatusCode() != IotHubStatusCode.DEVICE_OPERATION_TIMED_OUT || attempt == ATTEMPTS) {
                    throw error;
                }
            }
        }
    }

    /** The same for a call with a callback. */
    static <T> T told(Consumer<Told<T>> call) throws Exception {
        for (int attempt = 1; ; attempt += 1) {
            Told<T> told = new Told<>();
            call.accept(told);
            try {
                return told.upTo(what -> true, Duration.ofMillis(ATTEMPT)).get(0);
            } catch (AssertionError error) {
                if (attempt == ATTEMPTS) {
                    throw error;
                }
            }
        }
    }

    @Override
    public void close() {
        sdk.close();
    }
}
