package sdk;

import com.microsoft.azure.sdk.iot.service.configurations.Configuration;
import com.microsoft.azure.sdk.iot.service.configurations.ConfigurationContent;
import com.microsoft.azure.sdk.iot.service.configurations.ConfigurationsClient;
import com.microsoft.azure.sdk.iot.service.exceptions.IotHubBadFormatException;
import com.microsoft.azure.sdk.iot.service.exceptions.IotHubNotFoundException;
import com.microsoft.azure.sdk.iot.service.jobs.ScheduledJobStatus;
import com.microsoft.azure.sdk.iot.service.jobs.ScheduledJobType;
import com.microsoft.azure.sdk.iot.service.jobs.ScheduledJobsClient;
import com.microsoft.azure.sdk.iot.service.methods.DirectMethodsClient;
import com.microsoft.azure.sdk.iot.service.twin.Twin;
import java.util.Date;
import java.util.HashMap;
import java.util.Map;
import org.junit.jupiter.api.function.Executable;

/** What the packages offer and the local hub does not have: each call gets a clear answer. */
class NotThereTest {
    private static void notSupported(Executable call) {
        Hub.refused(IotHubNotFoundException.class, "FeatureNotSupported", call);
    }

    @Check(on = "unknown")
    void configurations_are_not_there() {
        ConfigurationsClient configurations = new ConfigurationsClient(Hub.CONNECTION);
        Configuration configuration = new Configuration("c1");
        configuration.setTargetCondition("*");
        configuration.setPriority(1);
        configuration.setEtag("*");
        notSupported(() -> configurations.create(configuration));
        notSupported(() -> configurations.replace(configuration));
        notSupported(() -> configurations.get("c1"));
        notSupported(() -> configurations.get(10));
        notSupported(() -> configurations.delete("c1"));
        ConfigurationContent content = new ConfigurationContent();
        content.setModulesContent(new HashMap<>());
        notSupported(() -> configurations.applyConfigurationContentOnDevice(Hub.name(), content));
    }

    @Check(on = "jobs")
    void scheduled_jobs_are_not_there() {
        ScheduledJobsClient jobs = new ScheduledJobsClient(Hub.CONNECTION);
        Twin twin = Hub.desired("any", null, Map.of("a", 1));
        notSupported(() -> jobs.scheduleUpdateTwin("j1", "*", twin, new Date(), 60));
        notSupported(() -> jobs.scheduleDirectMethod("j1", "*", "reboot", new Date()));
        notSupported(() -> jobs.get("j1"));
        notSupported(() -> jobs.cancel("j1"));
        notSupported(() -> jobs.query(ScheduledJobType.scheduleUpdateTwin, ScheduledJobStatus.running));
    }

    @Check(on = "query")
    void query_of_jobs_is_refused() {
        String text = "SELECT * FROM devices.jobs";
        Hub.refused(IotHubBadFormatException.class, "ArgumentInvalid", () -> Hub.QUERIES.queryJobs(text));
    }

    @Check(on = "jobs")
    void import_and_export_are_not_there() {
        notSupported(() -> Hub.REGISTRY.exportDevices("https://out.example", true));
        notSupported(() -> Hub.REGISTRY.importDevices("https://in.example", "https://out.example"));
        notSupported(() -> Hub.REGISTRY.getJob("j1"));
    }

    @Check(on = "unknown")
    void direct_methods_are_not_there() throws Exception {
        DirectMethodsClient methods = new DirectMethodsClient(Hub.CONNECTION);
        String device = Hub.device().getDeviceId();
        notSupported(() -> methods.invoke(device, "reboot"));
        notSupported(() -> methods.invoke(device, "m1", "reboot"));
    }
}
