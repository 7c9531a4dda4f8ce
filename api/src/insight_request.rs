//! A request for insights that has passed the gate: its organisation, its scope, and the page of the answer.
//!
//!     organisation of the key + query parameters + cursor ─▶ Scope, page

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use netcrab_schema::nearest;
use serde::Serialize;
use serde::de::DeserializeOwned;
use utoipa::ToSchema;

use crate::cursor::Cursor;
use crate::params::{self, Param, Query, invalid, quoted};
use crate::period::{Day, Period};
use crate::problem::{Code, Problem};
use crate::state::AppState;
use crate::store::{Filter, InsightStore, Product, Scope};

/// Days of the default period.
const PERIOD_DAYS: i32 = 30;

/// A request whose organisation and parameters have been checked.
#[derive(Clone)]
pub(crate) struct InsightRequest {
    state: AppState,
    org_id: String,
    query: Query,
    path: String,
    cursor: Option<Cursor>,
}

/// One page of a list.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ListPage<T> {
    /// The organisation.
    pub org_id: String,
    /// The product.
    pub product_id: String,
    /// First day of the answer.
    #[schema(value_type = String, format = Date)]
    pub from: Day,
    /// Last day of the answer.
    #[schema(value_type = String, format = Date)]
    pub to: Day,
    /// The rows of this page.
    pub items: Vec<T>,
    /// Where the next page begins; null on the last one.
    #[schema(required)]
    pub next_cursor: Option<String>,
}

impl InsightRequest {
    /// A request at `path` with a key of `key_org`. For any other organisation the answer is that it is not found.
    pub(crate) fn new(state: AppState, key_org: String, query: Query, path: String) -> Result<Self, Problem> {
        if let Some(org_id) = query.text(&params::ORG_ID).filter(|org_id| *org_id != key_org) {
            return Err(Problem::org_not_found(&quoted(org_id)));
        }
        let request = Self { state, org_id: key_org, query, path, cursor: None };
        let cursor = request.query.text(&params::CURSOR).map(|text| Cursor::open(text, &request.fingerprint()));
        Ok(Self { cursor: cursor.transpose()?, ..request })
    }

    /// The store that answers.
    pub(crate) fn store(&self) -> &dyn InsightStore {
        self.state.store()
    }

    /// The organisation.
    pub(crate) fn org_id(&self) -> &str {
        &self.org_id
    }

    /// The value of a text parameter.
    pub(crate) fn text(&self, param: &Param) -> Option<String> {
        self.query.owned(param)
    }

    /// The value of a number, or its default.
    pub(crate) fn number(&self, param: &Param) -> usize {
        self.query.number(param)
    }

    /// Most items of this page.
    pub(crate) fn limit(&self) -> usize {
        self.query.number(&params::LIMIT)
    }

    /// The sessions that the request is about. Once the organisation has products, the product must be one of them.
    pub(crate) async fn scope(&self) -> Result<Scope, Problem> {
        let product_id = self.text(&params::PRODUCT_ID).unwrap_or_default();
        let products = self.store().products(&self.org_id).await?;
        let product = products.iter().find(|product| product.product_id == product_id);
        if product.is_none() && !products.is_empty() {
            return Err(product_not_found(&product_id, &products));
        }
        let newest = self.newest_day(product).await?;
        let filter = Filter {
            segment: self.text(&params::SEGMENT),
            version: self.text(&params::VERSION),
            device: self.text(&params::DEVICE),
            task_type: self.text(&params::TASK_TYPE),
        };
        Ok(Scope { org_id: self.org_id.clone(), product_id, period: self.period(newest)?, filter })
    }

    /// The last day of the default period: the newest day with a session, but not one that is still to come. A single
    /// event with a wrong time does not move it.
    async fn newest_day(&self, product: Option<&Product>) -> Result<Day, Problem> {
        let today = Day::of(self.state.now());
        Ok(match product {
            None => today,
            Some(product) if product.last_day <= today => product.last_day,
            Some(product) => {
                let newest = self.store().newest_day(&self.org_id, &product.product_id, today).await?;
                newest.unwrap_or(today)
            }
        })
    }

    fn period(&self, newest: Day) -> Result<Period, Problem> {
        if let Some(period) = self.cursor.as_ref().and_then(|cursor| cursor.period) {
            return Ok(period);
        }
        let from = self.query.day(&params::FROM);
        let to = self.query.day(&params::TO).unwrap_or_else(|| from.map_or(newest, |from| from.max(newest)));
        let period = Period { from: from.unwrap_or_else(|| to.plus(1 - PERIOD_DAYS)), to };
        self.in_bounds(period)
    }

    /// The days to search for a session; `None` where the request gives neither end.
    pub(crate) fn period_hint(&self) -> Result<Option<Period>, Problem> {
        match (self.query.day(&params::FROM), self.query.day(&params::TO)) {
            (None, None) => Ok(None),
            (from, to) => {
                let from = from.or(to).unwrap_or(Day(0));
                self.in_bounds(Period { from, to: to.unwrap_or(from) }).map(Some)
            }
        }
    }

    fn in_bounds(&self, period: Period) -> Result<Period, Problem> {
        let days_max = self.state.limits().period_days_max;
        if period.from > period.to {
            return Err(invalid("from", "is after `to`", "give the earlier day as `from`"));
        }
        if period.days() > days_max {
            let wrong = format!("is {} days before `to`, the last day", period.days() - 1);
            return Err(invalid("from", &wrong, &format!("ask for at most {days_max} days at once")));
        }
        Ok(period)
    }

    /// The position after which this page begins; `None` on the first page.
    pub(crate) fn after<P: DeserializeOwned>(&self) -> Result<Option<P>, Problem> {
        self.cursor.as_ref().map(Cursor::position).transpose()
    }

    /// A page of `items`, which begin after the position of the cursor. The store was asked for one item more than a
    /// page has, so that a further page is known.
    pub(crate) fn page<T, P: Serialize>(
        &self,
        scope: &Scope,
        mut items: Vec<T>,
        position: impl Fn(&T) -> P,
    ) -> ListPage<T> {
        let next_cursor = self.cut(Some(scope.period), &mut items, position);
        ListPage {
            org_id: scope.org_id.clone(),
            product_id: scope.product_id.clone(),
            from: scope.period.from,
            to: scope.period.to,
            items,
            next_cursor,
        }
    }

    /// Cuts items to the length of a page, and gives the cursor of the next page.
    pub(crate) fn cut<T, P: Serialize>(
        &self,
        period: Option<Period>,
        items: &mut Vec<T>,
        position: impl Fn(&T) -> P,
    ) -> Option<String> {
        if items.len() <= self.limit() {
            return None;
        }
        items.truncate(self.limit());
        Cursor::seal(period, position(items.last()?), &self.fingerprint())
    }

    /// A page of `all` items, in the order of their positions.
    pub(crate) fn page_of_all<T, P>(
        &self,
        scope: &Scope,
        mut all: Vec<T>,
        position: impl Fn(&T) -> P,
    ) -> Result<ListPage<T>, Problem>
    where
        P: Ord + Serialize + DeserializeOwned,
    {
        all.sort_by_cached_key(&position);
        if let Some(after) = self.after::<P>()? {
            let begin = all.partition_point(|item| position(item) <= after);
            all.drain(..begin);
        }
        Ok(self.page(scope, all, position))
    }

    fn fingerprint(&self) -> String {
        format!("{}?{}&{}", self.path, self.query.fingerprint(), self.org_id)
    }
}

fn product_not_found(product_id: &str, products: &[Product]) -> Problem {
    let names = products.iter().map(|product| product.product_id.as_str());
    let mend = match nearest(product_id, names) {
        Some(name) => format!("did you mean `{name}`? GET /v1/insights/products lists them all"),
        None => "GET /v1/insights/products lists the products that have sessions".to_owned(),
    };
    Problem::new(Code::ProductNotFound, format!("there are no sessions of product {}", quoted(product_id)), mend)
}

impl FromRequestParts<AppState> for InsightRequest {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &AppState) -> Result<Self, Problem> {
        let request = parts.extensions.get::<Self>().cloned();
        request.ok_or_else(|| {
            Problem::new(Code::Internal, "the route has no gate", "report this to the makers of NetCrab")
        })
    }
}
