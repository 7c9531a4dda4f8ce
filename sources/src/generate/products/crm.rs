//! The plan of a customer relationship manager.

use super::super::plan::{ProductPlan, screen, task};

/// The index of the billing screen: the worst, which a demo should find.
pub(in super::super) const CRM_BILLING: usize = 8;

/// The index of the import screen: the second worst.
pub(in super::super) const CRM_IMPORT: usize = 9;

pub(in super::super) static CRM: ProductPlan = ProductPlan {
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
            &[("button", "convert"), ("button", "call"), ("tab", "history"), ("input", "note"), ("select", "stage")],
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
            &[("button", "save card"), ("button", "download invoice"), ("select", "plan"), ("button", "apply code")],
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
};
