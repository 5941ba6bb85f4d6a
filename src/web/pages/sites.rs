//! Sites: made, renamed and removed by who has a password here. Whoever has only one never gets
//! here.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde::Deserialize;

use crate::admin::sites::{self, SiteError};
use crate::domain::{DEFAULT_SITE, SiteName};
use crate::store::{Site, SiteId};
use crate::web::AppState;
use crate::web::http::extract::{Form, Path, Query};
use crate::web::pages::audit::{self, Deed};
use crate::web::pages::auth::session::SignedIn;
use crate::web::pages::settings::{Confirmation, refresh};
use crate::web::pages::views::{ConfirmPage, Field, Flash, Nav, SiteRow, SitesPage};
use crate::web::pages::words::sites as words;
use crate::web::pages::{PageError, PageFailure, PageResult, Reader, html, path_of};

/// What was just done, told once after a redirect.
#[derive(Deserialize)]
pub(crate) struct Notice {
    done: Option<String>,
}

/// The site in the address.
#[derive(Deserialize)]
pub(crate) struct Named {
    site: String,
}

/// The name of a new site, or a site's new name.
#[derive(Deserialize)]
pub(crate) struct NewName {
    #[serde(default)]
    name: String,
}

/// What the page shows besides the sites.
#[derive(Default)]
struct Shown {
    flash: Option<Flash>,
    /// The name that was typed for a new site, and what is wrong with it.
    new: Field,
    /// The same for the new name of a site.
    renamed: Option<(String, Field)>,
}

/// `GET /sites`.
pub(crate) async fn show(
    State(state): State<AppState>,
    user: SignedIn,
    Query(notice): Query<Notice>,
) -> PageResult {
    must_manage(&state, &user)?;
    let told = notice.done.as_deref().and_then(words::done);
    let flash = told.map(|(severity, text)| Flash {
        severity,
        text: text.to_owned(),
    });
    let shown = Shown {
        flash,
        ..Shown::default()
    };
    respond(&state, &user, StatusCode::OK, shown)
}

/// `POST /sites`: makes a site, and leads to its settings.
pub(crate) async fn create(
    State(state): State<AppState>,
    user: SignedIn,
    Form(new): Form<NewName>,
) -> PageResult {
    must_manage(&state, &user)?;
    let refuse = |error: String| {
        let new = typed(&new.name, error);
        let shown = Shown {
            new,
            ..Shown::default()
        };
        respond(&state, &user, StatusCode::UNPROCESSABLE_ENTITY, shown)
    };
    let name: SiteName = match new.name.parse() {
        Ok(name) => name,
        Err(error) => return refuse(words::name(error)),
    };
    match sites::create(&state.store, &state.clock, &name).await {
        Ok(made) => {
            done(&state, &user, Deed::CreatedSite, made.id, name.to_string()).await?;
            Ok(Reader::of(&state, &user).see(&format!("/sites/{name}/settings/cdn?done=created")))
        }
        Err(SiteError::Store(error)) => Err(failed(&state, &user, error.into())),
        Err(error) => refuse(sentence(&error)),
    }
}

/// `POST /sites/{site}/rename`.
pub(crate) async fn rename(
    State(state): State<AppState>,
    user: SignedIn,
    Path(named): Path<Named>,
    Form(new): Form<NewName>,
) -> PageResult {
    must_manage(&state, &user)?;
    let old = name_of(&state, &user, &named)?;
    let refuse = |error: String| {
        let renamed = Some((old.to_string(), typed(&new.name, error)));
        let shown = Shown {
            renamed,
            ..Shown::default()
        };
        respond(&state, &user, StatusCode::UNPROCESSABLE_ENTITY, shown)
    };
    let name: SiteName = match new.name.parse() {
        Ok(name) => name,
        Err(error) => return refuse(words::name(error)),
    };
    match sites::rename(&state.store, &old, &name).await {
        Ok(site) => {
            let detail = words::renamed(&old, &name);
            done(&state, &user, Deed::RenamedSite, site, detail).await?;
            Ok(Reader::of(&state, &user).see("/sites?done=renamed"))
        }
        Err(SiteError::Store(error)) => Err(failed(&state, &user, error.into())),
        Err(SiteError::NoSuchSite(_) | SiteError::Default) => {
            Err(failed(&state, &user, PageError::NotFound))
        }
        Err(error) => refuse(sentence(&error)),
    }
}

/// `POST /sites/{site}/remove`: asks first, and says what goes.
pub(crate) async fn remove(
    State(state): State<AppState>,
    user: SignedIn,
    Path(named): Path<Named>,
    Form(answer): Form<Confirmation>,
) -> PageResult {
    must_manage(&state, &user)?;
    let name = name_of(&state, &user, &named)?;
    if name.as_str() == DEFAULT_SITE {
        return Err(failed(&state, &user, PageError::NotFound));
    }
    if !answer.is_given() {
        return confirm(&state, &user, &name);
    }
    match sites::remove(&state.store, &state.clock, &name).await {
        Ok(site) => {
            done(&state, &user, Deed::RemovedSite, site, name.to_string()).await?;
            Ok(Reader::of(&state, &user).see("/sites?done=removed"))
        }
        Err(SiteError::Store(error)) => Err(failed(&state, &user, error.into())),
        Err(_) => Err(failed(&state, &user, PageError::NotFound)),
    }
}

fn confirm(state: &AppState, user: &SignedIn, name: &SiteName) -> PageResult {
    let confirm = ConfirmPage {
        layout: Reader::of(state, user).layout(Nav::Sites),
        question: words::remove(name),
        path: format!("/sites/{name}/remove").into(),
        fields: vec![("confirmed", "yes".into())],
        cancel: "/sites",
    };
    html(StatusCode::OK, &confirm).map_err(|error| failed(state, user, error))
}

/// A site that is not there, or not for this user, was turned away before; here the name is one.
fn name_of(state: &AppState, user: &SignedIn, named: &Named) -> Result<SiteName, Box<PageFailure>> {
    named
        .site
        .parse()
        .map_err(|_| failed(state, user, PageError::NotFound))
}

fn must_manage(state: &AppState, user: &SignedIn) -> Result<(), Box<PageFailure>> {
    if user.session.manages_sites() {
        Ok(())
    } else {
        Err(failed(state, user, PageError::Forbidden))
    }
}

fn failed(state: &AppState, user: &SignedIn, error: PageError) -> Box<PageFailure> {
    PageFailure::of(state, Some(user), error)
}

fn typed(name: &str, error: String) -> Field {
    Field {
        value: name.trim().to_owned(),
        error: Some(error),
        note: None,
    }
}

/// As a sentence of its own.
fn sentence(error: &SiteError) -> String {
    let words = error.to_string();
    let mut letters = words.chars();
    let first = letters.next().map(|letter| letter.to_ascii_uppercase());
    first.into_iter().chain(letters).chain(['.']).collect()
}

async fn done(
    state: &AppState,
    user: &SignedIn,
    deed: Deed,
    site: SiteId,
    detail: String,
) -> Result<(), Box<PageFailure>> {
    refresh(state).await;
    audit::about(state, user, deed, Some(site), Some(detail)).await
}

fn respond(state: &AppState, user: &SignedIn, status: StatusCode, shown: Shown) -> PageResult {
    let mut layout = Reader::of(state, user).layout(Nav::Sites);
    layout.flash = shown.flash;
    let page = SitesPage {
        sites: state
            .directory
            .sites()
            .iter()
            .map(|site| row(site, shown.renamed.as_ref()))
            .collect(),
        new: shown.new,
        layout,
    };
    let answer: Result<Response, PageError> = html(status, &page);
    answer.map_err(|error| failed(state, user, error))
}

fn row(site: &Site, renamed: Option<&(String, Field)>) -> SiteRow {
    let renamed = renamed.filter(|(name, _)| *name == site.name);
    SiteRow {
        path: path_of(site),
        distribution_id: site.distribution_id.clone(),
        paused: site.pause.as_ref().map(|pause| pause.error.code.clone()),
        changeable: site.name != DEFAULT_SITE,
        new_name: renamed.map_or_else(|| Field::new(site.name.clone()), |(_, field)| field.clone()),
        name: site.name.clone(),
    }
}
