//! What organisations opted into, and the contributors of a build that follow from it.
//!
//!     org_settings  acme  B2B_CRM
//!     pack_opt_ins  acme  ux_benchmarks  *      excludes /admin   ─▶ contributor acme, all    excludes /admin
//!                   acme  ux_benchmarks  shop   excludes /legal   ─▶ contributor acme, shop   excludes /admin, /legal
//!
//! Nobody contributes without an opt-in, and an opt-out ends it.

use std::collections::{BTreeMap, BTreeSet};

use sqlx::any::AnyRow;

use crate::database::Market;
use crate::error::Error;
use crate::{bounds, rows};

/// An organisation agrees to contribute to packs of a category.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct OptIn {
    /// The organisation.
    pub org_id: String,
    /// The category of packs.
    pub category: String,
    /// The product whose sessions contribute; `None` for those of all products.
    pub product_id: Option<String>,
    /// Prefixes of routes that are excluded.
    pub excluded_paths: Vec<String>,
    /// Segments that are excluded.
    pub excluded_segments: Vec<String>,
}

/// An organisation and all that it agreed to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Organisation {
    /// The organisation.
    pub org_id: String,
    /// The vertical it works in.
    pub vertical: String,
    /// Its opt-ins, by category, the one for all products first.
    pub opt_ins: Vec<OptIn>,
}

/// The sessions of an organisation that may go into a build: those of one product, or of all.
///
/// An organisation with one contributor for all products and one for `shop` contributes the sessions of all products.
/// For `shop` the exclusions of the second one apply, which include those of the first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Contributor {
    /// The organisation.
    pub org_id: String,
    /// The vertical it works in.
    pub vertical: String,
    /// The product; `None` for all products that no other contributor of the organisation names.
    pub product_id: Option<String>,
    /// Prefixes of routes that are excluded; sorted.
    pub excluded_paths: Vec<String>,
    /// Segments that are excluded; sorted.
    pub excluded_segments: Vec<String>,
}

const READ: &str = "read the organisations";
const TABLE: &str = "pack_opt_ins";

impl Market {
    /// Sets the vertical of an organisation, or replaces it.
    ///
    /// # Errors
    /// Those of texts out of their bounds; [`Error::Busy`] and [`Error::Database`].
    pub async fn set_vertical(&self, org_id: &str, vertical: &str, now_ms: i64) -> Result<(), Error> {
        bounds::org_id(org_id)?;
        bounds::text("the vertical", vertical)?;
        let set = sqlx::query(include_str!("sql/set_vertical.sql")).bind(org_id).bind(vertical).bind(now_ms);
        set.execute(&self.pool).await.map_err(Error::doing("set a vertical"))?;
        Ok(())
    }

    /// Stores an opt-in, or replaces the one for the same organisation, category and product.
    ///
    /// # Errors
    /// [`Error::NoVertical`] where the organisation has no vertical, as no build would include it; those of texts out of
    /// their bounds; [`Error::Busy`] and [`Error::Database`].
    pub async fn opt_in(&self, opt_in: &OptIn, now_ms: i64) -> Result<(), Error> {
        check(opt_in)?;
        let note = sqlx::query(include_str!("sql/opt_in.sql"))
            .bind(&*opt_in.org_id)
            .bind(&*opt_in.category)
            .bind(stored_product(opt_in.product_id.as_deref()))
            .bind(rows::list_text(&opt_in.excluded_paths))
            .bind(rows::list_text(&opt_in.excluded_segments))
            .bind(now_ms);
        note.execute(&self.pool).await.map_err(|fault| {
            match fault.as_database_error().is_some_and(|fault| fault.is_foreign_key_violation()) {
                true => Error::NoVertical { org_id: opt_in.org_id.clone() },
                false => Error::doing("note an opt-in")(fault),
            }
        })?;
        Ok(())
    }

    /// Ends an opt-in. Returns false where there was none for exactly this category and product: an opt-in for all
    /// products and one for a product are two, and each is ended on its own.
    ///
    /// # Errors
    /// Those of texts out of their bounds; [`Error::Busy`] and [`Error::Database`].
    pub async fn opt_out(&self, org_id: &str, category: &str, product_id: Option<&str>) -> Result<bool, Error> {
        check_key(org_id, category, product_id)?;
        let end = sqlx::query("DELETE FROM pack_opt_ins WHERE org_id = $1 AND category = $2 AND product_id = $3");
        let end = end.bind(org_id).bind(category).bind(stored_product(product_id));
        let ended = end.execute(&self.pool).await.map_err(Error::doing("note an opt-out"))?;
        Ok(ended.rows_affected() > 0)
    }

    /// All organisations with their opt-ins, sorted.
    ///
    /// # Errors
    /// [`Error::Database`]; [`Error::Stored`] where a stored list cannot be read.
    pub async fn organisations(&self) -> Result<Vec<Organisation>, Error> {
        let found = sqlx::query(include_str!("sql/organisations.sql")).fetch_all(&self.pool).await;
        let mut organisations = BTreeMap::new();
        for row in &found.map_err(Error::doing(READ))? {
            let org_id: String = rows::value(row, "org_id", READ)?;
            let vertical = rows::value(row, "vertical", READ)?;
            let fresh = || Organisation { org_id: org_id.clone(), vertical, opt_ins: Vec::new() };
            let organisation = organisations.entry(org_id.clone()).or_insert_with(fresh);
            organisation.opt_ins.extend(opt_in_of(row, &org_id)?);
        }
        let mut organisations: Vec<_> = organisations.into_values().collect();
        organisations.iter_mut().for_each(|organisation| organisation.opt_ins.sort());
        Ok(organisations)
    }

    /// The contributors to a pack of these categories, sorted: organisations of `vertical`, or of any vertical where it is
    /// `None`, with an opt-in for one of the categories.
    ///
    /// There is one contributor for each organisation and product that opted in. It has the exclusions of all matching
    /// opt-ins for that product and for all products.
    ///
    /// # Errors
    /// As [`Self::organisations`].
    pub async fn contributors(&self, vertical: Option<&str>, categories: &[String]) -> Result<Vec<Contributor>, Error> {
        let mut organisations = self.organisations().await?;
        organisations.retain(|organisation| vertical.is_none_or(|vertical| organisation.vertical == vertical));
        Ok(organisations.iter().flat_map(|organisation| united(organisation, categories)).collect())
    }
}

/// Excluded paths and segments.
type Exclusions<'a> = (BTreeSet<&'a String>, BTreeSet<&'a String>);

fn united(organisation: &Organisation, categories: &[String]) -> Vec<Contributor> {
    let mut by_product: BTreeMap<Option<&str>, Exclusions<'_>> = BTreeMap::new();
    for opt_in in organisation.opt_ins.iter().filter(|opt_in| categories.contains(&opt_in.category)) {
        let (paths, segments) = by_product.entry(opt_in.product_id.as_deref()).or_default();
        paths.extend(&opt_in.excluded_paths);
        segments.extend(&opt_in.excluded_segments);
    }
    let (all_paths, all_segments) = by_product.get(&None).cloned().unwrap_or_default();
    let contributor = |(product_id, (paths, segments)): (Option<&str>, Exclusions<'_>)| Contributor {
        org_id: organisation.org_id.clone(),
        vertical: organisation.vertical.clone(),
        product_id: product_id.map(str::to_owned),
        excluded_paths: paths.union(&all_paths).map(|&path| path.clone()).collect(),
        excluded_segments: segments.union(&all_segments).map(|&segment| segment.clone()).collect(),
    };
    by_product.into_iter().map(contributor).collect()
}

/// The opt-in of a row; `None` where the organisation has none.
fn opt_in_of(row: &AnyRow, org_id: &str) -> Result<Option<OptIn>, Error> {
    let Some(category) = rows::value::<Option<String>>(row, "category", READ)? else {
        return Ok(None);
    };
    let product: String = rows::value(row, "product_id", READ)?;
    let list = |column| rows::list(TABLE, column, &rows::value::<String>(row, column, READ)?);
    Ok(Some(OptIn {
        org_id: org_id.to_owned(),
        category,
        product_id: Some(product).filter(|product| !product.is_empty()),
        excluded_paths: list("excluded_paths")?,
        excluded_segments: list("excluded_segments")?,
    }))
}

/// The product as it is stored: all products are the empty text, because a key column cannot be NULL.
fn stored_product(product_id: Option<&str>) -> &str {
    product_id.unwrap_or("")
}

fn check(opt_in: &OptIn) -> Result<(), Error> {
    check_key(&opt_in.org_id, &opt_in.category, opt_in.product_id.as_deref())?;
    bounds::list("excluded paths", "an excluded path", &opt_in.excluded_paths)?;
    bounds::list("excluded segments", "an excluded segment", &opt_in.excluded_segments)
}

fn check_key(org_id: &str, category: &str, product_id: Option<&str>) -> Result<(), Error> {
    bounds::org_id(org_id)?;
    bounds::text("the category", category)?;
    product_id.map_or(Ok(()), |product| bounds::text("the product", product))
}
