//! Who contributes what, as functions of SQL.
//!
//!     contributes(org_id, product_id, segment)     its organisation opted in, and did not keep the segment out
//!     kept_out(org_id, product_id, route)          it did, and keeps routes that begin so out
//!     of_part(user_hash)                           the visitor belongs to the part that is worked on
//!
//! Functions and not tables to join, because a row is then judged where it is read.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{Array, AsArray, BooleanArray, StringArray};
use arrow::datatypes::DataType;
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::{ColumnarValue, ScalarUDF, Volatility, create_udf};
use xxhash_rust::xxh3::xxh3_64;

use super::{Eligible, Part, Slice};

/// Products by organisation and name.
type Products = BTreeMap<String, BTreeMap<String, Eligible>>;

/// The functions, for a slice.
pub(super) fn functions(slice: &Slice) -> [ScalarUDF; 3] {
    let mut products = Products::new();
    for product in &slice.products {
        products.entry(product.org_id.clone()).or_default().insert(product.product_id.clone(), product.clone());
    }
    let products = Arc::new(products);
    let part = slice.part;
    let judge = |name: &str, answer: fn(&Eligible, Option<&str>) -> bool| {
        let products = Arc::clone(&products);
        function(name, move |[orgs, names, texts]| judged(&products, answer, orgs, names, texts))
    };
    [
        judge("contributes", |product, segment| {
            !product.excluded_segments.iter().any(|excluded| Some(excluded.as_str()) == segment)
        }),
        judge("kept_out", |product, route| {
            product.excluded_paths.iter().any(|path| route.is_some_and(|route| route.starts_with(path)))
        }),
        function("of_part", move |[visitors]| visitors.iter().map(|visitor| Some(part.has(visitor))).collect()),
    ]
}

/// A function of texts that says yes or no.
fn function<const TEXTS: usize>(
    name: &str,
    answer: impl Fn([&StringArray; TEXTS]) -> BooleanArray + Send + Sync + 'static,
) -> ScalarUDF {
    let invoke = move |arguments: &[ColumnarValue]| -> Result<ColumnarValue> {
        let arrays = ColumnarValue::values_to_arrays(arguments)?;
        let texts: Vec<&StringArray> = arrays.iter().filter_map(|array| array.as_string_opt()).collect();
        let texts = texts.try_into().map_err(|_| DataFusionError::Plan(format!("{TEXTS} texts are expected")))?;
        Ok(ColumnarValue::Array(Arc::new(answer(texts))))
    };
    create_udf(name, vec![DataType::Utf8; TEXTS], DataType::Boolean, Volatility::Immutable, Arc::new(invoke))
}

/// The answer for the product of each row; no, where there is none.
fn judged(
    products: &Products,
    answer: fn(&Eligible, Option<&str>) -> bool,
    orgs: &StringArray,
    names: &StringArray,
    texts: &StringArray,
) -> BooleanArray {
    // Rows come product by product, so it is rarely looked up.
    let mut known: Option<((&str, &str), Option<&Eligible>)> = None;
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

impl Part {
    fn has(self, visitor: Option<&str>) -> bool {
        xxh3_64(visitor.unwrap_or_default().as_bytes()) % self.of == self.number
    }
}
