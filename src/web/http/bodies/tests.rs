use std::convert::Infallible;
use std::net::IpAddr;

use tokio_util::sync::CancellationToken;

use super::pool::{CLIENT_TIMEOUT, MAX_BYTES};
use super::received::PIECE;
use super::*;
use crate::store::SiteId;
use crate::web::http::authenticated::AuthenticatedSite;

fn owner(address: u8, is_authenticated: bool) -> Owner {
    let authenticated = AuthenticatedSite::default();
    if is_authenticated {
        authenticated.mark(SiteId(1));
    }
    Owner {
        address: IpAddr::from([192, 0, 2, address]),
        authenticated,
        cut: CancellationToken::new(),
    }
}

#[tokio::test]
async fn what_is_in_memory_is_bounded_and_given_back() {
    let bodies = Bodies::default();
    let share = || bodies.share(owner(1, true));
    let (first, second, small) = (share(), share(), share());
    assert!(first.take(SMALL + MAX_BYTES - 10).is_ok());
    assert!(second.take(SMALL + 10).is_ok() && second.take(1).is_err());
    assert!(small.take(SMALL).is_ok(), "a small one always has room");
    drop((second, small));
    assert!(first.take(10).is_ok());
    first.give_back();
    let last = share();
    assert!(last.take(SMALL + MAX_BYTES).is_ok());
    drop(first);
    assert_eq!(bodies.0.lock().counted, MAX_BYTES, "it is given back once");
}

/// As many as fill it, the first of them the oldest.
fn fill(bodies: &Bodies, of: impl Fn(usize) -> Owner) -> Vec<(Share, CancellationToken)> {
    let fill = |n| {
        let owner = of(n);
        let cut = owner.cut.clone();
        let share = bodies.share(owner);
        assert!(share.take(SMALL + MAX_BYTES / 8).is_ok());
        (share, cut)
    };
    (0..8).map(fill).collect()
}

fn cut(bodies: &[(Share, CancellationToken)]) -> Vec<usize> {
    let is_cut = |n: &usize| bodies.get(*n).is_some_and(|(_, cut)| cut.is_cancelled());
    (0..bodies.len()).filter(is_cut).collect()
}

#[tokio::test]
async fn whoever_holds_most_gives_way_to_other_addresses_and_when_slow_to_its_own() {
    let bodies = Bodies::default();
    let filled = fill(&bodies, |n| owner(if n == 0 { 1 } else { 2 }, true));
    let (other, own) = (bodies.share(owner(3, true)), bodies.share(owner(2, true)));
    assert!(other.take(SMALL + 1).is_ok());
    assert_eq!(cut(&filled), [1], "the oldest of the second address");
    assert!(own.take(SMALL + MAX_BYTES / 8).is_err());
    drop(own);
    for body in bodies.0.lock().bodies.values_mut() {
        body.since -= CLIENT_TIMEOUT;
    }
    let own = bodies.share(owner(2, true));
    assert!(own.take(SMALL + MAX_BYTES / 8).is_ok());
    assert_eq!(cut(&filled), [1, 2]);
    let first_cut = filled.get(1);
    assert!(first_cut.is_some_and(|(share, _)| share.take(1).is_err()));
}

#[tokio::test]
async fn what_has_come_stays_and_strangers_give_way_to_a_token() {
    let bodies = Bodies::default();
    // Many addresses, each with less than the publisher has.
    let strangers = fill(&bodies, |n| {
        owner(u8::try_from(n).unwrap_or_default(), false)
    });
    let publisher = bodies.share(owner(100, true));
    assert!(publisher.take(SMALL + MAX_BYTES / 2).is_ok());
    assert_eq!(cut(&strangers), [0, 1, 2, 3]);
    let stranger = bodies.share(owner(101, false));
    for (share, _) in &strangers {
        share.stop_waiting();
    }
    assert!(stranger.take(SMALL + 1).is_err());
    assert_eq!(cut(&strangers), [0, 1, 2, 3], "they are being answered");
}

#[tokio::test]
async fn who_holds_all_by_a_token_holds_up_nobody_for_long() {
    let bodies = Bodies::default();
    let filled = fill(&bodies, |_| owner(1, true));
    let signed = bodies.share(owner(2, false));
    assert!(signed.take(SMALL + 1).is_err());
    drop(signed);
    for body in bodies.0.lock().bodies.values_mut() {
        body.since -= CLIENT_TIMEOUT;
    }
    let signed = bodies.share(owner(2, false));
    assert!(signed.take(SMALL + 1).is_ok());
    assert_eq!(cut(&filled), [0]);
}

#[tokio::test]
async fn what_comes_byte_by_byte_is_gathered() {
    let bytes: Vec<u8> = (0..=255).cycle().take(PIECE + 100).collect();
    let frames = bytes
        .clone()
        .into_iter()
        .map(|byte| Ok::<_, Infallible>(vec![byte]));
    let bodies = Bodies::default();
    let receiving = |body: Body| {
        let share = bodies.receiving(&body, &owner(1, false));
        (Received::new(body, share.clone()), share)
    };
    let body = Body::from_stream(futures_util::stream::iter(frames));
    let (mut body, share) = receiving(body);
    let (mut pieces, mut came) = (0, Vec::new());
    while let Some(Ok(frame)) = body.frame().await {
        pieces += 1;
        came.extend(frame.into_data().unwrap_or_default());
    }
    assert_eq!((pieces, came), (2, bytes));
    assert!(share.is_some_and(|share| {
        let pool = bodies.0.lock();
        let body = pool.bodies.get(&share.number);
        body.is_some_and(|body| body.bytes == PIECE + 100 && !body.waits)
    }));
    let (mut whole, share) = receiving(Body::from("whole"));
    assert!(whole.frame().await.is_some() && whole.is_end_stream() && share.is_none());
}

#[tokio::test]
async fn an_answer_counts_until_it_has_gone() {
    let bodies = Bodies::default();
    let mut body = bodies.sending(Body::from(vec![0; SMALL + 10]), owner(1, false));
    assert_eq!(bodies.0.lock().counted, 0);
    let frame = body.frame().await.and_then(Result::ok);
    drop(body);
    assert_eq!(bodies.0.lock().counted, 10);
    drop(frame);
    assert_eq!(bodies.0.lock().counted, 0);
}
