//! Schemas of the domain's names and items, which are strings on the wire.

use std::borrow::Cow;

use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{Object, ObjectBuilder, Schema, Type};
use utoipa::{PartialSchema, ToSchema};

use crate::domain::{InvalidationStatus, Item, PublishState, WaitReason};

fn names<const N: usize>(description: &str, names: [&str; N]) -> RefOr<Schema> {
    string(description).enum_values(Some(names)).build().into()
}

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

schema!(PublishState: names(
    "How far a publish is. The last three are ends: `completed` (CloudFront said so), `unconfirmed` (CloudFront accepted \
     it, but its id was lost with the connection, so nobody can ask) and `failed`.",
    Self::ALL.map(Self::as_str),
));
schema!(InvalidationStatus: names(
    "How far an invalidation is. The last three are ends.",
    Self::ALL.map(Self::as_str),
));
schema!(WaitReason: names(
    "Why it is held: CloudFront's quota of what may be in progress, or the month's limit (`quota`); how much may be sent \
     a second (`rate`); no usable answer, to be tried again (`retry`); AWS rejects the site's settings (`settings`).",
    Self::ALL.map(Self::as_str),
));
schema!(Item: string(
    "A path as CloudFront is told it, perhaps with `*` at its end, or a cache tag behind `#`.",
)
.examples(["/about", "/docs/*", "#article:42"])
.build()
.into());
