//! Which products contribute to a pack.
//!
//!     products with tasks in the window ─▶ organisation opted in to a category, and is of the vertical ─▶ eligible

use std::collections::BTreeMap;

use netcrab_market::{Contributor, Market};
use netcrab_pack_build::EligibleProduct;
use netcrab_packs::Definition;
use netcrab_packs::definition::ANY;

use super::error::Error;

/// The products that contribute to a pack, with their tasks; `products` are organisation, product, number of tasks.
///
/// # Errors
///
/// [`Error::Market`] when the database does not answer.
pub(super) async fn eligible_products(
    market: &Market,
    definition: &Definition,
    products: Vec<(String, String, u64)>,
) -> Result<Vec<(EligibleProduct, u64)>, Error> {
    let vertical = (definition.vertical != ANY).then_some(definition.vertical.as_str());
    let contributors = market.contributors(vertical, &definition.categories).await?;
    let mut by_org: BTreeMap<&str, Vec<&Contributor>> = BTreeMap::new();
    contributors.iter().for_each(|contributor| by_org.entry(&contributor.org_id).or_default().push(contributor));
    let eligible = |(org_id, product_id, tasks): (String, String, u64)| {
        let of_org = by_org.get(org_id.as_str())?;
        // The market adds what an organisation excludes for all products to each opt-in that names one.
        let named = of_org.iter().find(|contributor| contributor.product_id.as_ref() == Some(&product_id));
        let contributor = named.or_else(|| of_org.iter().find(|contributor| contributor.product_id.is_none()))?;
        let product = EligibleProduct {
            org_id,
            product_id,
            excluded_segments: contributor.excluded_segments.clone(),
            excluded_paths: contributor.excluded_paths.clone(),
        };
        Some((product, tasks))
    };
    Ok(products.into_iter().filter_map(eligible).collect())
}
