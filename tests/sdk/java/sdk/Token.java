package sdk;

import java.net.URLEncoder;
import java.nio.charset.StandardCharsets;
import java.security.GeneralSecurityException;
import java.time.Instant;
import java.util.Base64;
import javax.crypto.Mac;
import javax.crypto.spec.SecretKeySpec;

/** Shared access signatures as an application makes them that keeps its keys to itself. */
final class Token {
    private Token() {}

    /** A token of the device that ends in so many seconds. */
    static String of(String device, String key, long seconds) throws GeneralSecurityException {
        String resource = URLEncoder.encode(Hub.HOST + "/devices/" + device, StandardCharsets.UTF_8);
        long end = Instant.now().getEpochSecond() + seconds;
        Mac mac = Mac.getInstance("HmacSHA256");
        mac.init(new SecretKeySpec(Base64.getDecoder().decode(key), "HmacSHA256"));
        byte[] signature = mac.doFinal((resource + "\n" + end).getBytes(StandardCharsets.UTF_8));
        String text = URLEncoder.encode(Base64.getEncoder().encodeToString(signature), StandardCharsets.UTF_8);
        return "SharedAccessSignature sr=%s&sig=%s&se=%d".formatted(resource, text, end);
    }
}
