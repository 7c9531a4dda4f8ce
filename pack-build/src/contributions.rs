//! The queries over the tables of facts.
//!
//!     fact_tasks, fact_sessions, … of a window, of the products of a slice ─▶ contributions, visitor by visitor
//!
//! Input   the tables of facts, registered in a DataFusion session under their names
//! Output  org_id, product_id, user_hash, cell, session, v0 … vn (values of the kind's measures), sorted by visitor

use arrow::array::AsArray;
use arrow::compute::cast;
use arrow::datatypes::{DataType, UInt64Type};
use datafusion::dataframe::DataFrame;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::prelude::SessionContext;
use datafusion::scalar::ScalarValue;
use netcrab_packs::Kind;

use crate::error::Error;
use crate::slices::Slice;
use crate::{archetype, filters};

/// The days of a build, as `2026-10-01`, both included.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BuildWindow {
    /// The first day.
    pub from: String,
    /// The last day.
    pub to: String,
}

/// What the visitors of a slice contribute to a pack of this kind, sorted by organisation, product and visitor.
///
/// # Errors
///
/// [`Error::Query`] when the tables cannot be read or lack a column, and [`Error::NotFromFacts`] for insight reports.
pub async fn contributions(
    context: &SessionContext,
    kind: Kind,
    window: &BuildWindow,
    slice: &Slice,
) -> Result<SendableRecordBatchStream, Error> {
    let query = match kind {
        Kind::UxBenchmarks => include_str!("ux_benchmarks.sql"),
        Kind::TaskFlows => include_str!("task_flows.sql"),
        Kind::ReleaseDeltas => include_str!("release_deltas.sql"),
        Kind::InsightReports => return Err(Error::NotFromFacts),
    };
    filters::functions(slice).into_iter().for_each(|function| context.register_udf(function));
    context.register_udaf(archetype::function());
    let excluded = if slice.products.iter().any(|product| !product.excluded_paths.is_empty()) {
        include_str!("excluded_sessions.sql")
    } else {
        // No event need be read to find none.
        "SELECT org_id, product_id, session_key FROM fact_sessions WHERE false"
    };
    let bounds = Bounds { context, window, orgs: slice.org_range() };
    bounds.register_view("excluded_sessions", excluded).await?;
    bounds.register_view("eligible_tasks", include_str!("tasks.sql")).await?;
    let query = format!("SELECT * FROM ({query}) ORDER BY org_id, product_id, user_hash");
    Ok(bounds.query(&query).await?.execute_stream().await?)
}

/// The products that have tasks in the window, in their order: organisation, product, number of tasks.
///
/// # Errors
///
/// [`Error::Query`] when `fact_tasks` cannot be read.
pub async fn products(context: &SessionContext, window: &BuildWindow) -> Result<Vec<(String, String, u64)>, Error> {
    let query = "SELECT org_id, product_id, count(*) AS tasks FROM fact_tasks WHERE date BETWEEN $from AND $to \
                 GROUP BY org_id, product_id ORDER BY org_id, product_id";
    let bounds = Bounds { context, window, orgs: ("", "") };
    let mut products = Vec::new();
    for batch in bounds.query(query).await?.collect().await? {
        let column = |name: &str, kind: DataType| {
            let column = batch.column_by_name(name).ok_or_else(|| Error::NoColumn(name.to_owned()))?;
            Ok::<_, Error>(cast(column, &kind)?)
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

/// What a query reads: the days of a window, and organisations from the first to the last.
struct Bounds<'a> {
    context: &'a SessionContext,
    window: &'a BuildWindow,
    orgs: (&'a str, &'a str),
}

impl Bounds<'_> {
    /// The rows of `query` with its parameters `$from`, `$to`, `$first_org` and `$last_org` bound.
    async fn query(&self, query: &str) -> Result<DataFrame, Error> {
        let day = |day: &str| ScalarValue::try_from_string(day.to_owned(), &DataType::Date32);
        let values = vec![
            ("from", day(&self.window.from)?),
            ("to", day(&self.window.to)?),
            ("first_org", ScalarValue::from(self.orgs.0)),
            ("last_org", ScalarValue::from(self.orgs.1)),
        ];
        Ok(self.context.sql(query).await?.with_param_values(values)?)
    }

    async fn register_view(&self, name: &str, query: &str) -> Result<(), Error> {
        let rows = self.query(query).await?;
        self.context.deregister_table(name)?;
        self.context.register_table(name, rows.into_view())?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::RecordBatch;
    use arrow::util::display::array_value_to_string;
    use datafusion::prelude::SessionConfig;
    use futures::TryStreamExt;

    use super::*;
    use crate::slices::{EligibleProduct, VisitorPartition};

    /// Sessions of two products. Of o'hara's, `s2` is of an excluded segment and `s3` touched an excluded path.
    const FACTS: [&str; 4] = [
        "CREATE TABLE fact_sessions AS SELECT * FROM (VALUES
            ('o''hara', 'crm', 's1', DATE '2026-10-10', 'u1', 'smb', 0.5, 0.25),
            ('o''hara', 'crm', 's2', DATE '2026-10-10', 'u2', 'internal', 0.5, 0.25),
            ('o''hara', 'crm', 's3', DATE '2026-10-10', 'u3', NULL, 0.5, 0.25),
            ('o''hara', 'crm', 's4', DATE '2026-10-20', 'u4', NULL, 0.1, 0.75),
            ('o''hara', 'crm', 's5', DATE '2026-11-01', 'u5', NULL, 0.9, 0.75),
            ('other', 'crm', 's6', DATE '2026-10-10', 'u6', NULL, 0.5, 0.25))
            AS t(org_id, product_id, session_key, date, user_hash, segment, frustration_score, efficiency_score)",
        "CREATE TABLE fact_tasks AS SELECT org_id, product_id, session_key, 0 AS task_no, date, 'pay' AS task_type,
            2 AS flow_complexity, CAST(3 AS BIGINT) AS clicks, CAST(2000 AS BIGINT) AS duration_ms,
            CAST(date AS TIMESTAMP) AS started_at, CAST(date AS TIMESTAMP) + INTERVAL '2' SECOND AS completed_at
            FROM fact_sessions",
        "CREATE TABLE events_sessionized AS
            SELECT org_id, product_id, session_key, date, CAST(date AS TIMESTAMP) AS ts, 0 AS position,
            CASE session_key WHEN 's3' THEN '/billing/7' ELSE '/cart' END AS route, 'cart-edit' AS screen_id
            FROM fact_sessions",
        // The second release is too near to the end of October for seven days after it.
        "CREATE TABLE dim_releases AS SELECT * FROM (VALUES
            ('o''hara', 'crm', 'v2', TIMESTAMP '2026-10-15T08:00:00', TIMESTAMP '2026-10-15T09:00:00'),
            ('o''hara', 'crm', 'v3', TIMESTAMP '2026-10-26T08:00:00', TIMESTAMP '2026-10-26T09:00:00'))
            AS t(org_id, product_id, version_tag, released_at, first_seen_at)",
    ];

    async fn facts() -> SessionContext {
        let settings = SessionConfig::new().set_bool("datafusion.sql_parser.map_string_types_to_utf8view", false);
        let context = SessionContext::new_with_config(settings);
        for facts in FACTS {
            context.sql(facts).await.unwrap();
        }
        context
    }

    fn october() -> BuildWindow {
        BuildWindow { from: "2026-10-01".to_owned(), to: "2026-10-31".to_owned() }
    }

    fn slice(number: u64, count: u64) -> Slice {
        let product = EligibleProduct {
            org_id: "o'hara".to_owned(),
            product_id: "crm".to_owned(),
            excluded_segments: vec!["internal".to_owned()],
            excluded_paths: vec!["/billing".to_owned()],
        };
        Slice { products: vec![product], visitors: VisitorPartition { number, count } }
    }

    /// The rows of a slice, the values of each joined by a space; a separator of a key is shown as `|`.
    async fn rows(kind: Kind, slice: &Slice) -> Vec<String> {
        let context = facts().await;
        let batches = contributions(&context, kind, &october(), slice).await.unwrap();
        let batches: Vec<RecordBatch> = batches.try_collect().await.unwrap();
        let row = |batch: &RecordBatch, row: usize| {
            let values = batch.columns().iter().map(|column| array_value_to_string(column, row).unwrap());
            values.collect::<Vec<_>>().join(" ").replace('\u{1f}', "|")
        };
        batches.iter().flat_map(|batch| (0..batch.num_rows()).map(move |at| row(batch, at))).collect()
    }

    #[tokio::test]
    async fn sessions_of_the_window_contribute_unless_they_are_excluded() {
        let all = rows(Kind::UxBenchmarks, &slice(0, 1)).await;
        assert_eq!(
            all,
            ["o'hara crm u1 2026-10-10|pay|2 s1/0 3 20 500", "o'hara crm u4 2026-10-20|pay|2 s4/0 3 20 100"]
        );
        let mut parts = rows(Kind::UxBenchmarks, &slice(0, 2)).await;
        parts.extend(rows(Kind::UxBenchmarks, &slice(1, 2)).await);
        parts.sort();
        assert_eq!(parts, all, "in two partitions of the visitors");
    }

    #[tokio::test]
    async fn a_task_flow_is_in_the_cell_of_its_archetype() {
        let flows = rows(Kind::TaskFlows, &slice(0, 1)).await;
        assert_eq!(flows, ["o'hara crm u1 pay|edit s1/0 20 500", "o'hara crm u4 pay|edit s4/0 20 100"]);
    }

    #[tokio::test]
    async fn a_release_compares_the_seven_days_before_with_those_after() {
        let deltas = rows(Kind::ReleaseDeltas, &slice(0, 1)).await;
        assert_eq!(deltas, ["o'hara crm u1 7|pay s1/0/before 500  250 ", "o'hara crm u4 7|pay s4/0/after  100  750"]);
    }

    #[tokio::test]
    async fn products_have_the_tasks_of_the_window() {
        let products = products(&facts().await, &october()).await.unwrap();
        let product = |org: &str, tasks| (org.to_owned(), "crm".to_owned(), tasks);
        assert_eq!(products, [product("o'hara", 4), product("other", 1)]);
    }

    #[tokio::test]
    async fn reports_are_not_computed_from_facts() {
        let context = facts().await;
        let refused = contributions(&context, Kind::InsightReports, &october(), &slice(0, 1)).await;
        assert!(matches!(refused.err(), Some(Error::NotFromFacts)));
    }
}
