package sdk;

import java.io.IOException;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpRequest.BodyPublishers;
import java.net.http.HttpResponse.BodyHandlers;

/** The hub's admin port. */
final class Admin {
    private static final HttpClient CLIENT = HttpClient.newHttpClient();

    private static volatile boolean off;

    private Admin() {}

    /** Whether something is switched off now. */
    static boolean lacks() {
        return off;
    }

    /** Switches this operation off. What the hub does not have is as good as off: it answers something else then. */
    static void switchOff(String operation) throws IOException, InterruptedException {
        send("PUT", "/knobs", "{\"disabled\": [\"%s\"]}".formatted(operation));
        if (operation.equals("unknown")) {
            send("POST", "/faults", "{\"operation\": \"unknown\", \"effect\": {\"status\": 403}}");
        }
        off = true;
    }

    /** Switches all on. */
    static void switchOn() throws IOException, InterruptedException {
        send("PUT", "/knobs", "{}");
        send("DELETE", "/faults", "");
        off = false;
    }

    /** Cuts a device's connection at its next report, which is lost. */
    static void cutAtNextReport(String device) throws IOException, InterruptedException {
        String fault = "{\"operation\": \"device.report\", \"subject\": \"%s\", \"times\": 1, \"effect\": \"cutBefore\"}";
        send("POST", "/faults", fault.formatted(device));
    }

    private static void send(String method, String path, String body) throws IOException, InterruptedException {
        HttpRequest request = HttpRequest.newBuilder(URI.create(System.getenv("HUB_ADMIN_URL") + path))
                .header("content-type", "application/json")
                .method(method, BodyPublishers.ofString(body))
                .build();
        var answer = CLIENT.send(request, BodyHandlers.ofString());
        if (answer.statusCode() >= 300) {
            throw new IOException("the admin port answered " + answer.statusCode() + " " + answer.body());
        }
    }
}
