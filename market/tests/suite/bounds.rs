//! Both sides of every bound.

use netcrab_market::{
    CONTRIBUTIONS_MAX, Error, LIST_ENTRIES_MAX, NewVersion, ORG_ID_BYTES_MAX, OptIn, PATH_BYTES_MAX, RESULT_BYTES_MAX,
    TEXT_BYTES_MAX,
};

use super::{contribution, spend, subjects, version};

#[tokio::test]
async fn names_are_neither_empty_nor_too_long() {
    for subject in subjects().await {
        let market = &subject.market;
        market.set_vertical(&"o".repeat(ORG_ID_BYTES_MAX), &"v".repeat(TEXT_BYTES_MAX), 1).await.unwrap();
        let long = market.set_vertical(&"o".repeat(ORG_ID_BYTES_MAX + 1), "ERP", 1).await.unwrap_err();
        assert_eq!(long.to_string(), "the organisation has 65 bytes, at most 64 are allowed; shorten it");
        let empty = market.set_vertical("", "ERP", 1).await.unwrap_err();
        assert!(matches!(empty, Error::Empty { .. }), "{empty}");
        let nul = market.set_vertical("a\0b", "ERP", 1).await.unwrap_err();
        assert!(matches!(nul, Error::Nul { .. }), "{nul}");
        let empty = market.opt_out("acme", "ux", Some("")).await.unwrap_err();
        assert!(matches!(empty, Error::Empty { what: "the product" }), "{empty}");
        let long = market.lease(&"l".repeat(TEXT_BYTES_MAX + 1), "one", 1, 0).await.unwrap_err();
        assert!(matches!(long, Error::TooLong { what: "the lease", .. }), "{long}");
    }
}

#[tokio::test]
async fn lists_hold_a_thousand_entries() {
    for subject in subjects().await {
        let market = &subject.market;
        market.set_vertical("acme", "ERP", 1).await.unwrap();
        let opt_in = |paths: Vec<String>| OptIn {
            org_id: "acme".to_owned(),
            category: "ux".to_owned(),
            product_id: None,
            excluded_paths: paths,
            excluded_segments: vec![],
        };
        let full = vec!["/".repeat(PATH_BYTES_MAX); LIST_ENTRIES_MAX];
        market.opt_in(&opt_in(full), 1).await.unwrap();
        let many = market.opt_in(&opt_in(vec!["/a".to_owned(); LIST_ENTRIES_MAX + 1]), 1).await.unwrap_err();
        assert!(matches!(many, Error::TooMany { what: "excluded paths", .. }), "{many}");
        let long = market.opt_in(&opt_in(vec!["/".repeat(PATH_BYTES_MAX + 1)]), 1).await.unwrap_err();
        assert!(matches!(long, Error::TooLong { what: "an excluded path", .. }), "{long}");
        let spends = vec![spend(0.0); LIST_ENTRIES_MAX + 1];
        let many = market.store(&version(0), &spends, &[]).await.unwrap_err();
        assert!(matches!(many, Error::TooMany { what: "spends", .. }), "{many}");
    }
}

#[tokio::test]
async fn a_result_is_at_most_64_mebibytes() {
    for subject in subjects().await {
        let of = |bytes| NewVersion { result: vec![7; bytes], ..version(0) };
        let large = subject.market.store(&of(RESULT_BYTES_MAX + 1), &[], &[]).await.unwrap_err();
        assert!(matches!(large, Error::TooLong { what: "the result", .. }), "{large}");
        subject.market.store(&of(RESULT_BYTES_MAX), &[], &[]).await.unwrap();
        let found = subject.market.result("friction", "1.0").await.unwrap().unwrap();
        assert_eq!(found.len(), RESULT_BYTES_MAX, "{}", subject.name);
    }
}

#[tokio::test]
async fn contributions_are_bounded_and_count_no_fewer_than_no_sessions() {
    for subject in subjects().await {
        let market = &subject.market;
        let many = vec![contribution("acme", 1); CONTRIBUTIONS_MAX + 1];
        let refused = market.store(&version(0), &[], &many).await.unwrap_err();
        assert!(matches!(refused, Error::TooMany { what: "contributions", .. }), "{refused}");
        let refused = market.store(&version(0), &[], &[contribution("acme", -1)]).await.unwrap_err();
        assert!(matches!(refused, Error::Sessions { sessions: -1, .. }), "{refused}");
        assert!(market.versions("friction").await.unwrap().is_empty(), "{}", subject.name);
    }
}

#[tokio::test]
async fn a_version_is_its_two_numbers() {
    for subject in subjects().await {
        for (label, major, minor) in [("1.1", 1, 0), ("1", 1, 0), ("01.0", 1, 0), ("-1.0", -1, 0)] {
            let wrong = NewVersion { version: label.to_owned(), major, minor, ..version(0) };
            let refused = subject.market.store(&wrong, &[], &[]).await.unwrap_err();
            assert!(matches!(refused, Error::VersionNumbers { .. }), "{}: {refused}", subject.name);
        }
    }
}
