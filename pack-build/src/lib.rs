//! Facts of many organisations into what their visitors contribute to a pack.
//!
//!     fact_tasks, fact_sessions, … of a window, of those who opted in ─▶ contributions, visitor by visitor
//!
//! Input   the tables of facts, registered in a DataFusion session under their names
//! Output  org_id, product_id, user_hash, cell, session, v0 … vn (values of the kind's measures), sorted by visitor
//!
//! A contribution is exact and personal; it goes nowhere but to [`netcrab_packs::bound`] and the gate behind it.

mod archetype;
mod eligible;
mod steps;

use arrow::array::{ArrayRef, AsArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, UInt64Type};
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::SendableRecordBatchStream;
use datafusion::prelude::SessionContext;
use netcrab_packs::Kind;

pub use steps::STEP_TYPES;

/// A product whose organisation opted in, and what it keeps to itself.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Eligible {
    /// The organisation.
    pub org_id: String,
    /// The product.
    pub product_id: String,
    /// Sessions of these segments stay out.
    pub excluded_segments: Vec<String>,
    /// Sessions that touched a route which begins like one of these stay out.
    pub excluded_paths: Vec<String>,
}

/// The days of a build, `2026-10-01`, both included.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Window {
    /// The first day.
    pub from: String,
    /// The last day.
    pub to: String,
}

/// Some of the visitors of a product: those whose hash leaves `number` when divided by `of`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Part {
    /// Which part, from 0.
    pub number: u64,
    /// How many there are.
    pub of: u64,
}

/// What is worked on at once: some products, or a part of the visitors of one. So memory does not grow with a window.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Slice {
    /// The products, in their order.
    pub products: Vec<Eligible>,
    /// Which of their visitors.
    pub part: Part,
}

/// Products with their tasks, in their order, into slices of about `tasks_max`. No visitor is in two of them.
pub fn slices(products: Vec<(Eligible, u64)>, tasks_max: u64) -> Vec<Slice> {
    let mut slices: Vec<Slice> = Vec::new();
    let mut room = 0;
    for (product, tasks) in products {
        let of = tasks.div_ceil(tasks_max.max(1)).max(1);
        match slices.last_mut() {
            Some(slice) if tasks <= room => slice.products.push(product),
            _ => {
                let slice = |number| Slice { products: vec![product.clone()], part: Part { number, of } };
                slices.extend((0..of).map(slice));
                room = if of == 1 { tasks_max } else { 0 };
            }
        }
        room = room.saturating_sub(tasks);
    }
    slices
}

/// What the visitors of a slice contribute to a pack of this kind; sorted by organisation, product and visitor.
pub async fn contributions(
    context: &SessionContext,
    kind: Kind,
    window: &Window,
    slice: &Slice,
) -> Result<SendableRecordBatchStream> {
    let query = match kind {
        Kind::UxBenchmarks => include_str!("ux_benchmarks.sql"),
        Kind::TaskFlows => include_str!("task_flows.sql"),
        Kind::ReleaseDeltas => include_str!("release_deltas.sql"),
        Kind::InsightReports => {
            return Err(DataFusionError::Plan("insight reports are made of released packs, not of facts".to_owned()));
        }
    };
    eligible::functions(slice).into_iter().for_each(|function| context.register_udf(function));
    context.register_udaf(archetype::function());
    let excluded = if slice.products.iter().any(|product| !product.excluded_paths.is_empty()) {
        include_str!("excluded_sessions.sql")
    } else {
        // No event need be read to find none.
        "SELECT org_id, product_id, session_key FROM fact_sessions WHERE false"
    };
    let bounds = Bounds { window, orgs: slice.orgs() };
    view(context, "excluded_sessions", excluded, &bounds).await?;
    view(context, "eligible_tasks", include_str!("tasks.sql"), &bounds).await?;
    let query = format!("SELECT * FROM ({}) ORDER BY org_id, product_id, user_hash", bounds.put_into(query));
    context.sql(&query).await?.execute_stream().await
}

/// The products that have tasks in the window, each with its organisation and how many; in their order.
pub async fn products(context: &SessionContext, window: &Window) -> Result<Vec<(String, String, u64)>> {
    let query = "SELECT org_id, product_id, count(*) AS tasks FROM fact_tasks WHERE date BETWEEN $from AND $to \
                 GROUP BY org_id, product_id ORDER BY org_id, product_id";
    let query = Bounds { window, orgs: ("", "") }.put_into(query);
    let mut products = Vec::new();
    for batch in context.sql(&query).await?.collect().await? {
        let column = |name: &str, kind: DataType| -> Result<ArrayRef> {
            let column =
                batch.column_by_name(name).ok_or_else(|| DataFusionError::Plan(format!("no column {name}")))?;
            Ok(cast(column, &kind)?)
        };
        let (orgs, names) = (column("org_id", DataType::Utf8)?, column("product_id", DataType::Utf8)?);
        let tasks = column("tasks", DataType::UInt64)?;
        let texts = orgs.as_string::<i32>().iter().zip(names.as_string::<i32>());
        for ((org, product), tasks) in texts.zip(tasks.as_primitive::<UInt64Type>().values()) {
            products.extend(org.zip(product).map(|(org, product)| (org.to_owned(), product.to_owned(), *tasks)));
        }
    }
    Ok(products)
}

impl Slice {
    /// The first of its organisations, and the last: files and row groups of others are not read.
    fn orgs(&self) -> (&str, &str) {
        let mut orgs = self.products.iter().map(|product| product.org_id.as_str());
        let first = orgs.next().unwrap_or_default();
        (first, orgs.next_back().unwrap_or(first))
    }
}

/// What a query reads.
struct Bounds<'a> {
    window: &'a Window,
    orgs: (&'a str, &'a str),
}

impl Bounds<'_> {
    fn put_into(&self, query: &str) -> String {
        let text = |text: &str| format!("'{}'", text.replace('\'', "''"));
        let day = |day: &str| format!("DATE {}", text(day));
        query
            .replace("$from", &day(&self.window.from))
            .replace("$to", &day(&self.window.to))
            .replace("$first_org", &text(self.orgs.0))
            .replace("$last_org", &text(self.orgs.1))
    }
}

async fn view(context: &SessionContext, name: &str, query: &str, bounds: &Bounds<'_>) -> Result<()> {
    let rows = context.sql(&bounds.put_into(query)).await?;
    context.deregister_table(name)?;
    context.register_table(name, rows.into_view())?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sliced(tasks: &[u64], tasks_max: u64) -> Vec<(Vec<usize>, u64, u64)> {
        let product = |number: usize| Eligible {
            org_id: number.to_string(),
            product_id: String::new(),
            excluded_segments: Vec::new(),
            excluded_paths: Vec::new(),
        };
        let products = tasks.iter().enumerate().map(|(number, tasks)| (product(number), *tasks)).collect();
        let numbers = |slice: Slice| {
            let numbers = slice.products.iter().map(|product| product.org_id.parse().unwrap()).collect();
            (numbers, slice.part.number, slice.part.of)
        };
        slices(products, tasks_max).into_iter().map(numbers).collect()
    }

    #[test]
    fn small_products_share_a_slice_and_large_ones_are_cut() {
        assert_eq!(sliced(&[4, 6, 1, 10], 10), [(vec![0, 1], 0, 1), (vec![2], 0, 1), (vec![3], 0, 1)]);
        assert_eq!(
            sliced(&[1, 21, 1], 10),
            [(vec![0], 0, 1), (vec![1], 0, 3), (vec![1], 1, 3), (vec![1], 2, 3), (vec![2], 0, 1)]
        );
        assert_eq!(sliced(&[], 10), []);
        assert_eq!(sliced(&[0, 3], 0), [(vec![0], 0, 1), (vec![1], 0, 3), (vec![1], 1, 3), (vec![1], 2, 3)]);
    }
}
