//! Who somebody is, according to SkyCMS's own session: its cookie is passed on to two pages, one
//! that SkyCMS opens to administrators alone and one that it opens to editors too.

use std::collections::HashMap;
use std::sync::Arc;

use cookie::Cookie;
use parking_lot::Mutex;
use reqwest::StatusCode;
use reqwest::header::{self, HeaderMap, HeaderValue};
use reqwest::redirect::Policy;
use time::{Duration, OffsetDateTime};
use tokio::sync::Semaphore;
use url::Url;

use crate::clock::Clock;
use crate::config::{PublicUrl, SkyCmsConfig};
use crate::domain::session::Role;
use crate::store::{TokenHash, hash};

/// How long a check of a session counts.
const GOOD_FOR: Duration = Duration::minutes(1);
/// How long SkyCMS is left alone after it did not answer.
const PAUSE: Duration = Duration::seconds(5);
/// How long it may take, for both pages.
const TIMEOUT: std::time::Duration = std::time::Duration::from_secs(5);
/// How many sessions are asked about at once: of known users, and as many of strangers, who may
/// have made theirs up.
const AT_ONCE: usize = 8;
/// How long a user's session is still known as one after its check no longer counts.
const REMEMBERED: Duration = Duration::HOUR;
/// How many sessions are remembered.
const MAX_SESSIONS: usize = 4_096;
/// The longest cookies that are passed on, in bytes: as much as SkyCMS's own server takes.
const MAX_COOKIE_BYTES: usize = 32 << 10;

/// For the log.
const SEE: &str = "see SKYCMS_ADMIN_PAGE and SKYCMS_EDITOR_PAGE";

#[derive(Debug, thiserror::Error)]
#[error("SKYCMS_URL: {0}")]
pub struct NoClient(#[from] reqwest::Error);

/// What SkyCMS says about a session.
#[derive(Clone, Debug)]
pub(crate) enum SessionCheck {
    /// It opens the pages of this role.
    Valid(Role),
    /// It opens neither, and leads to this address: its sign-in, or “access denied”.
    Redirects(Url),
    /// It opens neither, and leads nowhere.
    Refused,
    /// It opens a page to somebody who shows no session, so that the page proves nothing.
    ProvesNothing,
    /// SkyCMS gave no usable answer.
    NoAnswer,
}

fn proves_nothing(page: &Url) -> SessionCheck {
    tracing::error!(%page, "SkyCMS shows this page to everybody, so it proves nothing: {SEE}");
    SessionCheck::ProvesNothing
}

/// The last check of a session.
#[derive(Debug)]
struct CachedCheck {
    check: SessionCheck,
    /// When it expires.
    until: OffsetDateTime,
    /// Whether the session opened a page when SkyCMS last answered.
    was_valid: bool,
}

impl CachedCheck {
    /// Not where it would count for longer than anything: the clock has been set back since.
    fn counts(&self, now: OffsetDateTime) -> bool {
        now < self.until && self.until - now <= GOOD_FOR
    }

    fn is_remembered(&self, now: OffsetDateTime) -> bool {
        let longer = if self.was_valid {
            REMEMBERED
        } else {
            Duration::ZERO
        };
        now < self.until + longer
    }
}

/// Whoever holds the lock asks; the others wait.
type Known = Arc<tokio::sync::Mutex<Option<CachedCheck>>>;

/// SkyCMS, and what it said about each session. Cookies themselves are not kept.
#[derive(Debug)]
pub struct SkyCms {
    config: SkyCmsConfig,
    public_host: String,
    http: reqwest::Client,
    clock: Clock,
    /// Places for sessions that are known to be users'.
    users: Semaphore,
    /// Places for all others, so that made-up sessions keep no user waiting.
    strangers: Semaphore,
    known: Mutex<HashMap<TokenHash, Known>>,
}

impl SkyCms {
    /// Connects to nothing yet.
    pub fn new(config: SkyCmsConfig, public: &PublicUrl, clock: Clock) -> Result<Self, NoClient> {
        let origin = Url::parse(&public.origin).ok();
        let host = origin.as_ref().and_then(Url::host_str).unwrap_or_default();
        // What a proxy on the public host says, so that SkyCMS takes the request for one to its own
        // site, and redirects neither to https:// nor to another tenant.
        let forwarded = [
            (
                "x-forwarded-proto",
                if public.is_https() { "https" } else { "http" },
            ),
            ("x-forwarded-host", host),
            ("x-origin-hostname", host),
        ];
        let headers = forwarded.into_iter().filter_map(|(name, value)| {
            let name = header::HeaderName::from_static(name);
            Some((name, HeaderValue::from_str(value).ok()?))
        });
        let http = reqwest::Client::builder()
            .user_agent(concat!("skycms-cdn/", env!("CARGO_PKG_VERSION")))
            .default_headers(headers.collect())
            // The cookie goes to this address, and nowhere else.
            .redirect(Policy::none())
            .no_proxy()
            .build()?;
        Ok(Self {
            public_host: host.to_owned(),
            config,
            http,
            clock,
            users: Semaphore::new(AT_ONCE),
            strangers: Semaphore::new(AT_ONCE),
            known: Mutex::default(),
        })
    }

    /// What SkyCMS says about the session of whoever sent these headers.
    pub(crate) async fn check_session(&self, headers: &HeaderMap) -> SessionCheck {
        let cookies = self.cookies(headers);
        let known = self.known(hash(&cookies));
        let mut known = known.lock().await;
        let now = self.clock.now();
        if let Some(cached) = &*known
            && cached.counts(now)
        {
            return cached.check.clone();
        }
        let was_valid = known.as_ref().is_some_and(|cached| cached.was_valid);
        let turns = if was_valid {
            &self.users
        } else {
            &self.strangers
        };
        let check = tokio::time::timeout(TIMEOUT, self.ask(&cookies, turns))
            .await
            .unwrap_or_else(|_| {
                tracing::warn!(skycms = %self.config.url,
                    "SkyCMS did not answer in time, so its users are not signed in here");
                SessionCheck::NoAnswer
            });
        let good_for = match check {
            SessionCheck::NoAnswer => PAUSE,
            _ => GOOD_FOR,
        };
        *known = Some(CachedCheck {
            until: now + good_for,
            was_valid: match check {
                SessionCheck::Valid(_) => true,
                SessionCheck::NoAnswer => was_valid,
                SessionCheck::Redirects(_)
                | SessionCheck::Refused
                | SessionCheck::ProvesNothing => false,
            },
            check: check.clone(),
        });
        check
    }

    /// SkyCMS's session among the cookies; empty: there is none. ASP.NET cuts a long one into
    /// pieces whose names end in `C1`, `C2` and so on.
    fn cookies(&self, headers: &HeaderMap) -> String {
        let is_of_session = |cookie: &Cookie<'_>| {
            let rest = cookie.name().strip_prefix(self.config.cookie.as_str());
            rest.is_some_and(|rest| {
                let piece = rest.strip_prefix('C').unwrap_or("none");
                rest.is_empty() || (!piece.is_empty() && piece.bytes().all(|b| b.is_ascii_digit()))
            })
        };
        let sent = headers.get_all(header::COOKIE).iter();
        let cookies: Vec<String> = sent
            // Those of other programs on the host may be in any characters.
            .flat_map(|value| Cookie::split_parse(String::from_utf8_lossy(value.as_bytes())))
            .filter_map(Result::ok)
            .filter(is_of_session)
            .map(|cookie| format!("{}={}", cookie.name(), cookie.value()))
            .collect();
        let mut cookies = cookies.join("; ");
        if cookies.len() > MAX_COOKIE_BYTES {
            cookies.clear();
        }
        cookies
    }

    fn known(&self, session: TokenHash) -> Known {
        let mut known = self.known.lock();
        if known.len() >= MAX_SESSIONS && !known.contains_key(&session) {
            let now = self.clock.now();
            // One that is locked is being asked about.
            let mut keep = |is_kept: fn(&CachedCheck, OffsetDateTime) -> bool| {
                known.retain(|_, known| {
                    known.try_lock().map_or(true, |known| {
                        known.as_ref().is_some_and(|cached| is_kept(cached, now))
                    })
                });
                known.len() < MAX_SESSIONS
            };
            // Nobody has so many users: somebody is making sessions up.
            if !keep(CachedCheck::is_remembered) && !keep(|cached, _| cached.was_valid) {
                known.clear();
            }
        }
        Arc::clone(known.entry(session).or_default())
    }

    async fn ask(&self, cookies: &str, turns: &Semaphore) -> SessionCheck {
        let Ok(_turn) = turns.acquire().await else {
            return SessionCheck::NoAnswer;
        };
        let pages = [
            (&self.config.admin_page, Role::Admin),
            (&self.config.editor_page, Role::Editor),
        ];
        let mut check = SessionCheck::Refused;
        for (page, role) in pages {
            check = self.open(page, role, cookies).await;
            match check {
                SessionCheck::Valid(_) if cookies.is_empty() => return proves_nothing(page),
                // Asked only now: the page may just have been opened to everybody.
                SessionCheck::Valid(_) => {
                    return match self.open(page, role, "").await {
                        SessionCheck::Valid(_) => proves_nothing(page),
                        SessionCheck::NoAnswer => SessionCheck::NoAnswer,
                        _ => check,
                    };
                }
                SessionCheck::NoAnswer => return check,
                _ => {}
            }
        }
        check
    }

    async fn open(&self, page: &Url, role: Role, cookies: &str) -> SessionCheck {
        let mut request = self.http.get(page.clone());
        if let Ok(mut value) = HeaderValue::from_str(cookies)
            && !cookies.is_empty()
        {
            value.set_sensitive(true);
            request = request.header(header::COOKIE, value);
        }
        let answer = match request.send().await {
            Ok(answer) => answer,
            Err(error) => {
                let cause = std::error::Error::source(&error).map(tracing::field::display);
                tracing::warn!(%error, cause,
                    "SkyCMS did not answer, so its users are not signed in here");
                return SessionCheck::NoAnswer;
            }
        };
        let status = answer.status();
        match status {
            StatusCode::OK => SessionCheck::Valid(role),
            status if status.is_redirection() => answer
                .headers()
                .get(header::LOCATION)
                .and_then(|location| page.join(location.to_str().ok()?).ok())
                .map_or(SessionCheck::Refused, SessionCheck::Redirects),
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => SessionCheck::Refused,
            status if status.is_client_error() => {
                tracing::warn!(%page, %status, "SkyCMS has no such page: {SEE}");
                SessionCheck::Refused
            }
            status => {
                tracing::warn!(%page, %status,
                    "SkyCMS gave no usable answer, so its users are not signed in here");
                SessionCheck::NoAnswer
            }
        }
    }

    /// Where to sign in to SkyCMS and go on to `next`, as a path on its public host. `leads` is
    /// where SkyCMS itself redirected to, with its own page as the way back.
    pub(crate) fn way_in(&self, leads: &Url, next: &str) -> String {
        let pages = [&self.config.admin_page, &self.config.editor_page];
        let host = leads.host_str();
        let is_skycms = host == self.config.url.host_str() || host == Some(&self.public_host);
        if !is_skycms || leads.path().starts_with("//") {
            // Only SkyCMS itself can send somebody to an identity provider.
            return self.config.editor_page.path().to_owned();
        }
        let mut way = leads.clone();
        if leads.query().is_some() {
            let pairs = leads.query_pairs().map(|(name, value)| {
                let is_way_back = pages.iter().any(|page| value == page.path());
                let value = if is_way_back { next.into() } else { value };
                (name, value)
            });
            let pairs: Vec<_> = pairs.collect();
            way.query_pairs_mut().clear().extend_pairs(pairs);
        }
        way[url::Position::BeforePath..url::Position::AfterQuery].to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn skycms() -> SkyCms {
        let page = |path: &str| format!("http://127.0.0.1:9{path}").parse().expect("a URL");
        let config = SkyCmsConfig {
            url: page(""),
            cookie: "CosmosAuthCookie".into(),
            admin_page: page("/admin"),
            editor_page: page("/editor"),
        };
        let public = PublicUrl::new(None, ([127, 0, 0, 1], 80).into());
        SkyCms::new(config, &public, Clock::system()).expect("a client")
    }

    #[test]
    fn a_check_counts_for_a_minute_whatever_becomes_of_the_clock() {
        let now = OffsetDateTime::UNIX_EPOCH;
        let cached = CachedCheck {
            check: SessionCheck::NoAnswer,
            until: now + GOOD_FOR,
            was_valid: false,
        };
        for (later, counts) in [
            (Duration::ZERO, true),
            (GOOD_FOR - Duration::SECOND, true),
            (GOOD_FOR, false),
            (-Duration::HOUR, false),
        ] {
            assert_eq!(cached.counts(now + later), counts, "{later}");
        }
    }

    #[tokio::test]
    async fn made_up_sessions_are_forgotten() {
        let skycms = skycms();
        let counted = || skycms.known.lock().len();
        let asked = skycms.known(hash("somebody"));
        let _asking = asked.lock().await;
        for session in 0..MAX_SESSIONS + 10 {
            skycms.known(hash(&session.to_string()));
            assert!(counted() <= MAX_SESSIONS);
        }
        // Whoever is being asked about is not asked about twice.
        assert!(Arc::ptr_eq(&asked, &skycms.known(hash("somebody"))));
    }

    #[tokio::test]
    async fn made_up_sessions_push_no_user_out() {
        let skycms = skycms();
        let now = skycms.clock.now();
        let cache = async |session: &str, check: SessionCheck| {
            let known = skycms.known(hash(session));
            *known.lock().await = Some(CachedCheck {
                until: now + GOOD_FOR,
                was_valid: matches!(check, SessionCheck::Valid(_)),
                check,
            });
            known
        };
        let user = cache("a user", SessionCheck::Valid(Role::Editor)).await;
        for session in 0..MAX_SESSIONS + 10 {
            cache(&session.to_string(), SessionCheck::Refused).await;
        }
        assert!(Arc::ptr_eq(&user, &skycms.known(hash("a user"))));
    }
}
