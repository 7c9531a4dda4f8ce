//! The plan of a shop.

use super::super::plan::{ProductPlan, screen, task};

pub(in super::super) static SHOP: ProductPlan = ProductPlan {
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
};
