//! The plan of a personnel system.

use super::super::plan::{ProductPlan, screen, task};

pub(in super::super) static HR: ProductPlan = ProductPlan {
    kind: "hr",
    app: "People",
    screens: &[
        screen(
            "home",
            "/",
            0.4,
            &[(1, 4), (3, 4), (5, 2), (6, 1)],
            &[("card", "absences"), ("link", "payslip"), ("button", "request leave")],
        ),
        screen(
            "employee_list",
            "/employees",
            0.8,
            &[(2, 7), (0, 2)],
            &[("row", "employee"), ("input", "search"), ("button", "export")],
        ),
        screen(
            "employee_details",
            "/employees/:id",
            1.0,
            &[(1, 4), (0, 2), (7, 1)],
            &[("tab", "contract"), ("button", "edit"), ("button", "save")],
        ),
        screen(
            "leave_request",
            "/leave/new",
            1.5,
            &[(4, 6), (0, 2)],
            &[("input", "from"), ("input", "to"), ("button", "submit"), ("select", "kind")],
        ),
        screen(
            "leave_calendar",
            "/leave",
            0.9,
            &[(0, 4), (3, 2)],
            &[("cell", "day"), ("button", "next month"), ("select", "team")],
        ),
        screen("payslips", "/payslips", 0.7, &[(0, 4)], &[("row", "month"), ("button", "download")]),
        screen("expenses", "/expenses", 1.3, &[(8, 5), (0, 2)], &[("button", "new claim"), ("row", "claim")]),
        screen("onboarding", "/onboarding/:id", 1.4, &[(2, 3), (0, 2)], &[("checkbox", "step"), ("button", "finish")]),
        screen(
            "expense_claim",
            "/expenses/:id",
            1.7,
            &[(6, 4), (0, 1)],
            &[("button", "attach receipt"), ("button", "submit"), ("input", "amount")],
        ),
    ],
    tasks: &[task("request_leave", 3, 4), task("claim_expenses", 8, 6), task("finish_onboarding", 7, 2)],
    custom_events: &["payslip_downloaded", "calendar_shared"],
};
