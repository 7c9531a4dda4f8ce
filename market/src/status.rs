//! The status of a version: the only thing about it that changes.
//!
//!     draft ─▶ active ─▶ deprecated ─▶ revoked
//!       │        └──────────────────────▲
//!       └───────────────────────────────┘

use std::fmt;

/// The status of a version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Status {
    /// Stored, and not yet offered.
    Draft,
    /// Offered.
    Active,
    /// No longer offered; still served to those who have it.
    Deprecated,
    /// No longer served to anybody.
    Revoked,
}

impl Status {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Draft, Self::Active, Self::Deprecated, Self::Revoked];

    /// The name under which it is stored and shown.
    pub fn name(self) -> &'static str {
        match self {
            Self::Draft => "draft",
            Self::Active => "active",
            Self::Deprecated => "deprecated",
            Self::Revoked => "revoked",
        }
    }

    /// The statuses that may follow this one.
    pub fn next(self) -> &'static [Self] {
        match self {
            Self::Draft => &[Self::Active, Self::Revoked],
            Self::Active => &[Self::Deprecated, Self::Revoked],
            Self::Deprecated => &[Self::Revoked],
            Self::Revoked => &[],
        }
    }

    /// The statuses that may follow, in words for an error.
    pub(crate) fn ways(self) -> String {
        let next: Vec<_> = self.next().iter().map(|status| status.name()).collect();
        if next.is_empty() {
            return format!("{self} is final, store a new version instead");
        }
        format!("from {self} it may become {}", next.join(" or "))
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
