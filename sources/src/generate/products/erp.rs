//! The plan of an enterprise resource planner.

use super::super::plan::{ProductPlan, screen, task};

pub(in super::super) static ERP: ProductPlan = ProductPlan {
    kind: "erp",
    app: "Operations",
    screens: &[
        screen(
            "cockpit",
            "/",
            0.5,
            &[(1, 4), (3, 4), (5, 3)],
            &[("tile", "open orders"), ("tile", "stock"), ("button", "refresh")],
        ),
        screen(
            "order_list",
            "/orders",
            0.9,
            &[(2, 8), (0, 2)],
            &[("row", "order"), ("button", "filter"), ("button", "new order")],
        ),
        screen(
            "order_details",
            "/orders/:id",
            1.3,
            &[(1, 4), (4, 2), (6, 3)],
            &[("button", "release"), ("button", "save"), ("tab", "positions"), ("input", "quantity")],
        ),
        screen(
            "stock",
            "/stock",
            0.8,
            &[(4, 5), (0, 3)],
            &[("row", "article"), ("input", "search"), ("button", "count")],
        ),
        screen(
            "article_details",
            "/stock/:id",
            0.9,
            &[(3, 5), (2, 1)],
            &[("button", "move"), ("tab", "history"), ("button", "save")],
        ),
        screen("invoices", "/invoices", 1.1, &[(6, 6), (0, 2)], &[("row", "invoice"), ("button", "export")]),
        screen(
            "invoice_details",
            "/invoices/:id",
            1.6,
            &[(5, 4), (2, 2), (0, 1)],
            &[("button", "post"), ("button", "cancel"), ("input", "account")],
        ),
    ],
    tasks: &[task("release_order", 2, 6), task("post_invoice", 6, 5), task("count_stock", 3, 4)],
    custom_events: &["batch_started", "label_printed"],
};
