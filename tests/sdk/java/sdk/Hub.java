package sdk;

import com.google.gson.JsonObject;
import com.microsoft.azure.sdk.iot.service.exceptions.IotHubException;
import com.microsoft.azure.sdk.iot.service.query.QueryClient;
import com.microsoft.azure.sdk.iot.service.registry.Device;
import com.microsoft.azure.sdk.iot.service.registry.Module;
import com.microsoft.azure.sdk.iot.service.registry.RegistryClient;
import com.microsoft.azure.sdk.iot.service.twin.Twin;
import com.microsoft.azure.sdk.iot.service.twin.TwinClient;
import com.microsoft.azure.sdk.iot.service.twin.TwinCollection;
import java.io.IOException;
import java.time.Duration;
import java.time.Instant;
import java.util.Base64;
import java.util.HashMap;
import java.util.Map;
import java.util.concurrent.Callable;
import java.util.concurrent.atomic.AtomicInteger;
import org.junit.jupiter.api.Assertions;
import org.junit.jupiter.api.function.Executable;

/** What the tests share of the service side. */
final class Hub {
    /** How long anything may take. */
    static final Duration DEADLINE = Duration.ofSeconds(Integer.parseInt(System.getenv().getOrDefault("DEADLINE", "20")));

    /** The device package wants a name with a dot in it. */
    static final String HOST = "127.0.0.1";

    /** The service package takes no port. */
    static final String CONNECTION = System.getenv("HUB_SERVICE_CONNECTION_STRING").replace(":443;", ";");

    static final RegistryClient REGISTRY = new RegistryClient(CONNECTION);
    static final TwinClient TWINS = new TwinClient(CONNECTION);
    static final QueryClient QUERIES = new QueryClient(CONNECTION);

    /** In quotes: the hub looks at no other, and the package adds none. */
    static final String STALE = "\"AAAAAAAAAAA=\"";
    static final String PRIMARY = key('p');
    static final String SECONDARY = key('s');

    private static final AtomicInteger NUMBER = new AtomicInteger();

    private Hub() {}

    /** A key of 32 equal bytes. */
    static String key(char of) {
        return Base64.getEncoder().encodeToString(String.valueOf(of).repeat(32).getBytes());
    }

    /** An id that no other test has. */
    static String name() {
        return "java-" + NUMBER.incrementAndGet();
    }

    static Device device() throws IOException, IotHubException {
        return REGISTRY.addDevice(new Device(name()));
    }

    static Module module() throws IOException, IotHubException {
        return REGISTRY.addModule(new Module(device().getDeviceId(), "m1"));
    }

    /** A change of the desired properties. */
    static Twin desired(String device, String module, Map<String, ?> properties) {
        Twin twin = module == null ? new Twin(device) : new Twin(device, module);
        twin.getDesiredProperties().putAll(properties);
        return twin;
    }

    /** Sets desired properties, and answers their new version. */
    static int desire(String device, Map<String, ?> properties) throws IOException, IotHubException {
        return TWINS.patch(desired(device, null, properties)).getDesiredProperties().getVersion();
    }

    /** A section as JSON text, without what the hub adds. */
    static String own(TwinCollection section) {
        JsonObject json = section.toJsonObject();
        json.remove("$version");
        return json.toString();
    }

    /** A map that may hold null, which removes. */
    static Map<String, Object> map(Object... pairs) {
        Map<String, Object> map = new HashMap<>();
        for (int at = 0; at < pairs.length; at += 2) {
            map.put((String) pairs[at], pairs[at + 1]);
        }
        return map;
    }

    /** Waits until it is so. */
    static void until(Callable<Boolean> so) throws Exception {
        Instant end = Instant.now().plus(DEADLINE);
        while (!so.call()) {
            Assertions.assertTrue(Instant.now().isBefore(end), "not so in " + DEADLINE);
            Thread.sleep(20);
        }
    }

    /** Has the hub refuse the call with this kind of exception and this code in its text. */
    static void refused(Class<? extends IotHubException> kind, String code, Executable call) {
        String text = Assertions.assertThrows(kind, call).getMessage();
        Assertions.assertTrue(text.contains(code), text);
    }
}
