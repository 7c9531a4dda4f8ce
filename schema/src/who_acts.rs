//! Who must act before an operation that failed can succeed.
//!
//! Every error type of a library crate has a method `who_acts()`, so that callers choose by type between a retry, a
//! stop with a message to the operator, and a refusal of the input.

/// Who must act on an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WhoActs {
    /// Nobody: the cause may pass, so the caller retries the same operation.
    Retry,
    /// The operator: a setting, a permission, a disk, a damaged file, or a defect of NetCrab. A retry does not help.
    Operator,
    /// The sender of the input. The input is refused, and would be refused again.
    Sender,
}
