package sdk;

import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import java.util.function.Predicate;

/** What a client was told, for a test to wait for. */
final class Told<T> {
    private final BlockingQueue<T> all = new LinkedBlockingQueue<>();

    void tell(T what) {
        all.add(what);
    }

    /** The first from here on that is wanted; those before it are dropped. */
    T until(Predicate<T> wanted) throws InterruptedException {
        List<T> passed = upTo(wanted);
        return passed.get(passed.size() - 1);
    }

    /** All up to the first from here on that is wanted. */
    List<T> upTo(Predicate<T> wanted) throws InterruptedException {
        return upTo(wanted, Hub.DEADLINE);
    }

    List<T> upTo(Predicate<T> wanted, Duration deadline) throws InterruptedException {
        List<T> passed = new ArrayList<>();
        Instant end = Instant.now().plus(deadline);
        for (;;) {
            T what = all.poll(Math.max(0, Duration.between(Instant.now(), end).toMillis()), TimeUnit.MILLISECONDS);
            if (what == null) {
                throw new AssertionError("not told in " + deadline + "; told was " + passed);
            }
            passed.add(what);
            if (wanted.test(what)) {
                return passed;
            }
        }
    }
}
