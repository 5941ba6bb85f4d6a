//! Creating, renaming and removing sites, which only users with a password may do. With a
//! single site, only a link in its settings leads here.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::response::Response;
use serde::Deserialize;

use crate::admin::sites::{self, SiteError};
use crate::domain::{AuditAction, DEFAULT_SITE, SiteName};
use crate::store::{Site, SiteId};
use crate::web::http::error::{Error, Result};
use crate::web::http::extract::{Form, Path, Query};
use crate::web::pages::layout::path_of;
use crate::web::pages::once::{Button, Ending, OnceKey};
use crate::web::pages::views::{ConfirmPage, Field, ListPage, Nav, PAGE_SIZE, SiteRow, SitesPage};
use crate::web::pages::visit::{Visitor, html, not_accepted};
use crate::web::pages::words::{Question, sites as words};
use crate::web::state::AppState;

#[derive(Deserialize)]
pub(crate) struct PageQuery {
    /// The page of the list, counted from 1.
    sites: Option<usize>,
}

/// A site that may be gone, when somebody presses twice. Where an address names a `{site}`, the
/// sign-in answers that already.
#[derive(Deserialize)]
pub(crate) struct SitePath {
    name: SiteName,
}

impl SitePath {
    /// The name, unless it is that of the default site, which keeps it and stays.
    fn changeable(self) -> Result<SiteName> {
        let is_default = self.name.as_str() == DEFAULT_SITE;
        (!is_default).then_some(self.name).ok_or(Error::NotFound)
    }
}

/// The name of a new site, or a site's new name.
#[derive(Deserialize)]
pub(crate) struct NewName {
    #[serde(default)]
    name: String,
    confirmed: Option<String>,
    #[serde(default)]
    once: OnceKey,
}

impl NewName {
    fn refused(&self, error: String) -> Field {
        Field::typed(self.name.trim(), Some(error))
    }
}

/// Somebody who may create, rename and remove sites.
pub(crate) struct Manager(Visitor);

impl FromRequestParts<AppState> for Manager {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self> {
        let visitor = Visitor::from_request_parts(parts, state).await?;
        if visitor.user.session.manages_sites() {
            Ok(Self(visitor))
        } else {
            Err(Error::Forbidden)
        }
    }
}

impl Manager {
    fn site(&self, name: &SiteName) -> Result<Arc<Site>> {
        let site = self.0.state.directory.site(name.as_str());
        site.ok_or(Error::NotFound)
    }

    fn ask(
        &self,
        question: Question,
        path: String,
        fields: Vec<(&'static str, String)>,
    ) -> Result<Response> {
        html(&ConfirmPage {
            layout: self.0.layout(Nav::Sites),
            question,
            path: path.into(),
            fields,
            cancel: Some("/sites"),
        })
    }
}

impl From<SiteError> for Error {
    fn from(error: SiteError) -> Self {
        match error {
            SiteError::Store(error) => error.into(),
            SiteError::NoSuchSite(_) | SiteError::Default => Self::NotFound,
            SiteError::NameTaken(_) => Self::BadRequest(error.to_string()),
        }
    }
}

/// `GET /sites`.
pub(crate) async fn show(manager: Manager, Query(query): Query<PageQuery>) -> Result<Response> {
    html(&page(&manager, query.sites, Field::default(), None))
}

/// `POST /sites`: creates a site and leads to its settings.
pub(crate) async fn create(manager: Manager, Form(new): Form<NewName>) -> Result<Response> {
    let state = &manager.0.state;
    let refuse = |error: String| not_accepted(page(&manager, None, new.refused(error), None));
    let name: SiteName = match new.name.parse() {
        Ok(name) => name,
        Err(error) => return refuse(words::name(error)),
    };
    let form = new.once.form(state, &["site", name.as_str()]);
    match sites::create(&state.store, &state.clock, &name, Some(&form)).await {
        Err(error @ SiteError::NameTaken(_)) => {
            let earlier = state.store.form_answer(&form, state.clock.now()).await?;
            if earlier.is_none() {
                return refuse(sentence(&error));
            }
            // The first press may not have got that far yet.
            state.refresh_sites().await;
        }
        made => {
            let detail = name.to_string();
            done(&manager, AuditAction::CreatedSite, made?.id, detail).await;
        }
    }
    let settings = format!("/sites/{name}/settings/cdn?done=created");
    Ok(manager.0.see(&settings))
}

/// `POST /sites/{name}/rename`: asks first.
pub(crate) async fn rename(
    manager: Manager,
    Path(path): Path<SitePath>,
    Form(new): Form<NewName>,
) -> Result<Response> {
    let state = &manager.0.state;
    let old = path.changeable()?;
    let refuse = |error: String| {
        // Beside the name that it has: not if it was removed meanwhile.
        manager.site(&old)?;
        let renamed = (old.as_str(), new.refused(error));
        not_accepted(page(&manager, None, Field::default(), Some(renamed)))
    };
    let name: SiteName = match new.name.parse() {
        Ok(name) => name,
        Err(error) => return refuse(words::name(error)),
    };
    if old == name {
        // Somebody pressed the button without typing another name.
        manager.site(&old)?;
        return Ok(manager.0.see("/sites"));
    }
    if new.confirmed.is_none() {
        let site = manager.site(&old)?;
        if state.directory.site(name.as_str()).is_none() {
            let last_used = state.store.last_use(site.id).await?;
            let question = words::rename(&old, &name, last_used, state.clock.now());
            let fields = vec![("name", name.to_string()), ("confirmed", "yes".into())];
            return manager.ask(question, format!("/sites/{old}/rename"), fields);
        }
    }
    let ending = ending(state, &old, name.as_str()).await;
    match sites::rename(&state.store, &old, &name).await {
        Err(error @ SiteError::NameTaken(_)) => return refuse(sentence(&error)),
        Err(SiteError::NoSuchSite(_)) => second_press(state, &ending).await?,
        renamed => {
            let detail = words::renamed(&old, &name);
            done(&manager, AuditAction::RenamedSite, renamed?, detail).await;
        }
    }
    Ok(manager.0.see("/sites?done=renamed"))
}

/// `POST /sites/{name}/remove`: asks first, and says what will be lost.
pub(crate) async fn remove(
    manager: Manager,
    Path(path): Path<SitePath>,
    button: Button,
) -> Result<Response> {
    let (state, name) = (&manager.0.state, path.changeable()?);
    if button.confirmed.is_none() {
        manager.site(&name)?;
        let (question, path) = (words::remove(&name), format!("/sites/{name}/remove"));
        return manager.ask(question, path, vec![("confirmed", "yes".into())]);
    }
    let ending = ending(state, &name, "").await;
    match sites::remove(&state.store, &state.clock, &name).await {
        Err(SiteError::NoSuchSite(_)) => second_press(state, &ending).await?,
        removed => {
            let detail = name.to_string();
            done(&manager, AuditAction::RemovedSite, removed?, detail).await;
        }
    }
    Ok(manager.0.see("/sites?done=removed"))
}

/// A site's name is about to become another one, or nobody's. Noted beforehand: the second press of
/// a double click may find nothing a moment after. A name may come back, so what is noted counts
/// only while there is no site of it.
async fn ending(state: &AppState, name: &SiteName, becomes: &str) -> Ending {
    let ending = Ending::of(&["site", name.as_str(), becomes]);
    if state.directory.site(name.as_str()).is_some() {
        ending.note(state).await;
    }
    ending
}

/// There is no such site: an error, unless the first press has seen to that.
async fn second_press(state: &AppState, ending: &Ending) -> Result<()> {
    ending.confirm(state).await?;
    // The first press may not have got that far yet.
    state.refresh_sites().await;
    Ok(())
}

/// The error as a sentence of its own.
fn sentence(error: &SiteError) -> String {
    let words = error.to_string();
    let mut letters = words.chars();
    let first = letters.next().map(|letter| letter.to_ascii_uppercase());
    first.into_iter().chain(letters).chain(['.']).collect()
}

async fn done(manager: &Manager, action: AuditAction, site: SiteId, detail: String) {
    manager.0.state.refresh_sites().await;
    manager.0.audit(action, Some(site), Some(detail)).await;
}

/// A page of the list, or that of a site with the new name that was typed for it; and the name that
/// was typed for a new site.
fn page(
    manager: &Manager,
    mut wanted: Option<usize>,
    new: Field,
    renamed: Option<(&str, Field)>,
) -> SitesPage {
    let size = usize::from(PAGE_SIZE);
    let sites = manager.0.state.directory.sites();
    let mut rows: Vec<SiteRow> = sites.iter().map(|site| row(site)).collect();
    if let Some((name, typed)) = renamed
        && let Some(at) = rows.iter().position(|row| row.name == name)
    {
        rows[at].new_name = typed;
        wanted = Some(at / size + 1);
    }
    SitesPage {
        sites: ListPage::of(rows, wanted, size),
        new,
        layout: manager.0.layout(Nav::Sites),
    }
}

fn row(site: &Site) -> SiteRow {
    SiteRow {
        path: path_of(site),
        distribution_id: site.distribution_id.clone(),
        paused: site.pause.as_ref().map(|pause| pause.error.code.clone()),
        changeable: site.name != DEFAULT_SITE,
        new_name: Field::new(site.name.clone()),
        name: site.name.clone(),
    }
}
