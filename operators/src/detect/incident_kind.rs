//! The kinds of incidents.

/// The kinds of incidents, in the order in which the incidents of a session are listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum IncidentKind {
    /// Several clicks on one target in a moment.
    RageClick,
    /// A click without a reaction of the page.
    DeadClick,
    /// A click that an error followed.
    ErrorClick,
    /// A screen left at once for the one before it.
    Backtrack,
    /// A task begun and not completed in time.
    AbandonedTask,
}

impl IncidentKind {
    /// Every kind, in order.
    pub const ALL: [IncidentKind; 5] = [
        IncidentKind::RageClick,
        IncidentKind::DeadClick,
        IncidentKind::ErrorClick,
        IncidentKind::Backtrack,
        IncidentKind::AbandonedTask,
    ];

    /// The name in tables and API.
    pub fn name(self) -> &'static str {
        match self {
            IncidentKind::RageClick => "rage_click",
            IncidentKind::DeadClick => "dead_click",
            IncidentKind::ErrorClick => "error_click",
            IncidentKind::Backtrack => "backtrack",
            IncidentKind::AbandonedTask => "abandoned_task",
        }
    }
}
