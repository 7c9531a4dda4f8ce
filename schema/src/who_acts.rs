//! Who must act before an operation that failed can succeed.
//!
//! Every error type of a library crate answers `who_acts()`, so that a caller decides by the type what to do with
//! an error: try again, stop and tell the operator, or refuse the input.

/// Who must act on an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WhoActs {
    /// Nobody: the cause may pass, and a retry of the same operation helps.
    Retry,
    /// The operator: a setting, a right, a disk, a damaged file, or a defect of NetCrab. A retry does not help.
    Operator,
    /// Whoever sent the input: it is refused, and would be refused again.
    Sender,
}
