//! `GET /v1/flows/top` and `/v1/flows/graph`: the moves between screens, most travelled first.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use axum::Json;
use serde::Serialize;
use utoipa::ToSchema;

use super::arithmetic::mean;
use crate::insight_request::{InsightRequest, ListPage};
use crate::period::Day;
use crate::problem::Problem;
use crate::store::MoveSums;

/// Moves from one screen to another.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Flow {
    /// Screen left; null where sessions enter.
    #[schema(required)]
    pub from_screen: Option<String>,
    /// Screen reached; null where sessions end.
    #[schema(required)]
    pub to_screen: Option<String>,
    /// How often.
    pub moves: i64,
    /// Sessions that made the move, counted once for each day.
    pub sessions: i64,
    /// Mean frustration of those sessions.
    #[schema(required)]
    pub friction: Option<f64>,
}

/// Screens and the moves between them.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct FlowGraph {
    /// The organisation.
    pub org_id: String,
    /// The product.
    pub product_id: String,
    /// First day.
    #[schema(value_type = String, format = Date)]
    pub from: Day,
    /// Last day.
    #[schema(value_type = String, format = Date)]
    pub to: Day,
    /// The screens that the links touch, by name, counted over all moves.
    pub nodes: Vec<Node>,
    /// The `limit` most travelled moves.
    pub links: Vec<Flow>,
    /// What `limit` left out.
    pub omitted: Omitted,
}

/// A screen in a graph.
#[derive(Debug, Default, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Node {
    /// The screen.
    pub screen_id: String,
    /// Visits to it.
    pub visits: i64,
    /// Visits that begin a session's path.
    pub entries: i64,
    /// Visits that end it.
    pub exits: i64,
}

/// What a graph omits.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Omitted {
    /// Links.
    pub links: usize,
    /// Their moves.
    pub moves: i64,
}

/// Answers with a page of moves.
pub(crate) async fn top(request: InsightRequest) -> Result<Json<ListPage<Flow>>, Problem> {
    let scope = request.scope().await?;
    let flows = request.store().moves(&scope).await?.into_iter().map(Flow::from).collect();
    Ok(Json(request.page_of_all(&scope, flows, Flow::position)?))
}

/// Answers with the graph of the most travelled moves.
pub(crate) async fn graph(request: InsightRequest) -> Result<Json<FlowGraph>, Problem> {
    let scope = request.scope().await?;
    let moves = request.store().moves(&scope).await?;
    let mut nodes = nodes(&moves);
    let mut links: Vec<Flow> = moves.into_iter().map(Flow::from).collect();
    links.sort_by_cached_key(Flow::position);
    let omitted = links.split_off(links.len().min(request.limit()));
    let touched = |screen_id: &String| {
        let ends = links.iter().flat_map(|link| [&link.from_screen, &link.to_screen]);
        ends.flatten().any(|end| end == screen_id)
    };
    nodes.retain(|screen_id, _| touched(screen_id));
    Ok(Json(FlowGraph {
        org_id: scope.org_id,
        product_id: scope.product_id,
        from: scope.period.from,
        to: scope.period.to,
        omitted: Omitted { links: omitted.len(), moves: omitted.iter().map(|link| link.moves).sum() },
        nodes: nodes.into_values().collect(),
        links,
    }))
}

fn nodes(moves: &[MoveSums]) -> BTreeMap<String, Node> {
    let mut nodes: BTreeMap<String, Node> = BTreeMap::new();
    let mut add = |screen_id: &str, add: fn(&mut Node, i64), moves: i64| {
        if !screen_id.is_empty() {
            let node = nodes.entry(screen_id.to_owned());
            add(node.or_insert_with(|| Node { screen_id: screen_id.to_owned(), ..Node::default() }), moves);
        }
    };
    for sums in moves {
        add(&sums.to_screen, |node, moves| node.visits += moves, sums.moves);
        if sums.from_screen.is_empty() {
            add(&sums.to_screen, |node, moves| node.entries += moves, sums.moves);
        }
        if sums.to_screen.is_empty() {
            add(&sums.from_screen, |node, moves| node.exits += moves, sums.moves);
        }
    }
    nodes
}

impl Flow {
    fn position(&self) -> (Reverse<i64>, Option<String>, Option<String>) {
        (Reverse(self.moves), self.from_screen.clone(), self.to_screen.clone())
    }
}

impl From<MoveSums> for Flow {
    fn from(sums: MoveSums) -> Self {
        let screen = |screen: String| (!screen.is_empty()).then_some(screen);
        Self {
            moves: sums.moves,
            sessions: sums.sessions,
            friction: mean(sums.frustration_sum, sums.sessions),
            from_screen: screen(sums.from_screen),
            to_screen: screen(sums.to_screen),
        }
    }
}
