//! `GET /v1/insights/products`: the products of an organisation.

use axum::Json;
use serde::Serialize;
use utoipa::ToSchema;

use crate::insight_request::InsightRequest;
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
pub(crate) async fn products(request: InsightRequest) -> Result<Json<Products>, Problem> {
    let mut items = request.store().products(request.org_id()).await?;
    if let Some(after) = request.after::<String>()? {
        items.retain(|product| product.product_id > after);
    }
    let next_cursor = request.cut(None, &mut items, |product| product.product_id.clone());
    Ok(Json(Products { org_id: request.org_id().to_owned(), items, next_cursor }))
}
