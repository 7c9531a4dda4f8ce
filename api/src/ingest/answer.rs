//! The answer to a batch: how many events were accepted, and what is wrong with the others.

use netcrab_sources::reject::Fault;
use serde::Serialize;
use utoipa::ToSchema;

/// What became of a batch.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Verdict {
    /// `ok` where every event was accepted, `partial` where some were, `rejected` where none was.
    pub status: &'static str,
    /// Events that are durable now, also those that were before.
    pub accepted: usize,
    /// Events that were not taken; sending them again as they are changes nothing.
    pub rejected: usize,
    /// The first of those, by their place in the batch.
    pub errors: Vec<EventError>,
}

/// An event that was not taken.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct EventError {
    /// Its place in the batch, from 0.
    pub index: usize,
    /// The stable name of what is wrong with it.
    pub reason: &'static str,
    /// The column or key at fault; never its value.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required = false)]
    pub field: Option<String>,
}

impl Verdict {
    pub(super) fn new(accepted: usize, faults: &[(usize, Fault)], errors_max: usize) -> Self {
        let status = match (accepted, faults.len()) {
            (_, 0) => "ok",
            (0, _) => "rejected",
            _ => "partial",
        };
        let error = |(index, fault): &(usize, Fault)| EventError {
            index: *index,
            reason: fault.reason.name(),
            field: fault.field.as_deref().map(str::to_owned),
        };
        let errors = faults.iter().take(errors_max).map(error).collect();
        Self { status, accepted, rejected: faults.len(), errors }
    }
}
