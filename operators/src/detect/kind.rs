//! The kinds of friction.

/// The kinds of friction, in the order in which incidents of a session are listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Kind {
    /// Several clicks on one target in a moment.
    RageClick,
    /// A click that nothing answered.
    DeadClick,
    /// A click that an error answered.
    ErrorClick,
    /// A screen left at once for the one before it.
    Backtrack,
    /// A task begun and not completed in time.
    AbandonedTask,
}

impl Kind {
    /// Every kind, in order.
    pub const ALL: [Kind; 5] =
        [Kind::RageClick, Kind::DeadClick, Kind::ErrorClick, Kind::Backtrack, Kind::AbandonedTask];

    /// The name in tables and API.
    pub fn name(self) -> &'static str {
        match self {
            Kind::RageClick => "rage_click",
            Kind::DeadClick => "dead_click",
            Kind::ErrorClick => "error_click",
            Kind::Backtrack => "backtrack",
            Kind::AbandonedTask => "abandoned_task",
        }
    }
}
