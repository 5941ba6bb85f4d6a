//! Guessing passwords.

use crate::support::{PASSWORD, Service};

/// 10,000 tries: from the owner's own address, and from a hundred others.
#[tokio::test]
async fn an_attack_leaves_the_owner_able_to_sign_in() {
    let service = Service::start().await;
    let mut owner = service.browser();
    assert_eq!(owner.sign_in(PASSWORD).await.status, 303);
    owner.post("/sign-out", &[]).await;

    let (mut looked_at, mut refused) = (0, 0);
    let mut count = |status| match status {
        401 => looked_at += 1,
        429 => refused += 1,
        other => panic!("{other}"),
    };
    let mut neighbour = service.browser();
    for _ in 0..9_000 {
        count(neighbour.sign_in("a guess, and a bad one").await.status);
    }
    for bot in 0..100 {
        let mut bot = service.browser_at(&format!("198.51.100.{bot}"));
        for _ in 0..10 {
            count(bot.sign_in("a guess, and a bad one").await.status);
        }
    }
    assert_eq!(looked_at + refused, 10_000);
    assert!(looked_at < 200, "{looked_at} guesses were looked at");

    // Even the right password is refused where too many wrong ones came from…
    let answer = neighbour.sign_in(PASSWORD).await;
    assert_eq!(answer.status, 429);
    assert!(
        answer
            .header("retry-after")
            .unwrap()
            .parse::<u32>()
            .unwrap()
            <= 300
    );
    // …but not from the owner's browser, at the same address, nor from a new one elsewhere.
    assert_eq!(owner.sign_in(PASSWORD).await.status, 303);
    let mut elsewhere = service.browser_at("203.0.113.77");
    assert_eq!(elsewhere.sign_in(PASSWORD).await.status, 303);
    // And the neighbours of the attacker are held up for minutes only.
    service.time.advance(time::Duration::minutes(5));
    assert_eq!(neighbour.sign_in(PASSWORD).await.status, 303);
}

#[tokio::test]
async fn a_forged_device_cookie_is_no_help() {
    let service = Service::start().await;
    let mut attacker = service.browser();
    for n in 0..50 {
        attacker
            .cookies
            .insert("skycms-cdn-device".into(), format!("forged-{n}"));
        attacker.sign_in("a guess, and a bad one").await;
    }
    let answer = attacker.sign_in("a guess, and a bad one").await;
    assert_eq!(answer.status, 429);
}

#[tokio::test]
async fn a_stolen_device_cookie_is_slowed_down_too() {
    let service = Service::start().await;
    let mut owner = service.browser();
    owner.sign_in(PASSWORD).await;
    let mut thief = service.browser_at("198.51.100.9");
    let device = owner.cookies["skycms-cdn-device"].clone();
    thief.cookies.insert("skycms-cdn-device".into(), device);
    for _ in 0..5 {
        assert_eq!(thief.sign_in("a guess, and a bad one").await.status, 401);
    }
    assert_eq!(thief.sign_in(PASSWORD).await.status, 429);
}

#[tokio::test]
async fn addresses_are_counted_behind_a_trusted_proxy_only() {
    let service = Service::start_with(&[("TRUSTED_PROXIES", "10.0.0.0/8")]).await;
    let fields = [
        ("username", "admin"),
        ("password", "a guess, and a bad one"),
    ];
    for proxy in ["10.1.2.3", "192.0.2.1"] {
        let mut last = 0;
        for n in 0..6 {
            let forwarded = format!("203.0.113.{n}");
            let headers = [("x-forwarded-for", forwarded.as_str())];
            let mut browser = service.browser_at(proxy);
            last = browser
                .post_with("/sign-in", &headers, &fields)
                .await
                .status;
        }
        let expected = if proxy == "10.1.2.3" { 401 } else { 429 };
        assert_eq!(last, expected, "{proxy}");
    }
}
