//! Schemas of the domain's names and items, which are strings on the wire.

use std::borrow::Cow;

use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{Object, ObjectBuilder, Schema, Type};
use utoipa::{PartialSchema, ToSchema};

use crate::domain::Item;

fn string(description: &str) -> ObjectBuilder {
    Object::builder()
        .schema_type(Type::String)
        .description(Some(description))
}

macro_rules! schema {
    ($name:ident: $schema:expr) => {
        impl PartialSchema for $name {
            fn schema() -> RefOr<Schema> {
                $schema
            }
        }
        impl ToSchema for $name {
            fn name() -> Cow<'static, str> {
                Cow::Borrowed(stringify!($name))
            }
        }
    };
}

schema!(Item: string(
    "A path as CloudFront is told it, perhaps with `*` at its end, or a cache tag behind `#`.",
)
.examples(["/about", "/docs/*", "#article:42"])
.build()
.into());
