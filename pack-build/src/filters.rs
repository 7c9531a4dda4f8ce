//! Which sessions contribute, as functions of SQL.
//!
//!     contributes(org_id, product_id, segment)       the product is in the slice and does not exclude the segment
//!     path_excluded(org_id, product_id, route)       the product is in the slice and excludes the route's path
//!     in_partition(user_hash)                        the visitor belongs to the slice
//!
//! Functions rather than tables to join, because the scan then drops a row where it reads it.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{Array, AsArray, BooleanArray, StringArray};
use arrow::datatypes::DataType;
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::{ColumnarValue, ScalarUDF, Volatility, create_udf};

use crate::slices::{EligibleProduct, Slice};

/// Products by organisation and name.
type Products = BTreeMap<String, BTreeMap<String, EligibleProduct>>;

/// The functions for a slice.
pub(crate) fn functions(slice: &Slice) -> [ScalarUDF; 3] {
    let mut products = Products::new();
    for product in &slice.products {
        products.entry(product.org_id.clone()).or_default().insert(product.product_id.clone(), product.clone());
    }
    let products = Arc::new(products);
    let visitors = slice.visitors;
    let by_product = |name: &str, answer: fn(&EligibleProduct, Option<&str>) -> bool| {
        let products = Arc::clone(&products);
        function(name, move |[orgs, names, texts]| answers(&products, answer, orgs, names, texts))
    };
    [
        by_product("contributes", |product, segment| {
            !product.excluded_segments.iter().any(|excluded| Some(excluded.as_str()) == segment)
        }),
        by_product("path_excluded", |product, route| {
            product.excluded_paths.iter().any(|path| route.is_some_and(|route| route.starts_with(path)))
        }),
        function("in_partition", move |[users]| users.iter().map(|user| Some(visitors.has(user))).collect()),
    ]
}

/// A function of `TEXTS` texts with a boolean answer.
fn function<const TEXTS: usize>(
    name: &str,
    answer: impl Fn([&StringArray; TEXTS]) -> BooleanArray + Send + Sync + 'static,
) -> ScalarUDF {
    let invoke = move |arguments: &[ColumnarValue]| -> Result<ColumnarValue> {
        let arrays = ColumnarValue::values_to_arrays(arguments)?;
        let texts: Vec<&StringArray> = arrays.iter().filter_map(|array| array.as_string_opt()).collect();
        let texts =
            texts.try_into().map_err(|_| DataFusionError::Plan(format!("{TEXTS} text arguments are expected")))?;
        Ok(ColumnarValue::Array(Arc::new(answer(texts))))
    };
    create_udf(name, vec![DataType::Utf8; TEXTS], DataType::Boolean, Volatility::Immutable, Arc::new(invoke))
}

/// The answer of each row's product; false for a product that is not in the slice.
fn answers(
    products: &Products,
    answer: fn(&EligibleProduct, Option<&str>) -> bool,
    orgs: &StringArray,
    names: &StringArray,
    texts: &StringArray,
) -> BooleanArray {
    // Rows come product by product, so a lookup is rare.
    let mut known: Option<((&str, &str), Option<&EligibleProduct>)> = None;
    (0..orgs.len())
        .map(|row| {
            let owner = (orgs.value(row), names.value(row));
            let product = match known {
                Some((before, product)) if before == owner => product,
                _ => products.get(owner.0).and_then(|products| products.get(owner.1)),
            };
            known = Some((owner, product));
            let text = texts.is_valid(row).then(|| texts.value(row));
            Some(product.is_some_and(|product| answer(product, text)))
        })
        .collect()
}
