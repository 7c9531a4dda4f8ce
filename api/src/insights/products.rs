//! `GET /v1/insights/products`: what a key can ask about.

use axum::Json;
use serde::Serialize;
use utoipa::ToSchema;

use crate::insight_request::Asked;
use crate::problem::Problem;
use crate::store::Product;

/// The products of an organisation.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Products {
    /// The organisation.
    pub org_id: String,
    /// Its products that have sessions, by name.
    pub items: Vec<Product>,
    /// Where the next page begins; null on the last one.
    #[schema(required)]
    pub next_cursor: Option<String>,
}

/// Answers with a page of products.
pub(crate) async fn products(asked: Asked) -> Result<Json<Products>, Problem> {
    let mut items = asked.store().products(asked.org_id()).await?;
    if let Some(after) = asked.after::<String>()? {
        items.retain(|product| product.product_id > after);
    }
    let next_cursor = asked.cut(None, &mut items, |product| product.product_id.clone());
    Ok(Json(Products { org_id: asked.org_id().to_owned(), items, next_cursor }))
}
