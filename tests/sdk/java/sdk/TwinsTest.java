package sdk;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.microsoft.azure.sdk.iot.service.exceptions.IotHubBadFormatException;
import com.microsoft.azure.sdk.iot.service.exceptions.IotHubNotFoundException;
import com.microsoft.azure.sdk.iot.service.exceptions.IotHubPreconditionFailedException;
import com.microsoft.azure.sdk.iot.service.exceptions.IotHubTooManyDevicesException;
import com.microsoft.azure.sdk.iot.service.registry.Module;
import com.microsoft.azure.sdk.iot.service.twin.Twin;
import java.util.List;
import java.util.Map;

/** iot-service-client, TwinClient: twins of devices and modules. */
class TwinsTest {
    private static String quoted(Twin twin) {
        return '"' + twin.getETag() + '"';
    }

    @Check(on = "twin.get")
    void twin_of_a_new_device_is_empty() throws Exception {
        Twin twin = Hub.TWINS.get(Hub.device().getDeviceId());
        assertEquals(Map.of(), twin.getTags());
        assertEquals(Map.of(), twin.getDesiredProperties());
        assertEquals(Map.of(), twin.getReportedProperties());
        assertEquals(1, twin.getDesiredProperties().getVersion());
        assertEquals(1, twin.getReportedProperties().getVersion());
        assertEquals("DISCONNECTED", twin.getConnectionState());
        assertEquals("enabled", twin.getStatus().toString().toLowerCase());
    }

    @Check(on = "twin.get")
    void get_of_an_unknown_device_is_refused() {
        Hub.refused(IotHubNotFoundException.class, "DeviceNotFound", () -> Hub.TWINS.get(Hub.name()));
    }

    @Check(on = "twin.patch")
    void patch_merges_tags_and_desired_at_every_depth() throws Exception {
        String device = Hub.device().getDeviceId();
        Twin first = Hub.desired(device, null, Hub.map("c", Hub.map("d", 1)));
        first.getTags().put("a", Hub.map("b", "x"));
        Hub.TWINS.patch(first);
        Twin second = Hub.desired(device, null, Hub.map("c", Hub.map("f", true)));
        second.getTags().put("a", Hub.map("e", "y"));
        Hub.TWINS.patch(second);
        Twin twin = Hub.TWINS.get(device);
        assertEquals("{\"a\":{\"b\":\"x\",\"e\":\"y\"}}", Hub.own(twin.getTags()));
        assertEquals("{\"c\":{\"d\":1,\"f\":true}}", Hub.own(twin.getDesiredProperties()));
    }

    @Check(on = "twin.patch")
    void null_removes_at_any_depth() throws Exception {
        String device = Hub.device().getDeviceId();
        Hub.desire(device, Hub.map("a", 1, "b", Hub.map("c", 2, "d", 3)));
        Hub.desire(device, Hub.map("a", null, "b", Hub.map("c", null)));
        assertEquals("{\"b\":{\"d\":3}}", Hub.own(Hub.TWINS.get(device).getDesiredProperties()));
    }

    @Check(on = "twin.patch")
    void patch_raises_etag_and_version_and_tells_when() throws Exception {
        String device = Hub.device().getDeviceId();
        Twin before = Hub.TWINS.get(device);
        Twin after = Hub.TWINS.patch(Hub.desired(device, null, Map.of("a", 1)), quoted(before));
        assertNotEquals(before.getETag(), after.getETag());
        assertTrue(after.getVersion() > before.getVersion());
        assertEquals(2, after.getDesiredProperties().getVersion());
        assertEquals(2, after.getDesiredProperties().getTwinMetadata("a").getLastUpdatedVersion());
        assertEquals(
                after.getDesiredProperties().getTwinMetadata().getLastUpdated(),
                after.getDesiredProperties().getTwinMetadata("a").getLastUpdated());
    }

    @Check(on = "twin.patch")
    void patch_with_a_stale_etag_is_refused() throws Exception {
        String device = Hub.device().getDeviceId();
        Twin patch = Hub.desired(device, null, Map.of("a", 1));
        Hub.refused(
                IotHubPreconditionFailedException.class, "PreconditionFailed", () -> Hub.TWINS.patch(patch, Hub.STALE));
        assertEquals(Map.of(), Hub.TWINS.get(device).getDesiredProperties());
    }

    @Check(on = "twin.patch")
    void patch_with_a_forbidden_key_is_refused() throws Exception {
        Twin patch = Hub.desired(Hub.device().getDeviceId(), null, Map.of("a", Map.of("b c", 1)));
        Hub.refused(IotHubBadFormatException.class, "ArgumentInvalid", () -> Hub.TWINS.patch(patch));
    }

    @Check(on = "twin.patch")
    void patch_over_the_size_limit_is_refused() throws Exception {
        String device = Hub.device().getDeviceId();
        Twin patch = new Twin(device);
        for (int n = 0; n < 9; n += 1) {
            patch.getDesiredProperties().put("k" + n, "x".repeat(4000));
        }
        Hub.refused(
                IotHubTooManyDevicesException.class,
                "DeviceModelMaxPropertiesExceeded",
                () -> Hub.TWINS.patch(patch));
        assertEquals(Map.of(), Hub.TWINS.get(device).getDesiredProperties());
    }

    @Check(on = "twin.replace")
    void replace_drops_what_is_not_named() throws Exception {
        String device = Hub.device().getDeviceId();
        Hub.desire(device, Map.of("old", 1));
        assertEquals(Map.of("new", 2.0).keySet(), Hub.TWINS.replace(Hub.desired(device, null, Map.of("new", 2)))
                .getDesiredProperties().keySet());
        assertFalse(Hub.TWINS.get(device).getDesiredProperties().containsKey("old"));
    }

    @Check(on = "twin.replace")
    void replace_with_a_stale_etag_is_refused() throws Exception {
        Twin twin = Hub.desired(Hub.device().getDeviceId(), null, Map.of("a", 1));
        Hub.refused(
                IotHubPreconditionFailedException.class, "PreconditionFailed", () -> Hub.TWINS.replace(twin, Hub.STALE));
    }

    @Check(on = {"twin.get", "twin.patch"})
    void twin_that_was_read_can_be_sent_back() throws Exception {
        String device = Hub.device().getDeviceId();
        Hub.desire(device, Map.of("a", 1));
        Twin twin = Hub.TWINS.get(device);
        twin.getTags().put("b", "x");
        Twin after = Hub.TWINS.patch(twin, quoted(twin));
        assertEquals("{\"b\":\"x\"}", Hub.own(after.getTags()));
        assertEquals("{\"a\":1}", Hub.own(after.getDesiredProperties()));
    }

    @Check(on = "twin.patch")
    void every_kind_of_value_comes_back_unchanged() throws Exception {
        String device = Hub.device().getDeviceId();
        Hub.desire(device, Hub.map("text", "ü\"ø\n", "float", 1.5, "yes", true, "list", List.of("a", true), "none", Map.of()));
        var twin = Hub.TWINS.get(device).getDesiredProperties().toJsonObject();
        assertEquals("ü\"ø\n", twin.get("text").getAsString());
        assertEquals(1.5, twin.get("float").getAsDouble());
        assertTrue(twin.get("yes").getAsBoolean());
        assertEquals("[\"a\",true]", twin.get("list").toString());
        assertEquals("{}", twin.get("none").toString());
    }

    @Check(on = {"twin.get", "twin.patch", "twin.replace"})
    void module_twin_is_its_own() throws Exception {
        Module module = Hub.module();
        String device = module.getDeviceId();
        Twin twin = Hub.TWINS.patch(Hub.desired(device, "m1", Map.of("a", 1)));
        assertEquals("m1", twin.getModuleId());
        Hub.TWINS.replace(Hub.desired(device, "m1", Map.of("b", 2)));
        Twin after = Hub.TWINS.get(device, "m1");
        assertEquals("{\"b\":2}", Hub.own(after.getDesiredProperties()));
        assertEquals(Map.of(), Hub.TWINS.get(device).getDesiredProperties());
    }
}
