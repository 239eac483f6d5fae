//! The page at `GET /`: a few files that are part of the program. It loads nothing from elsewhere, and what it shows comes
//! from [`super::view`] and [`super::follow`].

use axum::Router;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS};

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";

/// Path, type and content.
const FILES: [(&str, &str, &str); 7] = [
    ("/", HTML, include_str!("page/index.html")),
    ("/page.css", CSS, include_str!("page/page.css")),
    ("/dom.js", SCRIPT, include_str!("page/dom.js")),
    ("/app.js", SCRIPT, include_str!("page/app.js")),
    ("/twin.js", SCRIPT, include_str!("page/twin.js")),
    ("/query.js", SCRIPT, include_str!("page/query.js")),
    ("/activity.js", SCRIPT, include_str!("page/activity.js")),
];

/// Nothing but the page's own files runs, and nobody frames it. The icon is a `data:` URL.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// The routes of the page's files.
pub(super) fn router<S: Clone + Send + Sync + 'static>() -> Router<S> {
    FILES.into_iter().fold(Router::new(), |router, (path, kind, content)| {
        router.route(path, get(move || async move { file(kind, content) }))
    })
}

fn file(kind: &'static str, content: &'static str) -> Response {
    let headers = [
        (CONTENT_TYPE, kind),
        (CONTENT_SECURITY_POLICY, POLICY),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (REFERRER_POLICY, "no-referrer"),
        // Another version of the program may serve the next one.
        (CACHE_CONTROL, "no-cache"),
    ];
    (headers, content).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a twin holds is never read as HTML or as a program, and nothing comes from elsewhere.
    #[test]
    fn the_page_makes_text_of_everything() {
        for (path, _, content) in FILES {
            for forbidden in [
                "innerHTML",
                "outerHTML",
                "insertAdjacent",
                "document.write",
                "eval(",
                "Function(",
                "DOMParser",
                "srcdoc",
                "http://",
                "https://",
                "@import",
                "javascript:",
            ] {
                // The icon names the namespace of SVG, which nothing is loaded from.
                let content = content.replace("http://www.w3.org/2000/svg", "");
                assert!(!content.contains(forbidden), "{path} holds {forbidden}");
            }
        }
    }

    #[test]
    fn every_file_that_is_named_is_served() {
        let served: Vec<&str> = FILES.iter().map(|(path, ..)| *path).collect();
        for (path, _, content) in FILES {
            let named = content.split(['"', '\'']).filter(|text| text.ends_with(".js") || text.ends_with(".css"));
            for name in named {
                assert!(served.contains(&format!("/{}", name.trim_start_matches("./")).as_str()), "{path}: {name}");
            }
        }
    }
}
