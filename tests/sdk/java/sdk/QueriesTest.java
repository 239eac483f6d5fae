package sdk;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.google.gson.JsonParser;
import com.microsoft.azure.sdk.iot.service.exceptions.IotHubBadFormatException;
import com.microsoft.azure.sdk.iot.service.query.QueryPageOptions;
import com.microsoft.azure.sdk.iot.service.query.RawQueryResponse;
import com.microsoft.azure.sdk.iot.service.query.SqlQueryBuilder;
import com.microsoft.azure.sdk.iot.service.query.TwinQueryResponse;
import com.microsoft.azure.sdk.iot.service.registry.Module;
import com.microsoft.azure.sdk.iot.service.twin.Twin;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import org.junit.jupiter.api.BeforeAll;

/** iot-service-client, QueryClient and TwinClient.query. */
class QueriesTest {
    /** Seven devices with tags of their own: the fleet that they share, and a number each. */
    private static final List<String> DEVICES = new ArrayList<>();

    private static String where;

    @BeforeAll
    static void makeFleet() throws Exception {
        for (int n = 0; n < 7; n += 1) {
            DEVICES.add(Hub.device().getDeviceId());
            Twin twin = new Twin(DEVICES.get(n));
            twin.getTags().putAll(Hub.map("fleet", DEVICES.get(0), "n", n, "odd", n % 2 == 1));
            Hub.TWINS.patch(twin);
        }
        where = "tags.fleet = '" + DEVICES.get(0) + "'";
    }

    private static List<String> ids(TwinQueryResponse response) throws Exception {
        List<String> ids = new ArrayList<>();
        while (response.hasNext()) {
            ids.add(response.next().getDeviceId());
        }
        Collections.sort(ids);
        return ids;
    }

    @Check(on = "query")
    void query_answers_twins() throws Exception {
        TwinQueryResponse response = Hub.TWINS.query("SELECT * FROM devices WHERE " + where + " AND tags.n = 4");
        Twin twin = response.next();
        assertEquals(DEVICES.get(4), twin.getDeviceId());
        assertEquals(false, twin.getTags().get("odd"));
        assertFalse(response.hasNext());
    }

    @Check(on = "query")
    void query_that_matches_nothing_answers_nothing() throws Exception {
        assertFalse(Hub.QUERIES.queryTwins("SELECT * FROM devices WHERE tags.fleet = 'nobody'").hasNext());
    }

    @Check(on = "query")
    void query_goes_on_page_by_page() throws Exception {
        QueryPageOptions three = QueryPageOptions.builder().pageSize(3).build();
        TwinQueryResponse response = Hub.QUERIES.queryTwins("SELECT * FROM devices WHERE " + where, three);
        assertNotNull(response.getContinuationToken());
        assertEquals(DEVICES.stream().sorted().toList(), ids(response));
    }

    @Check(on = "query")
    void query_goes_on_from_a_token_that_is_handed_over() throws Exception {
        String text = "SELECT * FROM devices WHERE " + where;
        TwinQueryResponse first = Hub.TWINS.query(text, QueryPageOptions.builder().pageSize(4).build());
        var rest = QueryPageOptions.builder().pageSize(100).continuationToken(first.getContinuationToken()).build();
        List<String> ids = ids(Hub.TWINS.query(text, rest));
        assertEquals(3, ids.size());
        for (int n = 0; n < 4; n += 1) {
            ids.add(first.next().getDeviceId());
        }
        assertEquals(DEVICES.stream().sorted().toList(), ids.stream().sorted().toList());
    }

    @Check(on = "query")
    void raw_query_counts_and_groups() throws Exception {
        String text = "SELECT tags.odd AS odd, COUNT() AS n, SUM(tags.n) AS sum FROM devices WHERE " + where;
        RawQueryResponse response = Hub.QUERIES.queryRaw(text + " GROUP BY tags.odd");
        List<String> rows = new ArrayList<>();
        while (response.hasNext()) {
            var row = JsonParser.parseString(response.next()).getAsJsonObject();
            rows.add(row.get("odd").getAsBoolean() + " " + row.get("n").getAsInt() + " " + row.get("sum").getAsInt());
        }
        Collections.sort(rows);
        assertEquals(List.of("false 4 12", "true 3 9"), rows);
    }

    @Check(on = "query")
    void raw_query_goes_on_page_by_page() throws Exception {
        QueryPageOptions three = QueryPageOptions.builder().pageSize(3).build();
        RawQueryResponse response = Hub.QUERIES.queryRaw("SELECT deviceId FROM devices WHERE " + where, three);
        int rows = 0;
        for (; response.hasNext(); rows += 1) {
            assertTrue(response.next().contains("deviceId"));
        }
        assertEquals(7, rows);
    }

    @Check(on = "query")
    void query_of_the_builder_is_understood() throws Exception {
        String text = SqlQueryBuilder.createSqlQuery("*", SqlQueryBuilder.FromType.DEVICES, where, null);
        assertEquals(DEVICES.stream().sorted().toList(), ids(Hub.TWINS.query(text)));
    }

    @Check(on = "query")
    void query_of_modules_answers_module_twins() throws Exception {
        Hub.REGISTRY.addModule(new Module(DEVICES.get(0), Hub.name()));
        String text = "SELECT * FROM devices.modules WHERE deviceId = '" + DEVICES.get(0) + "'";
        Twin twin = Hub.QUERIES.queryTwins(text).next();
        assertEquals(DEVICES.get(0), twin.getDeviceId());
        assertNotNull(twin.getModuleId());
    }

    @Check(on = "query")
    void query_that_cannot_be_read_is_refused() {
        Hub.refused(
                IotHubBadFormatException.class, "ArgumentInvalid", () -> Hub.QUERIES.queryRaw("SELECT * FROM devices WHERE"));
    }
}
