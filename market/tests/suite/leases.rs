//! One builder at a time.

use tokio::task::JoinSet;

use super::subjects;

#[tokio::test]
async fn a_lease_is_its_holders_until_it_expires() {
    for subject in subjects().await {
        let market = &subject.market;
        assert!(market.lease("build", "one", 100, 0).await.unwrap());
        assert!(!market.lease("build", "two", 200, 99).await.unwrap(), "{}", subject.name);
        assert!(market.lease("build", "two", 200, 100).await.unwrap(), "{}", subject.name);
        assert!(!market.lease("build", "one", 300, 150).await.unwrap(), "{}", subject.name);
    }
}

#[tokio::test]
async fn a_holder_extends_its_own_lease() {
    for subject in subjects().await {
        let market = &subject.market;
        assert!(market.lease("build", "one", 100, 0).await.unwrap());
        assert!(market.lease("build", "one", 200, 50).await.unwrap());
        assert!(!market.lease("build", "two", 300, 150).await.unwrap(), "{}", subject.name);
    }
}

#[tokio::test]
async fn a_released_lease_is_free_and_nobody_releases_anothers() {
    for subject in subjects().await {
        let market = &subject.market;
        assert!(market.lease("build", "one", 100, 0).await.unwrap());
        assert!(market.lease("other", "two", 100, 0).await.unwrap(), "leases of other names do not matter");
        market.release_lease("build", "two").await.unwrap();
        assert!(!market.lease("build", "two", 100, 1).await.unwrap(), "{}", subject.name);
        market.release_lease("build", "one").await.unwrap();
        market.release_lease("build", "one").await.unwrap();
        assert!(market.lease("build", "two", 100, 1).await.unwrap(), "{}", subject.name);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_of_many_that_ask_at_once_gets_the_lease() {
    for subject in subjects().await {
        let mut asking = JoinSet::new();
        for n in 0..16 {
            let market = subject.market.clone();
            asking.spawn(async move { market.lease("build", &format!("holder {n}"), 100, 0).await.unwrap() });
        }
        let got = asking.join_all().await;
        assert_eq!(got.iter().filter(|&&got| got).count(), 1, "{}", subject.name);
    }
}
