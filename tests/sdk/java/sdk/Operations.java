package sdk;

import com.microsoft.azure.sdk.iot.device.DeviceClient;
import com.microsoft.azure.sdk.iot.device.ModuleClient;
import com.microsoft.azure.sdk.iot.service.configurations.ConfigurationsClient;
import com.microsoft.azure.sdk.iot.service.jobs.ScheduledJobsClient;
import com.microsoft.azure.sdk.iot.service.methods.DirectMethodsClient;
import com.microsoft.azure.sdk.iot.service.query.QueryClient;
import com.microsoft.azure.sdk.iot.service.registry.RegistryClient;
import com.microsoft.azure.sdk.iot.service.twin.TwinClient;
import java.lang.reflect.Method;
import java.util.List;
import java.util.stream.Stream;

/** Prints every operation that the packages offer for identities, twins and queries, and what stands beside these. */
final class Operations {
    private static final List<Class<?>> CLIENTS = List.of(
            RegistryClient.class,
            TwinClient.class,
            QueryClient.class,
            ConfigurationsClient.class,
            ScheduledJobsClient.class,
            DirectMethodsClient.class,
            DeviceClient.class,
            ModuleClient.class);

    public static void main(String[] arguments) {
        for (Class<?> client : CLIENTS) {
            Stream.of(client.getMethods())
                    .filter(method -> method.getDeclaringClass() != Object.class)
                    .map(Method::getName)
                    .distinct()
                    .sorted()
                    .forEach(name -> System.out.println(client.getSimpleName() + "." + name));
        }
    }
}
