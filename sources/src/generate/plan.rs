//! The shape of a product plan.

#[derive(Debug)]
pub(super) struct ProductPlan {
    pub(super) kind: &'static str,
    pub(super) app: &'static str,
    pub(super) screens: &'static [ScreenPlan],
    pub(super) tasks: &'static [TaskPlan],
    pub(super) custom_events: &'static [&'static str],
}

/// A screen and where visitors go from it.
#[derive(Debug)]
pub(super) struct ScreenPlan {
    pub(super) id: &'static str,
    pub(super) route: &'static str,
    /// Places of other screens in the plan, with weights.
    pub(super) next: &'static [(usize, u32)],
    /// Element types with the words their label hash stands for.
    pub(super) elements: &'static [(&'static str, &'static str)],
    /// How much goes wrong here, as a multiple of what is usual.
    pub(super) trouble: f32,
}

/// A task: where it begins and where it is done.
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
