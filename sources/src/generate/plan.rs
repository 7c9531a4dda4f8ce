//! The definition of a product: screens, the ways between them, and tasks.

#[derive(Debug)]
pub(super) struct ProductPlan {
    pub(super) kind: &'static str,
    pub(super) app: &'static str,
    pub(super) screens: &'static [ScreenPlan],
    pub(super) tasks: &'static [TaskPlan],
    pub(super) custom_events: &'static [&'static str],
}

/// A screen, and where visitors go from it.
#[derive(Debug)]
pub(super) struct ScreenPlan {
    pub(super) id: &'static str,
    pub(super) route: &'static str,
    /// Indexes of other screens of the product, with weights.
    pub(super) next: &'static [(usize, u32)],
    /// Element types, with the text whose hash is the label.
    pub(super) elements: &'static [(&'static str, &'static str)],
    /// How much goes wrong here; 1 is usual.
    pub(super) trouble: f32,
}

/// A task: the screen where it begins and the screen where it is completed.
#[derive(Debug)]
pub(super) struct TaskPlan {
    pub(super) name: &'static str,
    pub(super) from: usize,
    pub(super) to: usize,
}

pub(super) const fn screen(
    id: &'static str,
    route: &'static str,
    trouble: f32,
    next: &'static [(usize, u32)],
    elements: &'static [(&'static str, &'static str)],
) -> ScreenPlan {
    ScreenPlan { id, route, next, elements, trouble }
}

pub(super) const fn task(name: &'static str, from: usize, to: usize) -> TaskPlan {
    TaskPlan { name, from, to }
}
