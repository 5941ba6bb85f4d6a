//! Each way a call can end.

use time::macros::datetime;
use tokio::net::TcpListener;

use super::*;
use crate::domain::AwsError;
use crate::domain::table::rows;

#[tokio::test]
async fn an_accepted_invalidation_has_its_id() {
    for (state, completed) in [("InProgress", false), ("Completed", true)] {
        let accepted = CreateOutcome::Accepted {
            id: "I2J0I21PCUYOIK".parse().unwrap(),
            completed,
            created_at: Some(datetime!(2026-11-23 12:00 UTC)),
            request_id: Some("7f9b2c1e".into()),
        };
        assert_eq!(create(invalidation(201, state)).await, accepted);
    }
}

#[tokio::test]
async fn each_error_of_a_create_has_its_meaning() {
    for [status, code, message, meaning] in rows(
        "403 | AccessDenied | User: x is not authorized | settings_rejected
         403 | InvalidClientTokenId | The security token is invalid. | settings_rejected
         403 | SignatureDoesNotMatch | It does not match. | settings_rejected
         403 | ExpiredToken | | settings_rejected
         403 | ExpiredTokenException | | settings_rejected
         403 | MissingAuthenticationToken | | settings_rejected
         404 | NoSuchDistribution | | settings_rejected
         404 | EntityNotFound | | settings_rejected
         400 | InvalidArgument | One path is bad. | batch_refused
         400 | InvalidArgument | Your request contains a caller reference that was used for a previous invalidation batch for the same distribution. | already_used
         409 | InvalidationBatchAlreadyExists | | already_used
         400 | InvalidationBatchAlreadyExists | | already_used
         400 | MissingBody | | batch_refused
         400 | InconsistentQuantities | | batch_refused
         400 | MalformedInput | | batch_refused
         413 | BatchTooLarge | | batch_too_large
         400 | TooManyInvalidationsInProgress | | quota_full
         400 | LimitExceededException | | quota_full
         402 | ServiceQuotaExceededException | | quota_full
         503 | RequestLimitExceeded | | throttled
         400 | Throttling | Rate exceeded | throttled
         429 | TooManyRequestsException | | throttled
         503 | ServiceUnavailable | | unknown
         500 | InternalError | | unknown",
    ) {
        let status = status.parse().unwrap();
        let outcome = create(error(status, code, message)).await;
        assert_eq!(outcome.into_str(), meaning, "{code}: {outcome:?}");
        let said = outcome.error().unwrap();
        assert_eq!((said.code.as_str(), said.message.as_str()), (code, message));
        assert_eq!(said.request_id.as_deref(), Some("7f9b2c1e"));
        assert_eq!(said.http_status, Some(status));
    }
}

#[tokio::test]
async fn each_error_of_a_get_has_its_meaning() {
    for (status, code, meaning) in [
        (403, "AccessDenied", "settings_rejected"),
        (403, "InvalidClientTokenId", "settings_rejected"),
        (404, "NoSuchDistribution", "settings_rejected"),
        (404, "EntityNotFound", "settings_rejected"),
        (404, "NoSuchInvalidation", "gone"),
        (404, "NotFound", "try_later"),
        (400, "Throttling", "try_later"),
        (400, "InvalidArgument", "try_later"),
        (503, "ServiceUnavailable", "try_later"),
    ] {
        let outcome = get(error(status, code, "")).await;
        assert_eq!(outcome.into_str(), meaning, "{code}: {outcome:?}");
    }
    for reply in [
        Reply::Close,
        Reply::Reset,
        Reply::http(200, ""),
        Reply::http(200, "garbage"),
        Reply::http(502, ""),
    ] {
        let outcome = get(reply).await;
        assert_eq!(outcome.into_str(), "try_later", "{outcome:?}");
    }
}

#[tokio::test]
async fn only_completed_is_completed() {
    assert_eq!(
        get(invalidation(200, "Completed")).await,
        GetOutcome::Completed {
            request_id: Some("7f9b2c1e".into())
        }
    );
    for state in ["InProgress", "completed", "Cancelled", ""] {
        assert_eq!(
            get(invalidation(200, state)).await,
            GetOutcome::InProgress {
                request_id: Some("7f9b2c1e".into())
            },
            "{state}"
        );
    }
}

#[tokio::test]
async fn an_answer_that_is_lost_or_has_no_id_leaves_it_open() {
    let cut = b"HTTP/1.1 201 Created\r\nContent-Length: 900\r\n\r\n<Invalidation><Id>I2J0".to_vec();
    for (reply, code, status) in [
        (Reply::Close, AwsError::CONNECTION_CLOSED, None),
        (Reply::Reset, AwsError::CONNECTION_CLOSED, None),
        (
            Reply::Bytes(b"not HTTP at all".to_vec()),
            AwsError::CONNECTION_CLOSED,
            None,
        ),
        (Reply::Bytes(cut), AwsError::CONNECTION_CLOSED, None),
        (Reply::http(201, ""), AwsError::UNREADABLE_ANSWER, None),
        (
            Reply::http(201, "<html>Welcome to the hotel</html>"),
            AwsError::UNREADABLE_ANSWER,
            Some(201),
        ),
        (
            Reply::http(201, "}}garbage{{"),
            AwsError::UNREADABLE_ANSWER,
            Some(201),
        ),
        (
            Reply::http(502, "<html>Bad gateway</html>"),
            "Http502",
            Some(502),
        ),
        (Reply::http(504, ""), "Http504", Some(504)),
        (
            Reply::http(404, "<html>Not here</html>"),
            "Http404",
            Some(404),
        ),
    ] {
        let outcome = create(reply).await;
        let CreateOutcome::Unknown(error) = outcome else {
            unreachable!("{outcome:?}")
        };
        assert_eq!(error.code, code, "{error:?}");
        assert!(!error.message.is_empty());
        if status.is_some() {
            assert_eq!(error.http_status, status);
        }
    }
}

#[tokio::test]
async fn silence_leaves_it_open() {
    let server = Canned::start(vec![Reply::Hang, Reply::Hang]).await;
    let (silent, settings) = (impatient(&server.endpoint), settings());
    let created = silent.create_invalidation(&settings, &batch(), None).await;
    let (distribution, id) = (&settings.distribution_id, "I2J0I21PCUYOIK".parse().unwrap());
    let got = silent.get_invalidation(&settings, distribution, &id).await;
    for (outcome, error, left) in [
        (created.into_str(), created.error(), "unknown"),
        (got.into_str(), got.error(), "try_later"),
    ] {
        assert_eq!(outcome, left, "{error:?}");
        assert_eq!(error.unwrap().code, AwsError::TIMEOUT);
    }
}

#[tokio::test]
async fn a_request_that_never_left_is_known_not_to_have() {
    let port = TcpListener::bind("127.0.0.1:0")
        .await
        .unwrap()
        .local_addr()
        .unwrap();
    for (endpoint, code, words) in [
        (
            format!("http://{port}"),
            AwsError::UNREACHABLE,
            "tcp connect error: Connection refused",
        ),
        (
            "http://no-such-host.invalid".to_owned(),
            AwsError::NO_ADDRESS,
            "dns error: ",
        ),
    ] {
        let outcome = create_at(&endpoint, &settings()).await;
        let CreateOutcome::NotSent(error) = outcome else {
            unreachable!("{outcome:?}")
        };
        assert_eq!(error.code, code, "{error:?}");
        assert!(error.message.starts_with(words), "{error:?}");
    }
}

#[tokio::test]
async fn who_refuses_without_a_code_of_aws_says_nothing_about_the_settings() {
    for (status, code) in [(401, "Http401"), (403, "Http403"), (407, "Http407")] {
        let page = "<html>Blocked by your administrator</html>";
        let outcome = create(Reply::http(status, page)).await;
        assert_eq!(outcome.into_str(), "unknown", "{outcome:?}");
        assert_eq!(outcome.error().unwrap().code, code);
        let outcome = get(Reply::http(status, page)).await;
        assert_eq!(outcome.into_str(), "try_later", "{outcome:?}");
    }
}

#[tokio::test]
async fn the_sdk_tries_once() {
    let server = Canned::start(vec![error(503, "ServiceUnavailable", "")]).await;
    create_at(&server.endpoint, &settings()).await;
    assert_eq!(server.requests().len(), 1);
}

#[tokio::test]
async fn what_answers_in_its_place_is_kept_short_and_clean() {
    let long = "x".repeat(5_000);
    let outcome = create(error(
        400,
        &format!("Bad&#1;Code{long}"),
        &format!("a&#27;[31m {long}"),
    ))
    .await;
    let said = outcome.error().unwrap();
    for text in [&said.code, &said.message] {
        assert!(text.len() <= 1_024, "{} bytes", text.len());
        assert!(!text.chars().any(char::is_control), "{text:?}");
    }
}

#[tokio::test]
async fn an_answer_without_end_is_not_read() {
    let filler = "<!-- -->".repeat(2_000_000);
    let long = format!(
        "<Invalidation>{filler}<Id>I2J0I21PCUYOIK</Id><Status>InProgress</Status></Invalidation>"
    );
    let outcome = create(Reply::http(201, &long)).await;
    assert_eq!(outcome.into_str(), "unknown", "{outcome:?}");
    let said = &outcome.error().unwrap().message;
    assert!(said.contains("length limit"), "{said}");
}
