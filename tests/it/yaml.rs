//! Our reading of YAML against kubectl's and the API server's: each spelling is applied for real, and compared.

use hubtwin::manifest;
use hubtwin::twin::value::equal;
use serde_json::{Value, json};

use super::support::Cluster;

/// What a user may write for a value.
const SPELLINGS: &str = "on On ON off Off yes Yes no NO y Y n N true True TRUE false False oN tRUE \
    3.10 1.0 1.50 21.0 0.1 .5 5. -.5 +.5 1e3 1E3 1e+3 1e-3 12e03 1.5e300 1e400 1e20 1e21 1e22 -0 -0.0 +5 -5 0 00 010 -010 0o17 0O17 08 09 \
    0x1F 0X1f -0x10 0b11 -0b11 0B11 1_000 1__0 1_ -_1 _1 0x_1F 0_7 1:30 190:20:30 1.2.3 1.2.3.4 2001-12-14 2001-12-14T21:59:43.10-05:00 \
    2001-12-14t21:59:43Z 9007199254740993 9223372036854775807 -9223372036854775808 9223372036854775808 18446744073709551615 \
    18446744073709551616 1234567890123456768.0 0.1234567890123456789 123456789012345678901234567890 0x 0xg 0b2 + . .. ... e3 1e 1e+ .e3 \
    +-5 --5 1,000 1/2 ~ null Null NULL nULL !!str~5 !!int~\"5\" !!float~5 !!bool~yes !!str~on !mine~7 'on' \"3.10\" \"\\x41\\u00e9\\n\" 'it''s' \
    [on,3.10] {on:~on,a:~010} {\"a\":\"on\"} [] {} text with:colon a#b http://x/y a*b <<";

/// Values that need more than one word.
const TEXTS: &[&str] = &[
    "a b c",
    "a # comment",
    "|\n      on\n      off",
    ">-\n      on\n      off",
    "|+\n      keep\n\n",
    "on\n      off",
    "'a\n\n      b'",
    "\"a\\\n      b\"",
    "[a,\n      b, ]",
    "\n      x: on\n      010: y\n      3.10: z\n      1e6: z\n      1234567.5: z\n      -0.00001: z\n      ~a: b\n      2001-01-01: c",
    "&anchor {p: on, q: 010}",
    "{<<: {p: 1, q: 2}, q: 3}",
    "{q: 3, <<: {p: 1, q: 2}}",
    "{<<: [{p: 1}, {p: 2, q: 2}]}",
    "{p: 1, p: 2}",
    "{\"p\": 1, 'p': 2}",
    "",
];

/// What kubectl or the API server refuse.
const REFUSED: &[&str] = &[
    "-",
    "? 1",
    ".inf",
    "-.INF",
    ".nan",
    "!!int on",
    "!!bool 5",
    "{~: 1}",
    "{null: 1}",
    "[a",
    "'a",
    "\"\\q\"",
    "*unknown",
    "&a [*a]",
    "{[a]: b}",
    "{<<: 1}",
    "a: b",
    "%x",
    "@x",
    "`x",
    "\tx: y",
];

fn manifest(tags: &str) -> String {
    format!(
        "apiVersion: hubtwin.dev/v1alpha1\nkind: DeviceTwin\nmetadata:\n  name: spelling\nspec:\n  hubRef: {{name: plant-hub}}\n  \
         tags:\n{tags}"
    )
}

/// By `create`, which sends all of it; `apply` without `--server-side` drops nulls from maps on the way.
async fn stored(cluster: &Cluster, text: &str) -> Result<Value, String> {
    let ran = cluster.kubectl_with(text, &["create", "--dry-run=server", "-o", "json", "-f", "-"]).await;
    if !ran.done {
        return Err(ran.stderr);
    }
    let object: Value = serde_json::from_str(&ran.stdout).expect("kubectl prints JSON");
    Ok(object["spec"]["tags"].clone())
}

fn ours(text: &str) -> Result<Value, String> {
    let (objects, troubles) = manifest::read(text);
    match troubles.first() {
        None => Ok(objects[0].node.value()["spec"]["tags"].clone()),
        Some(trouble) => Err(trouble.message.clone()),
    }
}

fn compare(theirs: &Value, ours: &Value) {
    let keys = |value: &Value| value.as_object().into_iter().flatten().map(|(key, _)| key.clone()).collect::<Vec<_>>();
    assert_eq!(keys(theirs), keys(ours));
    let different: Vec<String> = keys(theirs)
        .into_iter()
        .filter(|key| !equal(&theirs[key], &ours[key]) || theirs[key].is_i64() != ours[key].is_i64())
        .map(|key| format!("{key}: the server has {}, we read {}", theirs[&key], ours[&key]))
        .collect();
    assert!(different.is_empty(), "{different:#?}");
}

#[tokio::test]
async fn every_spelling_is_read_as_the_server_stores_it() {
    let cluster = Cluster::new().await;
    let words =
        SPELLINGS.split_whitespace().map(|word| if word == "~" { word.to_owned() } else { word.replace('~', " ") });
    let texts = TEXTS.iter().map(|text| (*text).to_owned());
    let tags: String = words.chain(texts).enumerate().map(|(n, text)| format!("    s{n:03}: {text}\n")).collect();
    let text = manifest(&tags);
    let theirs = stored(&cluster, &text).await.unwrap_or_else(|error| panic!("{error}\n{text}"));
    compare(&theirs, &ours(&text).unwrap_or_else(|error| panic!("{error}\n{text}")));
}

#[tokio::test]
async fn what_kubectl_refuses_is_refused() {
    let cluster = Cluster::new().await;
    let mut differs = Vec::new();
    for spelling in REFUSED {
        let text = manifest(&format!("    s: {spelling}\n"));
        match (stored(&cluster, &text).await, ours(&text)) {
            (Err(_), Err(_)) => {}
            (theirs, ours) => differs.push(format!("{spelling}: {theirs:?} but {ours:?}")),
        }
    }
    assert!(differs.is_empty(), "{differs:#?}");
}

#[tokio::test]
async fn json_is_read_as_the_server_stores_it() {
    let cluster = Cluster::new().await;
    let tags = json!({"a": 1.0, "b": "on", "c": 1e3, "d": "\u{7f}\u{85}é", "e": {"f": [3.10]}, "k".repeat(1500): 1});
    let object = json!({
        "apiVersion": "hubtwin.dev/v1alpha1", "kind": "DeviceTwin", "metadata": {"name": "spelling"},
        "spec": {"hubRef": {"name": "plant-hub"}, "tags": tags},
    });
    for text in [object.to_string(), serde_json::to_string_pretty(&object).expect("JSON is text").replace("  ", "\t")] {
        let theirs = stored(&cluster, &text).await.expect("kubectl takes it");
        compare(&theirs, &ours(&text).expect("we take it"));
    }
}

#[tokio::test]
async fn streams_are_cut_as_kubectl_cuts_them() {
    let cluster = Cluster::new().await;
    let twin = |name: &str| {
        format!(
            "apiVersion: hubtwin.dev/v1alpha1\nkind: DeviceTwin\nmetadata: {{name: {name}}}\nspec: {{hubRef: {{name: h}}}}\n"
        )
    };
    let item = |name: &str| format!("- metadata: {{name: {name}}}\n  spec: {{hubRef: {{name: h}}}}\n");
    let streams = [
        format!("# comment\n---\n---\n{}---   # next\r\n{}\n---\n", twin("a"), twin("b")),
        format!("{}...\n{}", twin("a"), twin("ignored")),
        format!(
            "apiVersion: v1\nkind: List\nitems:\n{}",
            item("a").replace("- ", "- apiVersion: hubtwin.dev/v1alpha1\n  kind: DeviceTwin\n  ")
        ),
        format!("apiVersion: hubtwin.dev/v1alpha1\nkind: DeviceTwinList\nitems:\n{}{}", item("a"), item("b")),
        format!("{{\"apiVersion\": \"v1\", \"kind\": \"List\", \"items\": []}}\n---\n{}", twin("a")),
    ];
    for stream in streams {
        let ran = cluster.kubectl_with(&stream, &["apply", "--dry-run=server", "-o", "name", "-f", "-"]).await;
        assert!(ran.done, "{ran:?}\n{stream}");
        let theirs: Vec<&str> =
            ran.stdout.lines().filter_map(|line| line.rsplit_once('/')).map(|(_, name)| name).collect();
        let (objects, _) = manifest::read(&stream);
        let ours: Vec<&str> = objects.iter().map(|object| object.name()).collect();
        assert_eq!(ours, theirs, "{stream}");
    }
    let torn = format!("{}--- {{}}\n{}", twin("a"), twin("b"));
    let ran = cluster.kubectl_with(&torn, &["apply", "--dry-run=server", "-o", "name", "-f", "-"]).await;
    assert!(!ran.done && manifest::read(&torn).1.len() == 1, "{ran:?}");
}
