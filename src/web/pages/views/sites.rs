use askama::Template;

use super::layout::Layout;
use super::paging::ListPage;
use super::parts::Field;

/// All sites: to open, create, rename and remove them.
#[derive(Template)]
#[template(path = "sites.html")]
pub struct SitesPage {
    pub layout: Layout,
    pub sites: ListPage<SiteRow>,
    pub new: Field,
}

#[derive(Clone, Debug)]
pub struct SiteRow {
    pub name: String,
    /// Its pages, after [`Layout::root`]: empty, or like `/sites/shop`.
    pub path: String,
    pub distribution_id: Option<String>,
    /// The code of the error with which AWS rejects its settings.
    pub paused: Option<String>,
    /// It may be renamed and removed.
    pub changeable: bool,
    pub new_name: Field,
}

impl SiteRow {
    /// Ends unlike every id that is made of it, whatever the name.
    fn field_id(&self) -> String {
        format!("{}-name", self.name)
    }
}
