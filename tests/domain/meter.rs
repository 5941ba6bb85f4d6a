//! What paths cost.

use skycms_cdn::domain::meter::{MicroUsd, Prices, projected_paths};
use time::macros::datetime;

#[test]
fn free_paths_come_first() {
    let prices = Prices::default();
    assert_eq!(prices.cost(0, 1_000), MicroUsd(0));
    assert_eq!(prices.cost(999, 2), MicroUsd(5_000));
    assert_eq!(prices.cost(5_000, 3), MicroUsd(15_000));
    assert_eq!(
        (
            prices.free_left(0),
            prices.free_left(999),
            prices.free_left(2_000)
        ),
        (1_000, 1, 0)
    );
    assert_eq!(prices.cost(u64::MAX, u64::MAX), MicroUsd(u64::MAX));
}

#[test]
fn amounts_read_as_dollars() {
    let read = |micros| MicroUsd(micros).to_string();
    assert_eq!(
        [0, 5_000, 12_500_000, 1, 1_000_000].map(read),
        ["0.00", "0.005", "12.50", "0.000001", "1.00"]
    );
}

#[test]
fn amounts_are_read_exactly() {
    for amount in ["0.00", "0.005", "12.50", "0.000001"] {
        assert_eq!(amount.parse::<MicroUsd>().unwrap().to_string(), amount);
    }
    assert_eq!("3".parse(), Ok(MicroUsd(3_000_000)));
    for nonsense in [
        "",
        ".",
        "1.",
        ".5",
        "-1",
        "+1",
        "0.0000001",
        "1e3",
        "0,005",
        "99999999999999999999",
    ] {
        assert!(nonsense.parse::<MicroUsd>().is_err(), "{nonsense}");
    }
}

#[test]
fn projection_goes_on_as_the_month_began() {
    assert_eq!(projected_paths(100, datetime!(2026-11-16 00:00 UTC)), 200);
    assert_eq!(
        projected_paths(100, datetime!(2026-11-01 00:05 UTC)),
        3_000,
        "the first minutes count as a day"
    );
    assert_eq!(
        projected_paths(29, datetime!(2028-02-29 23:59:59 UTC)),
        30,
        "rounded up"
    );
    assert_eq!(projected_paths(0, datetime!(2026-11-16 00:00 UTC)), 0);
    assert_eq!(
        projected_paths(100, datetime!(2026-12-01 01:00 +2)),
        101,
        "still November in UTC"
    );
    assert_eq!(
        projected_paths(u64::MAX, datetime!(2026-11-02 00:00 UTC)),
        u64::MAX
    );
}
