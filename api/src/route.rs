//! One route: its path, who may ask, what it takes and what it answers.

use axum::routing::MethodRouter;

use crate::openapi::answer::Answer;
use crate::params::Param;
use crate::state::AppState;

/// Who may ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    /// Anybody: nothing of an organisation is in the answer.
    Public,
    /// Whoever holds a key, about the key's organisation.
    Member,
    /// Whoever holds an agent key: sends events of the key's organisation.
    Agent,
}

/// One route. Those of `Agent` are POST, all others GET.
pub(crate) struct Route {
    /// Its path, as axum and OpenAPI write it.
    pub path: &'static str,
    /// Who may ask.
    pub access: Access,
    /// The parameters it takes; any other is refused.
    pub params: &'static [&'static Param],
    /// The handler.
    pub handler: fn() -> MethodRouter<AppState>,
    /// One sentence for the document.
    pub summary: &'static str,
    /// The answer, with an example.
    pub answer: Answer,
}
