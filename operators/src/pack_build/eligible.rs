//! Who contributes what, as functions of SQL.
//!
//!     contributes(org_id, product_id, segment)     its organisation opted in, and did not keep the segment out
//!     kept_out(org_id, product_id, route)          it did, and keeps routes that begin so out
//!     of_part(user_hash)                           the visitor belongs to the part that is worked on
//!
//! Functions and not tables to join, because a row is then judged where it is read.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{Array, AsArray, BooleanArray};
use arrow::compute::cast;
use arrow::datatypes::DataType;
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility};
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
    let signature = |texts| Signature::any(texts, Volatility::Immutable);
    let judge =
        |question| ScalarUDF::from(Judge { question, products: Arc::clone(&products), signature: signature(3) });
    let of_part = ScalarUDF::from(OfPart { part: slice.part, signature: signature(1) });
    [judge(Question::Contributes), judge(Question::KeptOut), of_part]
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Question {
    Contributes,
    KeptOut,
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Judge {
    question: Question,
    products: Arc<Products>,
    signature: Signature,
}

impl Judge {
    fn answer(&self, product: Option<&Eligible>, text: Option<&str>) -> bool {
        let Some(product) = product else { return false };
        match self.question {
            Question::Contributes => !product.excluded_segments.iter().any(|out| Some(out.as_str()) == text),
            Question::KeptOut => product.excluded_paths.iter().any(|path| text.is_some_and(|at| at.starts_with(path))),
        }
    }
}

impl ScalarUDFImpl for Judge {
    fn name(&self) -> &str {
        match self.question {
            Question::Contributes => "contributes",
            Question::KeptOut => "kept_out",
        }
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Boolean)
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let texts = ColumnarValue::values_to_arrays(&arguments.args)?;
        let texts = texts.iter().map(|text| Ok(cast(text, &DataType::Utf8)?)).collect::<Result<Vec<_>>>()?;
        let [orgs, products, texts] = &texts[..] else {
            return Err(DataFusionError::Plan(format!("{} takes three texts", self.name())));
        };
        let (orgs, products, texts) = (orgs.as_string::<i32>(), products.as_string::<i32>(), texts.as_string::<i32>());
        // Rows come product by product, so it is rarely looked up.
        let mut known: Option<((&str, &str), Option<&Eligible>)> = None;
        let answers: BooleanArray = (0..orgs.len())
            .map(|row| {
                let owner = (orgs.value(row), products.value(row));
                let product = match known {
                    Some((before, product)) if before == owner => product,
                    _ => self.products.get(owner.0).and_then(|products| products.get(owner.1)),
                };
                known = Some((owner, product));
                Some(self.answer(product, texts.is_valid(row).then(|| texts.value(row))))
            })
            .collect();
        Ok(ColumnarValue::Array(Arc::new(answers)))
    }
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct OfPart {
    part: Part,
    signature: Signature,
}

impl ScalarUDFImpl for OfPart {
    fn name(&self) -> &str {
        "of_part"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Boolean)
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let Part { number, of } = self.part;
        let visitors = ColumnarValue::values_to_arrays(&arguments.args)?;
        let [visitors] = &visitors[..] else {
            return Err(DataFusionError::Plan("of_part takes a visitor".to_owned()));
        };
        let visitors = cast(visitors, &DataType::Utf8)?;
        let of_part = |visitor: Option<&str>| xxh3_64(visitor.unwrap_or_default().as_bytes()) % of == number;
        let answers: BooleanArray = visitors.as_string::<i32>().iter().map(|visitor| Some(of_part(visitor))).collect();
        Ok(ColumnarValue::Array(Arc::new(answers)))
    }
}
