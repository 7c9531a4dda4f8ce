//! What is spent stays within its budget.

use netcrab_market::{Error, Market, NewVersion, Spend, Spent};
use tokio::task::JoinSet;

use super::{contribution, spend, subjects, version};

#[tokio::test]
async fn a_budget_may_be_used_up_exactly_and_not_beyond() {
    for subject in subjects().await {
        let market = &subject.market;
        // In floating point ten tenths are a little less than one, and a tenth and two tenths a little more than three.
        for minor in 0..10 {
            market.store(&version(minor), &[spend(0.1)], &[]).await.unwrap();
        }
        let refused = market.store(&version(10), &[spend(1e-6)], &[]).await.unwrap_err();
        assert!(matches!(refused, Error::OverBudget(_)), "{}: {refused}", subject.name);
        market.store(&version(10), &[spend(0.0)], &[]).await.unwrap();
        let other = |minor| NewVersion { pack_id: "flows".to_owned(), ..version(minor) };
        let budget = |rho| Spend { rho_budget: 0.3, ..spend(rho) };
        market.store(&other(0), &[budget(0.1)], &[]).await.unwrap();
        market.store(&other(1), &[budget(0.2)], &[]).await.unwrap();
    }
}

#[tokio::test]
async fn a_spend_over_its_budget_stores_nothing_and_says_both_numbers() {
    for subject in subjects().await {
        let market = &subject.market;
        market.store(&version(0), &[spend(0.75)], &[]).await.unwrap();
        let refused = market.store(&version(1), &[spend(0.5)], &[]).await.unwrap_err();
        let said = "version 1.1 of pack `friction` asks for rho 0.5 of visitor_month in 2026-10, where 0.75 of 1 is \
                    spent; wait for the next period, lower the definition's epsilon, or raise its budget";
        assert_eq!(refused.to_string(), said, "{}", subject.name);
        assert_eq!(market.version("friction", "1.1").await.unwrap(), None, "{}", subject.name);
        assert_eq!(market.spent("friction").await.unwrap()[0].rho, 0.75);
    }
}

#[tokio::test]
async fn delta_has_a_budget_of_its_own() {
    for subject in subjects().await {
        let market = &subject.market;
        let with_delta = |delta| Spend { delta, delta_budget: 1e-6, ..spend(0.0) };
        market.store(&version(0), &[with_delta(1e-6)], &[]).await.unwrap();
        let refused = market.store(&version(1), &[with_delta(1e-9)], &[]).await.unwrap_err();
        assert!(matches!(&refused, Error::OverBudget(over) if over.what == "delta"), "{}: {refused}", subject.name);
    }
}

#[tokio::test]
async fn spends_of_one_version_add_up() {
    for subject in subjects().await {
        let market = &subject.market;
        let refused = market.store(&version(0), &[spend(0.6), spend(0.6)], &[]).await.unwrap_err();
        assert!(matches!(&refused, Error::OverBudget(over) if over.spent == 0.6), "{}: {refused}", subject.name);
        assert!(market.spent("friction").await.unwrap().is_empty());
        market.store(&version(0), &[spend(0.5), spend(0.5)], &[]).await.unwrap();
        let spent = market.spent("friction").await.unwrap();
        assert_eq!((spent[0].rho, spent[0].versions), (1.0, 1), "{}", subject.name);
    }
}

#[tokio::test]
async fn packs_units_and_periods_have_budgets_of_their_own() {
    for subject in subjects().await {
        let market = &subject.market;
        let november = Spend { period: "2026-11".to_owned(), ..spend(1.0) };
        let org = Spend { unit: "org".to_owned(), rho_budget: 4.0, delta: 0.5, delta_budget: 0.5, ..spend(1.0) };
        market.store(&version(0), &[november, spend(1.0), org], &[]).await.unwrap();
        market.store(&NewVersion { pack_id: "flows".to_owned(), ..version(0) }, &[spend(1.0)], &[]).await.unwrap();
        let raised = Spend { unit: "org".to_owned(), rho_budget: 8.0, delta_budget: 0.75, ..spend(2.0) };
        market.store(&version(1), &[raised], &[]).await.unwrap();
        let found = market.spent("friction").await.unwrap();
        let line = |spent: &Spent| {
            let Spent { unit, period, rho, delta, rho_budget, delta_budget, versions } = spent;
            format!("{unit} {period}: rho {rho} of {rho_budget}, delta {delta} of {delta_budget}, {versions}")
        };
        let lines: Vec<_> = found.iter().map(line).collect();
        let expected = [
            "org 2026-10: rho 3 of 8, delta 0.5 of 0.75, 2",
            "visitor_month 2026-10: rho 1 of 1, delta 0 of 0, 1",
            "visitor_month 2026-11: rho 1 of 1, delta 0 of 0, 1",
        ];
        assert_eq!(lines, expected, "{}", subject.name);
        assert!(market.spent("unknown").await.unwrap().is_empty());
    }
}

#[tokio::test]
async fn what_is_no_amount_is_refused_by_name() {
    for subject in subjects().await {
        for wrong in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -0.1] {
            let spends = [
                ("rho", Spend { rho: wrong, ..spend(0.0) }),
                ("delta", Spend { delta: wrong, ..spend(0.0) }),
                ("rho budget", Spend { rho_budget: wrong, ..spend(0.0) }),
                ("delta budget", Spend { delta_budget: wrong, ..spend(0.0) }),
            ];
            for (name, spend) in spends {
                let refused = subject.market.store(&version(0), &[spend], &[]).await.unwrap_err();
                assert!(matches!(&refused, Error::Amount { what, .. } if *what == name), "{name}: {refused}");
            }
        }
        assert!(subject.market.versions("friction").await.unwrap().is_empty(), "{}", subject.name);
    }
}

/// How many of `builders` that store at once over two sets of connections, as two processes would, get their tenth.
async fn stored_at_once(url: &str, builders: i64) -> usize {
    let processes = [Market::open(url).await.unwrap(), Market::open(url).await.unwrap()];
    let mut storing = JoinSet::new();
    // They take time between the look at the ledger and the commit.
    let contributions: Vec<_> = (0..2_000).map(|n| contribution(&format!("org {n}"), 1)).collect();
    for minor in 0..builders {
        let market = processes[usize::try_from(minor % 2).unwrap()].clone();
        let contributions = contributions.clone();
        storing.spawn(async move { market.store(&version(minor), &[spend(0.1)], &contributions).await });
    }
    let answers = storing.join_all().await;
    for answer in &answers {
        assert!(matches!(answer, Ok(()) | Err(Error::OverBudget(_))), "{answer:?}");
    }
    answers.iter().filter(|answer| answer.is_ok()).count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_32_that_store_at_once_exactly_those_get_through_whom_the_budget_bears() {
    for subject in subjects().await {
        assert_eq!(stored_at_once(&subject.url, 32).await, 10, "{}", subject.name);
        let spent = subject.market.spent("friction").await.unwrap();
        assert_eq!(spent[0].versions, 10, "{}", subject.name);
        assert!((spent[0].rho - 1.0).abs() < 1e-9);
        assert_eq!(subject.market.versions("friction").await.unwrap().len(), 10, "{}", subject.name);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_many_that_store_the_same_input_at_once_one_does() {
    for subject in subjects().await {
        let mut storing = JoinSet::new();
        for minor in 0..16 {
            let market = subject.market.clone();
            let same = NewVersion { input: "the same".to_owned(), ..version(minor) };
            storing.spawn(async move { market.store(&same, &[spend(0.01)], &[]).await });
        }
        let answers = storing.join_all().await;
        let refused = |answer: &&Result<(), Error>| matches!(answer, Err(Error::InputExists { .. }));
        assert_eq!(answers.iter().filter(refused).count(), 15, "{}: {answers:?}", subject.name);
        assert_eq!(subject.market.spent("friction").await.unwrap()[0].rho, 0.01, "{}", subject.name);
    }
}
