//! SAS tokens: what the client side mints verifies, and nothing else does.

use super::draw::Draw;
use crate::local_hub::auth::{self, Denied, Names, Permission, Policy};
use crate::sas::Key;

/// Before this moment a token is fresh.
const NOW: i64 = 1_790_000_000;
const HOST: &str = "hub.example";

/// The first byte says whether the rest is a token as it stands, or choices for one that is signed and then damaged.
pub fn sas(bytes: &[u8]) {
    let Some((first, rest)) = bytes.split_first() else { return };
    if first % 2 == 0 {
        let text = String::from_utf8_lossy(rest);
        assert!(check(&text).is_err(), "{text:?} verifies, but nobody signed it");
    } else {
        damaged(rest);
    }
}

fn keys() -> impl FnMut() -> String {
    let mut next = 0_u8;
    move || {
        next += 1;
        Key::parse("QUJDREVGRw==").map(|_| base64_of(next)).expect("a key")
    }
}

/// A key that is another one for each number.
fn base64_of(number: u8) -> String {
    const LETTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ";
    let letter = char::from(LETTERS[usize::from(number) % LETTERS.len()]);
    letter.to_string().repeat(44)
}

fn check(token: &str) -> Result<String, Denied> {
    let policies = Policy::all(keys());
    let names = Names::new([HOST.to_owned()]);
    let path = ["twins", "d-1"];
    auth::service(token, &names, &policies, Permission::ServiceConnect, &path, NOW).map(str::to_owned)
}

/// Signs a token, which verifies where it should; changes it, after which it verifies only if it still says the same.
fn damaged(bytes: &[u8]) {
    let mut draw = Draw::new(bytes);
    let policies = Policy::all(keys());
    let policy = draw.one_of(&policies).clone();
    let resources = [
        HOST,
        "HUB.example",
        "hub.example:443",
        "hub.example/twins",
        "hub.example/twins/D-1",
        "hub.exampl",
        "hub.example/devices",
        "hub.example/twins/d-1/more",
        "",
        "hub.example/",
    ];
    let resource_number = draw.below(resources.len());
    let resource = resources[resource_number];
    let expiry = *draw.one_of(&[NOW + 1, NOW, NOW - 1, 0, i64::MAX]);
    let key = Key::parse(draw.one_of::<String>(&policy.keys)).expect("policies have keys");
    let signed = key.sign(resource, Some(&policy.name), u64::try_from(expiry).expect("it is positive"));
    let text = signed.expose();
    let covers = !matches!(resource_number, 5..=8);
    let good = covers && expiry > NOW && policy.allows(Permission::ServiceConnect);
    assert_eq!(check(text).is_ok(), good, "{resource} {expiry} {}", policy.name);

    let mut changed = text.as_bytes().to_vec();
    for _ in 0..draw.below(4) {
        let at = usize::from(draw.byte()) % changed.len();
        match draw.byte() % 3 {
            0 => changed[at] = draw.byte(),
            1 => changed.insert(at, draw.byte()),
            _ => drop(changed.remove(at)),
        }
    }
    let changed = String::from_utf8_lossy(&changed);
    if check(&changed).is_ok() {
        assert!(good, "{changed:?} verifies, {text:?} does not");
        let same = auth::Token::parse(&changed) == auth::Token::parse(text);
        assert!(same, "{changed:?} verifies and says something else than {text:?}");
    }
}
