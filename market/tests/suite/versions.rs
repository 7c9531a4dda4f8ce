//! Versions, stored whole or not at all, and their status.

use std::time::Duration;

use netcrab_market::{Error, Market, NewVersion, Status};

use super::{contribution, run, spend, subjects, version};

#[tokio::test]
async fn a_version_comes_back_as_it_was_stored() {
    for subject in subjects().await {
        let market = &subject.market;
        let given = [contribution("b", 20), contribution("B", 0), contribution("a", 10)];
        let large = NewVersion { result: (0..3_000_000u32).map(|n| n.to_le_bytes()[0]).collect(), ..version(2) };
        market.store(&large, &[spend(0.25)], &given).await.unwrap();
        let found = market.version("friction", "1.2").await.unwrap().unwrap();
        assert_eq!(market.version_of_input("friction", "input 2").await.unwrap().as_ref(), Some(&found));
        assert_eq!(market.result("friction", "1.2").await.unwrap().as_ref(), Some(&large.result), "{}", subject.name);
        let same = NewVersion {
            pack_id: found.pack_id,
            version: found.version,
            major: found.major,
            minor: found.minor,
            kind: found.kind,
            definition: found.definition,
            schema: found.schema,
            method: found.method,
            input: found.input,
            window_from: found.window_from,
            window_to: found.window_to,
            result: large.result.clone(),
            created_at_ms: found.created_at_ms,
        };
        assert_eq!(same, large, "{}", subject.name);
        assert_eq!((found.status, found.result_bytes, found.activated_at_ms), (Status::Draft, 3_000_000, None));
        let contributions = market.contributions("friction", "1.2").await.unwrap();
        assert_eq!(contributions, [contribution("B", 0), contribution("a", 10), contribution("b", 20)]);
    }
}

#[tokio::test]
async fn versions_are_listed_by_number_and_packs_by_name() {
    for subject in subjects().await {
        let market = &subject.market;
        assert_eq!(market.pack_ids().await.unwrap(), Vec::<String>::new());
        for minor in [10, 2, 9] {
            market.store(&version(minor), &[], &[]).await.unwrap();
        }
        let next = NewVersion { version: "2.0".to_owned(), major: 2, minor: 0, ..version(1) };
        market.store(&next, &[], &[]).await.unwrap();
        market.store(&NewVersion { pack_id: "Flows".to_owned(), ..version(2) }, &[], &[]).await.unwrap();
        let found = market.versions("friction").await.unwrap();
        let names: Vec<_> = found.iter().map(|version| &*version.version).collect();
        assert_eq!(names, ["1.2", "1.9", "1.10", "2.0"], "{}", subject.name);
        assert_eq!(market.pack_ids().await.unwrap(), ["Flows", "friction"], "{}", subject.name);
        assert!(market.versions("unknown").await.unwrap().is_empty());
        assert_eq!(market.version("friction", "3.0").await.unwrap(), None);
        assert_eq!(market.version_of_input("Flows", "input 9").await.unwrap(), None);
        assert_eq!(market.result("friction", "3.0").await.unwrap(), None);
        assert_eq!(market.version("fric\0tion", "1.2").await.unwrap(), None, "{}", subject.name);
        assert!(market.contributions("friction", "\0").await.unwrap().is_empty());
    }
}

#[tokio::test]
async fn a_version_or_an_input_that_is_known_is_refused_and_changes_nothing() {
    for subject in subjects().await {
        let market = &subject.market;
        market.store(&version(0), &[spend(0.5)], &[contribution("acme", 1)]).await.unwrap();
        let same_version = NewVersion { input: "other".to_owned(), result: vec![1], ..version(0) };
        let refused = market.store(&same_version, &[spend(0.1)], &[contribution("zeta", 1)]).await.unwrap_err();
        assert!(matches!(refused, Error::VersionExists { .. }), "{}: {refused}", subject.name);
        let same_input = NewVersion { input: "input 0".to_owned(), ..version(1) };
        let refused = market.store(&same_input, &[spend(0.1)], &[]).await.unwrap_err();
        assert!(matches!(&refused, Error::InputExists { version, .. } if version == "1.0"), "{refused}");
        assert_eq!(market.versions("friction").await.unwrap().len(), 1, "{}", subject.name);
        assert_eq!(market.result("friction", "1.0").await.unwrap(), Some(version(0).result));
        assert_eq!(market.spent("friction").await.unwrap()[0].rho, 0.5);
        assert_eq!(market.contributions("friction", "1.0").await.unwrap(), [contribution("acme", 1)]);
        // The same input of another pack is another version.
        market.store(&NewVersion { pack_id: "flows".to_owned(), ..version(0) }, &[], &[]).await.unwrap();
    }
}

#[tokio::test]
async fn a_store_that_fails_at_its_last_step_leaves_nothing() {
    for subject in subjects().await {
        let market = &subject.market;
        // More than one insert of contributions; the last row of the last one is the fault.
        let mut twice: Vec<_> = (0..1_200).map(|n| contribution(&format!("org {n}"), 1)).collect();
        twice.push(contribution("org 1100", 1));
        let refused = market.store(&version(0), &[spend(0.5)], &twice).await.unwrap_err();
        assert!(matches!(refused, Error::ContributionTwice { .. }), "{}: {refused}", subject.name);
        assert_eq!(market.version("friction", "1.0").await.unwrap(), None, "{}", subject.name);
        assert!(market.spent("friction").await.unwrap().is_empty());
        assert!(market.contributions("friction", "1.0").await.unwrap().is_empty());
        twice.pop();
        market.store(&version(0), &[spend(0.5)], &twice).await.unwrap();
        assert_eq!(market.contributions("friction", "1.0").await.unwrap().len(), 1_200, "{}", subject.name);
    }
}

/// Whether version 1.`minor` is there whole; fails where a part of it is.
async fn whole(market: &Market, minor: i64, name: &str) -> bool {
    let label = format!("1.{minor}");
    let stored = market.version("friction", &label).await.unwrap().is_some();
    let contributions = market.contributions("friction", &label).await.unwrap().len();
    assert_eq!(contributions, if stored { 900 } else { 0 }, "{name}");
    stored
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_that_is_dropped_at_any_moment_is_whole_or_absent() {
    for subject in subjects().await {
        let contributions: Vec<_> = (0..900).map(|n| contribution(&format!("org {n}"), 1)).collect();
        for minor in 0..40 {
            let (market, contributions) = (subject.market.clone(), contributions.clone());
            let storing = async move { market.store(&version(minor), &[spend(0.01)], &contributions).await };
            let storing = tokio::spawn(storing);
            tokio::time::sleep(Duration::from_micros(200 * u64::try_from(minor).unwrap())).await;
            storing.abort();
            let _ended = storing.await;
        }
        let mut stored = 0.0;
        for minor in 0..40 {
            stored += f64::from(u8::from(whole(&subject.market, minor, subject.name).await));
        }
        let spent = subject.market.spent("friction").await.unwrap();
        let rho = spent.first().map_or(0.0, |spent| spent.rho);
        assert!((rho - 0.01 * stored).abs() < 1e-12, "{}: {rho} for {stored} versions", subject.name);
    }
}

#[tokio::test]
async fn a_status_moves_on_and_never_back() {
    use Status::{Active, Deprecated, Draft, Revoked};
    let moves = [(Draft, Active), (Draft, Revoked), (Active, Deprecated), (Active, Revoked), (Deprecated, Revoked)];
    for subject in subjects().await {
        let market = &subject.market;
        let mut minor = 0;
        for from in Status::ALL {
            for to in Status::ALL {
                minor += 1;
                let label = format!("1.{minor}");
                market.store(&version(minor), &[], &[]).await.unwrap();
                let way: &[Status] = match from {
                    Draft => &[],
                    Active => &[Active],
                    Deprecated => &[Active, Deprecated],
                    Revoked => &[Revoked],
                };
                for &step in way {
                    market.set_status("friction", &label, step, 5).await.unwrap();
                }
                let moved = market.set_status("friction", &label, to, 9).await;
                assert_eq!(moved.is_ok(), moves.contains(&(from, to)), "{}: {from} to {to}", subject.name);
                let stands = market.version("friction", &label).await.unwrap().unwrap().status;
                assert_eq!(stands, if moved.is_ok() { to } else { from }, "{}", subject.name);
                if let Err(refused) = moved {
                    assert!(matches!(refused, Error::Transition { .. }), "{refused}");
                }
            }
        }
    }
}

#[tokio::test]
async fn a_refused_status_says_what_may_be_done() {
    for subject in subjects().await {
        let market = &subject.market;
        market.store(&version(0), &[], &[]).await.unwrap();
        let refused = market.set_status("friction", "1.0", Status::Deprecated, 1).await.unwrap_err();
        let said = "version 1.0 of pack `friction` is draft and cannot become deprecated; from draft it may become \
                    active or revoked";
        assert_eq!(refused.to_string(), said, "{}", subject.name);
        let refused = market.set_status("friction", "1.1", Status::Active, 1).await.unwrap_err();
        assert!(matches!(refused, Error::NoVersion { .. }), "{}: {refused}", subject.name);
    }
}

#[tokio::test]
async fn each_step_notes_when_it_was_taken() {
    for subject in subjects().await {
        let market = &subject.market;
        market.store(&version(0), &[], &[]).await.unwrap();
        for (status, at_ms) in [(Status::Active, 10), (Status::Deprecated, 20), (Status::Revoked, 30)] {
            market.set_status("friction", "1.0", status, at_ms).await.unwrap();
        }
        let found = market.version("friction", "1.0").await.unwrap().unwrap();
        let noted = (found.activated_at_ms, found.deprecated_at_ms, found.revoked_at_ms);
        assert_eq!(noted, (Some(10), Some(20), Some(30)), "{}", subject.name);
    }
}

#[tokio::test]
async fn no_program_changes_what_was_released_or_spent() {
    for subject in subjects().await {
        subject.market.store(&version(0), &[spend(0.5)], &[]).await.unwrap();
        let said = [
            ("UPDATE pack_versions SET result = NULL", "changes in nothing but its status"),
            ("UPDATE pack_versions SET input = 'x', status = 'active'", "changes in nothing but its status"),
            ("UPDATE privacy_ledger SET rho = 0", "only added"),
            ("DELETE FROM privacy_ledger", "only added"),
        ];
        for (sql, expected) in said {
            let refused = run(&subject.url, sql).await.unwrap_err().to_string();
            assert!(refused.contains(expected), "{}: {sql}: {refused}", subject.name);
        }
        let stays = subject.market.result("friction", "1.0").await.unwrap();
        assert_eq!(stays, Some(version(0).result), "{}", subject.name);
    }
}
