package sdk;

import java.lang.reflect.Method;
import java.util.Arrays;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.Assertions;
import org.junit.jupiter.api.extension.Extension;
import org.junit.jupiter.api.extension.ExtensionContext;
import org.junit.jupiter.api.extension.InvocationInterceptor;
import org.junit.jupiter.api.extension.ReflectiveInvocationContext;
import org.junit.jupiter.api.extension.TestTemplateInvocationContext;
import org.junit.jupiter.api.extension.TestTemplateInvocationContextProvider;

/** Runs each check once and, with PROVE=1, again for each operation that it rests on, switched off: then it has to fail. */
final class Proof implements TestTemplateInvocationContextProvider {
    private static final boolean PROVE = "1".equals(System.getenv("PROVE"));

    @Override
    public boolean supportsTestTemplate(ExtensionContext context) {
        return true;
    }

    @Override
    public Stream<TestTemplateInvocationContext> provideTestTemplateInvocationContexts(ExtensionContext context) {
        String[] operations = context.getRequiredTestMethod().getAnnotation(Check.class).on();
        if (operations.length == 0) {
            throw new IllegalArgumentException("a check has to rest on an operation");
        }
        Stream<String> off = PROVE ? Arrays.stream(operations) : Stream.empty();
        return Stream.concat(Stream.of(new Plain()), off.map(Without::new));
    }

    private record Plain() implements TestTemplateInvocationContext {
        @Override
        public String getDisplayName(int number) {
            return "with all";
        }
    }

    private record Without(String operation) implements TestTemplateInvocationContext, InvocationInterceptor {
        @Override
        public String getDisplayName(int number) {
            return "without " + operation;
        }

        @Override
        public List<Extension> getAdditionalExtensions() {
            return List.of(this);
        }

        @Override
        public void interceptTestTemplateMethod(
                Invocation<Void> test, ReflectiveInvocationContext<Method> where, ExtensionContext context)
                throws Throwable {
            Admin.switchOff(operation);
            try {
                Assertions.assertThrows(
                        Throwable.class, test::proceed, "passes although " + operation + " is switched off");
            } finally {
                Admin.switchOn();
            }
        }
    }
}
