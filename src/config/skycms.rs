//! Where SkyCMS is, and which of its pages tell administrators and editors apart.

use url::Url;

use super::{ConfigError, Variables, error};

#[derive(Clone, Debug)]
pub struct SkyCmsConfig {
    /// Where this service reaches it.
    pub url: Url,
    pub cookie: String,
    /// The page that it opens to administrators alone.
    pub admin_page: Url,
    /// The page that it opens to administrators and editors.
    pub editor_page: Url,
}

impl SkyCmsConfig {
    pub(super) fn read(vars: &Variables<'_>) -> Result<Option<Self>, ConfigError> {
        let Some(url) = vars.base_url("SKYCMS_URL")? else {
            return Ok(None);
        };
        let cookie = vars.text("SKYCMS_COOKIE")?;
        let cookie = cookie.unwrap_or_else(|| "CosmosAuthCookie".into());
        let is_name = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
        if !cookie.chars().all(is_name) {
            return Err(error(
                "SKYCMS_COOKIE",
                format!("`{cookie}` is not the name of a cookie"),
            ));
        }
        let page = |name, default: &str| {
            let path = vars.text(name)?.unwrap_or_else(|| default.to_owned());
            let page = format!("{}{path}", url.as_str().trim_end_matches('/')).parse();
            page.ok()
                .filter(|_| path.starts_with('/') && !path.starts_with("//"))
                .ok_or_else(|| error(name, format!("`{path}` is not a path such as {default}")))
        };
        Ok(Some(Self {
            admin_page: page("SKYCMS_ADMIN_PAGE", "/Cosmos___Settings/CDN")?,
            editor_page: page("SKYCMS_EDITOR_PAGE", "/Templates")?,
            url,
            cookie,
        }))
    }
}
