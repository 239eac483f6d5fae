//! Connection strings: read, shown, read again; no message shows the key.

use crate::hub::ConnectionString;

/// A key that no other text holds by chance.
const SECRET: &str = "S3cretS3cretS3cretS3cretS3cretS3cretS3cretS3cre=";

/// No text panics. What is read is written so that it reads the same. `\x01` stands for a key, which no message shows.
pub fn connection_string(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes).replace('\u{1}', SECRET);
    match ConnectionString::parse(&text) {
        Ok(parsed) => {
            let shown = parsed.expose();
            let again =
                ConnectionString::parse(&shown).unwrap_or_else(|error| panic!("{text:?} as {shown:?}: {error}"));
            assert_eq!(again.host(), parsed.host(), "{text:?}");
            assert_eq!(again.role(), parsed.role(), "{text:?}");
            assert_eq!(again.expose(), shown, "{text:?}");
            // The host, ids and policies may be any text, so only a string with the key in its place is judged.
            if parsed.key().is_some_and(|key| key.expose() == SECRET) && text.matches("S3cret").count() == 8 {
                assert!(!format!("{parsed:?} {}", parsed.role()).contains("S3cret"), "{parsed:?}");
            }
        }
        Err(error) => {
            let mut told = format!("{error} {error:?}");
            let mut source = std::error::Error::source(&error);
            while let Some(inner) = source {
                told.push_str(&format!(" {inner}"));
                source = inner.source();
            }
            let in_a_name = ["HostName", "DeviceId", "ModuleId"].iter().any(|name| {
                text.to_ascii_lowercase()
                    .split(';')
                    .any(|part| part.trim_start().starts_with(&name.to_ascii_lowercase()) && part.contains("s3cret"))
            });
            assert!(in_a_name || !told.contains("S3cret"), "{text:?}: {told}");
        }
    }
}
