//! What products look like: screens, the ways between them, their elements and tasks.
//!
//! A plan is data only. Weights are relative; the first screen is the usual way in.

/// A kind of product.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) kind: &'static str,
    pub(super) app: &'static str,
    pub(super) screens: &'static [Screen],
    pub(super) tasks: &'static [Task],
    pub(super) custom_events: &'static [&'static str],
}

/// A screen and where visitors go from it.
#[derive(Debug)]
pub(super) struct Screen {
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
pub(super) struct Task {
    pub(super) name: &'static str,
    pub(super) from: usize,
    pub(super) to: usize,
}

const fn screen(
    id: &'static str,
    route: &'static str,
    trouble: f32,
    next: &'static [(usize, u32)],
    elements: &'static [(&'static str, &'static str)],
) -> Screen {
    Screen { id, route, next, elements, trouble }
}

const fn task(name: &'static str, from: usize, to: usize) -> Task {
    Task { name, from, to }
}

/// The place of the billing screen in the CRM plan: the screen a demo finds.
pub(super) const CRM_BILLING: usize = 8;

/// The place of the import screen in the CRM plan: the second worst.
pub(super) const CRM_IMPORT: usize = 9;

/// The plans; product `p` of org `o` follows plan `(o + p) % PLANS.len()`.
pub(super) static PLANS: &[Plan] = &[
    Plan {
        kind: "crm",
        app: "CRM",
        screens: &[
            screen(
                "dashboard",
                "/",
                0.4,
                &[(1, 5), (3, 4), (5, 2), (6, 2), (8, 2)],
                &[("link", "my leads"), ("button", "refresh"), ("tab", "this week"), ("card", "pipeline")],
            ),
            screen(
                "leads_list",
                "/leads",
                0.8,
                &[(2, 8), (0, 1), (9, 2), (7, 1)],
                &[
                    ("row", "lead"),
                    ("button", "filter"),
                    ("button", "new lead"),
                    ("input", "search"),
                    ("link", "next page"),
                ],
            ),
            screen(
                "lead_details",
                "/leads/:id",
                1.0,
                &[(1, 4), (3, 3), (4, 3), (7, 1)],
                &[
                    ("button", "convert"),
                    ("button", "call"),
                    ("tab", "history"),
                    ("input", "note"),
                    ("select", "stage"),
                ],
            ),
            screen(
                "deals_board",
                "/deals",
                0.9,
                &[(4, 8), (0, 2), (6, 1)],
                &[("card", "deal"), ("button", "new deal"), ("select", "owner"), ("column", "won")],
            ),
            screen(
                "deal_details",
                "/deals/:id",
                1.1,
                &[(3, 5), (5, 2), (8, 2)],
                &[("button", "save"), ("button", "mark won"), ("input", "amount"), ("tab", "files")],
            ),
            screen(
                "contacts",
                "/contacts",
                0.6,
                &[(7, 5), (9, 2), (0, 2)],
                &[("row", "contact"), ("button", "merge"), ("input", "search")],
            ),
            screen(
                "reports",
                "/reports",
                1.3,
                &[(0, 4), (3, 2)],
                &[("select", "period"), ("button", "export"), ("chart", "funnel")],
            ),
            screen(
                "contact_details",
                "/contacts/:id",
                0.7,
                &[(5, 5), (2, 2), (0, 1)],
                &[("button", "edit"), ("button", "save"), ("link", "company")],
            ),
            screen(
                "billing",
                "/settings/billing",
                2.0,
                &[(0, 4), (10, 2)],
                &[
                    ("button", "save card"),
                    ("button", "download invoice"),
                    ("select", "plan"),
                    ("button", "apply code"),
                ],
            ),
            screen(
                "import_contacts",
                "/contacts/import",
                1.8,
                &[(5, 6), (0, 1)],
                &[("button", "upload"), ("button", "next step"), ("select", "column"), ("button", "start import")],
            ),
            screen(
                "settings",
                "/settings",
                0.5,
                &[(8, 3), (0, 3)],
                &[("link", "billing"), ("toggle", "notifications"), ("button", "save")],
            ),
        ],
        tasks: &[
            task("create_deal", 3, 4),
            task("convert_lead", 2, 3),
            task("import_contacts", 9, 5),
            task("update_billing", 8, 10),
        ],
        custom_events: &["export_started", "call_logged", "filter_saved"],
    },
    Plan {
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
            screen(
                "knowledge_base",
                "/help/articles",
                0.5,
                &[(6, 5), (0, 3)],
                &[("input", "search"), ("link", "article")],
            ),
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
    },
    Plan {
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
            screen(
                "onboarding",
                "/onboarding/:id",
                1.4,
                &[(2, 3), (0, 2)],
                &[("checkbox", "step"), ("button", "finish")],
            ),
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
    },
    Plan {
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
    },
    Plan {
        kind: "shop",
        app: "Shop",
        screens: &[
            screen(
                "home",
                "/",
                0.4,
                &[(1, 6), (2, 3), (6, 2)],
                &[("banner", "sale"), ("link", "category"), ("input", "search")],
            ),
            screen(
                "catalog",
                "/c/:id",
                0.7,
                &[(2, 8), (1, 3), (0, 1)],
                &[("card", "product"), ("checkbox", "filter"), ("link", "next page")],
            ),
            screen(
                "product",
                "/p/:id",
                0.8,
                &[(1, 4), (3, 4), (2, 3)],
                &[("button", "add to cart"), ("select", "size"), ("image", "gallery"), ("link", "reviews")],
            ),
            screen(
                "cart",
                "/cart",
                1.1,
                &[(4, 6), (1, 3), (0, 1)],
                &[("button", "checkout"), ("button", "remove"), ("input", "voucher")],
            ),
            screen(
                "checkout",
                "/checkout",
                1.9,
                &[(5, 6), (3, 3)],
                &[("button", "pay"), ("input", "street"), ("select", "delivery"), ("checkbox", "terms")],
            ),
            screen(
                "order_confirmed",
                "/orders/:id/thanks",
                0.3,
                &[(0, 3), (7, 1)],
                &[("link", "track"), ("button", "continue shopping")],
            ),
            screen(
                "search",
                "/search",
                1.2,
                &[(2, 7), (6, 3), (0, 1)],
                &[("input", "search"), ("card", "product"), ("select", "sort")],
            ),
            screen("account", "/account", 0.6, &[(0, 3), (5, 1)], &[("tab", "orders"), ("button", "save")]),
        ],
        tasks: &[task("buy", 3, 5), task("find_product", 6, 2)],
        custom_events: &["voucher_applied", "wishlist_added"],
    },
];

/// Names of organisations; later ones are numbered.
pub(super) static ORGS: &[&str] = &[
    "acme",
    "brightline",
    "cobalt",
    "driftwood",
    "evergreen",
    "fjord",
    "granite",
    "harbor",
    "indigo",
    "juniper",
    "kestrel",
    "lumen",
    "meridian",
    "northwind",
    "opal",
    "pinnacle",
    "quarry",
    "ridgeway",
    "sandbar",
    "tidewater",
];

/// Devices: type, system, browsers, weight.
pub(super) static DEVICES: &[(&str, &str, &[&str], u32)] = &[
    ("desktop", "Windows", &["Chrome", "Edge", "Firefox"], 52),
    ("desktop", "macOS", &["Chrome", "Safari", "Firefox"], 20),
    ("desktop", "Linux", &["Firefox", "Chrome"], 4),
    ("mobile", "Android", &["Chrome", "Samsung Internet"], 11),
    ("mobile", "iOS", &["Safari"], 9),
    ("tablet", "iPadOS", &["Safari"], 3),
    ("tablet", "Android", &["Chrome"], 1),
];

/// Visitor segments with weights; the empty one is none.
pub(super) static SEGMENTS: &[(&str, u32)] =
    &[("", 30), ("trial", 15), ("smb", 30), ("mid-market", 15), ("enterprise", 10)];

/// Releases with the part of the period after which they are rolled out.
pub(super) static RELEASES: &[(&str, f64)] = &[("2.1.0", 0.0), ("2.2.0", 0.28), ("2.3.0", 0.55), ("2.3.1", 0.86)];

/// The release that makes the worst screen of a product worse still.
pub(super) const BAD_RELEASE: usize = 2;

/// Errors that visitors meet.
pub(super) static ERRORS: &[(&str, u32)] =
    &[("500", 30), ("timeout", 20), ("422", 20), ("validation", 15), ("403", 8), ("js_error", 7)];
