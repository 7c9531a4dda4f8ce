//! The plan of a help desk.

use super::super::plan::{ProductPlan, screen, task};

pub(in super::super) static DESK: ProductPlan = ProductPlan {
    kind: "desk",
    app: "Support Desk",
    screens: &[
        screen(
            "inbox",
            "/inbox",
            0.6,
            &[(1, 9), (2, 2), (4, 1)],
            &[("row", "ticket"), ("button", "refresh"), ("select", "view"), ("checkbox", "select all")],
        ),
        screen(
            "ticket_details",
            "/tickets/:id",
            1.2,
            &[(0, 6), (1, 3), (3, 2), (5, 1)],
            &[
                ("button", "send reply"),
                ("select", "status"),
                ("button", "assign"),
                ("input", "reply"),
                ("link", "macro"),
            ],
        ),
        screen(
            "new_ticket",
            "/tickets/new",
            1.4,
            &[(1, 6), (0, 2)],
            &[("button", "create"), ("input", "subject"), ("select", "priority"), ("button", "attach")],
        ),
        screen(
            "customer_profile",
            "/customers/:id",
            0.7,
            &[(1, 5), (0, 3)],
            &[("tab", "tickets"), ("button", "edit"), ("link", "orders")],
        ),
        screen(
            "sla_report",
            "/reports/sla",
            1.6,
            &[(0, 4)],
            &[("select", "period"), ("button", "export"), ("chart", "breaches")],
        ),
        screen("knowledge_base", "/help/articles", 0.5, &[(6, 5), (0, 3)], &[("input", "search"), ("link", "article")]),
        screen(
            "article_editor",
            "/help/articles/:id/edit",
            1.5,
            &[(5, 4), (0, 2)],
            &[("button", "publish"), ("button", "preview"), ("input", "title")],
        ),
    ],
    tasks: &[task("create_ticket", 2, 1), task("answer_ticket", 1, 0), task("publish_article", 6, 5)],
    custom_events: &["macro_applied", "ticket_merged"],
};
