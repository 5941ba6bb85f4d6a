//! The schema of the domain's items, which are strings on the wire.

use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{Object, Schema, Type};
use utoipa::{PartialSchema, ToSchema};

use crate::domain::Item;

const WHAT: &str =
    "A path as CloudFront is told it, perhaps with `*` at its end, or a cache tag behind `#`.";

impl PartialSchema for Item {
    fn schema() -> RefOr<Schema> {
        Object::builder()
            .schema_type(Type::String)
            .description(Some(WHAT))
            .examples(["/about", "/docs/*", "#article:42"])
            .into()
    }
}

impl ToSchema for Item {}
