//! One route: its path, who may use it, its parameters and its answer.

use axum::routing::MethodRouter;

use crate::openapi::answer::Answer;
use crate::params::Param;
use crate::state::AppState;

/// Who may use it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    /// Anybody: the answer contains nothing of an organisation.
    Public,
    /// Whoever has a key, for questions about the key's organisation.
    Member,
    /// Whoever has an agent key, to send events of the key's organisation.
    Agent,
}

/// One route. Routes of [`Access::Agent`] are POST, all others are GET.
pub(crate) struct Route {
    /// Its path, as axum and OpenAPI write it.
    pub path: &'static str,
    /// Who may use a route.
    pub access: Access,
    /// The parameters it takes; any other is refused.
    pub params: &'static [&'static Param],
    /// The handler.
    pub handler: fn() -> MethodRouter<AppState>,
    /// One sentence for the OpenAPI document.
    pub summary: &'static str,
    /// The answer, with an example.
    pub answer: Answer,
}
