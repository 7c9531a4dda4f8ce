//! What a route answers with, and the schemas that its answer needs.

use std::collections::BTreeMap;

use serde_json::Value;
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

use crate::insight_request::ListPage;

/// What a route answers with status 200.
pub(crate) struct Answer {
    pub(super) content_type: &'static str,
    /// Name and JSON of the example; empty for an answer that is not JSON.
    pub example: (&'static str, &'static str),
    pub(super) schema: Option<fn(&mut Schemas) -> String>,
}

pub(super) type Schemas = BTreeMap<String, Value>;

/// An answer of type `T`.
pub(crate) const fn one<T: ToSchema>(name: &'static str, example: &'static str) -> Answer {
    Answer { content_type: "application/json", example: (name, example), schema: Some(add::<T>) }
}

/// A page of `T`.
pub(crate) const fn list_of<T: ToSchema>(name: &'static str, example: &'static str) -> Answer {
    Answer { content_type: "application/json", example: (name, example), schema: Some(add_list::<T>) }
}

/// An answer of that content type, without a schema.
pub(crate) const fn plain(content_type: &'static str) -> Answer {
    Answer { content_type, example: ("", ""), schema: None }
}

pub(super) fn add<T: ToSchema>(schemas: &mut Schemas) -> String {
    put::<T>(T::name().into_owned(), schemas)
}

fn add_list<T: ToSchema>(schemas: &mut Schemas) -> String {
    add::<T>(schemas);
    put::<ListPage<T>>(format!("{}List", T::name()), schemas)
}

fn put<T: ToSchema>(name: String, schemas: &mut Schemas) -> String {
    let mut nested: Vec<(String, RefOr<Schema>)> = Vec::new();
    T::schemas(&mut nested);
    nested.push((name.clone(), <T as PartialSchema>::schema()));
    for (name, schema) in nested {
        schemas.insert(name, serde_json::to_value(schema).unwrap_or_default());
    }
    format!("#/components/schemas/{name}")
}
