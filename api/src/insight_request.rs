//! A question that has passed the gate: whose it is, about what, and which page of the answer.

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

/// Days of a period that is not given.
const PERIOD_DAYS: i32 = 30;

/// A question: the organisation has been checked, the parameters are of the right kind.
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
    /// A question at `path` of somebody who may ask about `key_org`; another organisation is not found.
    pub(crate) fn new(state: AppState, key_org: String, query: Query, path: String) -> Result<Self, Problem> {
        if let Some(org_id) = query.text(&params::ORG_ID).filter(|org_id| *org_id != key_org) {
            return Err(Problem::org_not_found(&quoted(org_id)));
        }
        let request = Self { state, org_id: key_org, query, path, cursor: None };
        let cursor = request.query.text(&params::CURSOR).map(|text| Cursor::open(text, &request.fingerprint()));
        Ok(Self { cursor: cursor.transpose()?, ..request })
    }

    /// Where the tables lie.
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

    /// The sessions that are asked about. The product must be one of the organisation's, once it has any.
    pub(crate) async fn scope(&self) -> Result<Scope, Problem> {
        let product_id = self.text(&params::PRODUCT_ID).unwrap_or_default();
        let products = self.store().products(&self.org_id).await?;
        let product = products.iter().find(|product| product.product_id == product_id);
        if product.is_none() && !products.is_empty() {
            return Err(product_not_found(&product_id, &products));
        }
        let newest = product.map_or_else(|| Day::of(self.state.now()), |product| product.last_day);
        let filter = Filter {
            segment: self.text(&params::SEGMENT),
            version: self.text(&params::VERSION),
            device: self.text(&params::DEVICE),
            task_type: self.text(&params::TASK_TYPE),
        };
        Ok(Scope { org_id: self.org_id.clone(), product_id, period: self.period(newest)?, filter })
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

    /// The days to look for a session in, where one end is given.
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

    /// The place that this page begins after.
    pub(crate) fn after<P: DeserializeOwned>(&self) -> Result<Option<P>, Problem> {
        self.cursor.as_ref().map(Cursor::place).transpose()
    }

    /// A page from the rows after its beginning, of which the store was asked for one more than the page takes.
    pub(crate) fn page<T, P: Serialize>(
        &self,
        scope: &Scope,
        mut items: Vec<T>,
        place: impl Fn(&T) -> P,
    ) -> ListPage<T> {
        let next_cursor = self.cut(Some(scope.period), &mut items, place);
        ListPage {
            org_id: scope.org_id.clone(),
            product_id: scope.product_id.clone(),
            from: scope.period.from,
            to: scope.period.to,
            items,
            next_cursor,
        }
    }

    /// Cuts rows to the page and says where the next one begins.
    pub(crate) fn cut<T, P: Serialize>(
        &self,
        period: Option<Period>,
        items: &mut Vec<T>,
        place: impl Fn(&T) -> P,
    ) -> Option<String> {
        if items.len() <= self.limit() {
            return None;
        }
        items.truncate(self.limit());
        Cursor::seal(period, place(items.last()?), &self.fingerprint())
    }

    /// The same for rows that are all at hand, in the order of their places.
    pub(crate) fn page_of_all<T, P>(
        &self,
        scope: &Scope,
        mut all: Vec<T>,
        place: impl Fn(&T) -> P,
    ) -> Result<ListPage<T>, Problem>
    where
        P: Ord + Serialize + DeserializeOwned,
    {
        all.sort_by_cached_key(&place);
        if let Some(after) = self.after::<P>()? {
            let begin = all.partition_point(|item| place(item) <= after);
            all.drain(..begin);
        }
        Ok(self.page(scope, all, place))
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
            Problem::new(Code::Internal, "the route let nobody in", "report this to the makers of NetCrab")
        })
    }
}
