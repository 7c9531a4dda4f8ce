//! Who contributes to what.

use netcrab_market::{Error, Market, OptIn};

use super::subjects;

fn opt_in(org_id: &str, category: &str, product: Option<&str>, paths: &[&str], segments: &[&str]) -> OptIn {
    let texts = |list: &[&str]| list.iter().map(|&text| text.to_owned()).collect();
    OptIn {
        org_id: org_id.to_owned(),
        category: category.to_owned(),
        product_id: product.map(str::to_owned),
        excluded_paths: texts(paths),
        excluded_segments: texts(segments),
    }
}

/// The contributors, one a line: organisation, product, excluded paths, excluded segments.
async fn contributors(market: &Market, vertical: Option<&str>, categories: &[&str]) -> String {
    let categories: Vec<_> = categories.iter().map(|&category| category.to_owned()).collect();
    let found = market.contributors(vertical, &categories).await.unwrap();
    let line = |c: netcrab_market::Contributor| {
        let product = c.product_id.unwrap_or("*".to_owned());
        format!("{} {product} [{}] [{}]", c.org_id, c.excluded_paths.join(" "), c.excluded_segments.join(" "))
    };
    found.into_iter().map(line).collect::<Vec<_>>().join("\n")
}

#[tokio::test]
async fn only_those_contribute_who_opted_in_to_a_category_and_work_in_the_vertical() {
    for subject in subjects().await {
        let market = &subject.market;
        for (org_id, vertical) in [("zeta", "B2B_CRM"), ("acme", "B2B_CRM"), ("desk", "SUPPORT_DESK"), ("none", "ERP")]
        {
            market.set_vertical(org_id, vertical, 1).await.unwrap();
        }
        for org_id in ["zeta", "acme", "desk"] {
            market.opt_in(&opt_in(org_id, "ux", None, &[], &[]), 2).await.unwrap();
        }
        market.opt_in(&opt_in("none", "flows", None, &[], &[]), 2).await.unwrap();
        assert_eq!(contributors(market, Some("B2B_CRM"), &["ux"]).await, "acme * [] []\nzeta * [] []");
        assert_eq!(contributors(market, None, &["ux"]).await, "acme * [] []\ndesk * [] []\nzeta * [] []");
        assert_eq!(contributors(market, Some("B2B_CRM"), &["flows"]).await, "");
        assert_eq!(contributors(market, None, &[]).await, "");
        market.set_vertical("zeta", "ERP", 3).await.unwrap();
        assert_eq!(contributors(market, Some("B2B_CRM"), &["ux"]).await, "acme * [] []", "{}", subject.name);
    }
}

#[tokio::test]
async fn exclusions_of_several_opt_ins_for_the_same_product_are_united() {
    for subject in subjects().await {
        let market = &subject.market;
        market.set_vertical("acme", "ERP", 1).await.unwrap();
        market.opt_in(&opt_in("acme", "ux", None, &["/b", "/a"], &["staff"]), 1).await.unwrap();
        market.opt_in(&opt_in("acme", "flows", None, &["/c", "/a"], &["test"]), 1).await.unwrap();
        market.opt_in(&opt_in("acme", "reports", None, &["/unasked"], &[]), 1).await.unwrap();
        let found = contributors(market, None, &["ux", "flows"]).await;
        assert_eq!(found, "acme * [/a /b /c] [staff test]", "{}", subject.name);
    }
}

#[tokio::test]
async fn an_opt_in_for_a_product_adds_to_the_one_for_all() {
    for subject in subjects().await {
        let market = &subject.market;
        market.set_vertical("acme", "ERP", 1).await.unwrap();
        market.opt_in(&opt_in("acme", "ux", Some("shop"), &["/legal"], &[]), 1).await.unwrap();
        assert_eq!(contributors(market, None, &["ux"]).await, "acme shop [/legal] []");
        market.opt_in(&opt_in("acme", "ux", None, &["/admin"], &["staff"]), 1).await.unwrap();
        let found = contributors(market, None, &["ux"]).await;
        assert_eq!(found, "acme * [/admin] [staff]\nacme shop [/admin /legal] [staff]", "{}", subject.name);
    }
}

#[tokio::test]
async fn an_opt_in_replaces_the_one_that_stood() {
    for subject in subjects().await {
        let market = &subject.market;
        market.set_vertical("acme", "ERP", 1).await.unwrap();
        market.opt_in(&opt_in("acme", "ux", None, &["/a"], &["x"]), 1).await.unwrap();
        market.opt_in(&opt_in("acme", "ux", None, &["/b \"quoted\" ä"], &[]), 2).await.unwrap();
        assert_eq!(contributors(market, None, &["ux"]).await, "acme * [/b \"quoted\" ä] []", "{}", subject.name);
    }
}

#[tokio::test]
async fn an_opt_out_ends_exactly_one_opt_in() {
    for subject in subjects().await {
        let market = &subject.market;
        market.set_vertical("acme", "ERP", 1).await.unwrap();
        market.opt_in(&opt_in("acme", "ux", None, &[], &[]), 1).await.unwrap();
        market.opt_in(&opt_in("acme", "ux", Some("shop"), &[], &[]), 1).await.unwrap();
        assert!(!market.opt_out("acme", "flows", None).await.unwrap());
        assert!(!market.opt_out("other", "ux", None).await.unwrap());
        assert!(market.opt_out("acme", "ux", None).await.unwrap());
        assert_eq!(contributors(market, None, &["ux"]).await, "acme shop [] []");
        assert!(!market.opt_out("acme", "ux", None).await.unwrap(), "{}", subject.name);
        assert!(market.opt_out("acme", "ux", Some("shop")).await.unwrap());
        assert_eq!(contributors(market, None, &["ux"]).await, "");
    }
}

#[tokio::test]
async fn organisations_are_listed_sorted_with_what_they_agreed_to() {
    for subject in subjects().await {
        let market = &subject.market;
        for org_id in ["b", "B", "a"] {
            market.set_vertical(org_id, "ERP", 1).await.unwrap();
        }
        let given = [opt_in("b", "flows", None, &["/z", "/a"], &[]), opt_in("b", "flows", Some("shop"), &[], &["s"])];
        for opt_in in given.iter().rev() {
            market.opt_in(opt_in, 1).await.unwrap();
        }
        let found = market.organisations().await.unwrap();
        let names: Vec<_> = found.iter().map(|organisation| &*organisation.org_id).collect();
        assert_eq!(names, ["B", "a", "b"], "{}", subject.name);
        assert_eq!(found[2].opt_ins, given);
        assert!(found[0].opt_ins.is_empty());
        assert_eq!(found[0].vertical, "ERP");
    }
}

#[tokio::test]
async fn an_organisation_without_a_vertical_is_told_to_set_it_first() {
    for subject in subjects().await {
        let refused = subject.market.opt_in(&opt_in("acme", "ux", None, &[], &[]), 1).await.unwrap_err();
        assert!(matches!(&refused, Error::NoVertical { org_id } if org_id == "acme"), "{}: {refused}", subject.name);
    }
}
