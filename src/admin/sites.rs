//! Making, renaming and removing sites, for the page and the command line.

use uuid::Uuid;

use super::fresh_token;
use crate::clock::Clock;
use crate::domain::{DEFAULT_SITE, HookSecret, SiteName};
use crate::store::{FirstProofs, FormHash, SiteId, Store, StoreError};

/// Why a site was not made, renamed or removed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SiteError {
    #[error("there is no site `{0}`")]
    NoSuchSite(SiteName),
    #[error("there is a site `{0}` already")]
    NameTaken(SiteName),
    #[error("the site `default` stays as it is: the addresses that name no site are its own")]
    Default,
    #[error(transparent)]
    Store(#[from] StoreError),
}

pub(crate) struct NewSite {
    pub(crate) id: SiteId,
    /// Its first publish token, which can be shown once.
    pub(crate) token: Uuid,
}

/// Makes a site with a publish token and a signing secret, each to be shown once, as at a first
/// start. It may be a form that asks for it.
pub(crate) async fn create(
    store: &Store,
    clock: &Clock,
    name: &SiteName,
    form: Option<&FormHash>,
) -> Result<NewSite, SiteError> {
    let first = FirstProofs {
        token: (clock.id(), fresh_token(clock)),
        secret: (clock.id(), HookSecret::text(*clock.random())),
    };
    let id = store
        .create_site(name, form, &first, clock.now())
        .await?
        .ok_or_else(|| SiteError::NameTaken(name.clone()))?;
    let (token, _) = first.token;
    Ok(NewSite { id, token })
}

/// Renames a site. Its old name is answered 404 from then on.
pub(crate) async fn rename(
    store: &Store,
    name: &SiteName,
    new_name: &SiteName,
) -> Result<SiteId, SiteError> {
    let site = changeable(store, name).await?;
    let renamed = name != new_name && store.rename_site(site, new_name).await?;
    if renamed {
        Ok(site)
    } else {
        Err(SiteError::NameTaken(new_name.clone()))
    }
}

/// Removes a site. What it leaves is swept up in small steps, by [`crate::janitor::delete_removed_sites`].
pub(crate) async fn remove(
    store: &Store,
    clock: &Clock,
    name: &SiteName,
) -> Result<SiteId, SiteError> {
    let site = changeable(store, name).await?;
    if store.remove_site(site, clock.now()).await? {
        Ok(site)
    } else {
        Err(SiteError::NoSuchSite(name.clone()))
    }
}

/// The number of a site that may be renamed and removed.
async fn changeable(store: &Store, name: &SiteName) -> Result<SiteId, SiteError> {
    if name.as_str() == DEFAULT_SITE {
        return Err(SiteError::Default);
    }
    find(store, name).await
}

pub(crate) async fn find(store: &Store, name: &SiteName) -> Result<SiteId, SiteError> {
    store
        .site_id(name)
        .await?
        .ok_or_else(|| SiteError::NoSuchSite(name.clone()))
}
