//! Opening a database, and bringing it up to date.

use netcrab_market::{Error, Market};
use tokio::task::JoinSet;

use super::{contribution, places, run, spend, subjects, version};

#[tokio::test]
async fn a_database_that_is_opened_again_keeps_what_it_holds() {
    for subject in subjects().await {
        subject.market.store(&version(0), &[spend(0.5)], &[contribution("acme", 3)]).await.unwrap();
        drop(subject.market);
        for _ in 0..2 {
            let again = Market::open(&subject.url).await.unwrap();
            assert_eq!(again.result("friction", "1.0").await.unwrap(), Some(version(0).result), "{}", subject.name);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_was_closed_is_whole_and_may_be_copied_alone() {
    for _ in 0..50 {
        let folder = tempfile::tempdir().unwrap();
        let [file, copy] = ["market.db", "copy.db"].map(|name| folder.path().join(name));
        let market = Market::open(&format!("sqlite:{}", file.display())).await.unwrap();
        market.store(&version(0), &[], &[]).await.unwrap();
        market.close().await;
        std::fs::copy(file, &copy).unwrap();
        let copied = Market::open(&format!("sqlite:{}", copy.display())).await.unwrap();
        assert_eq!(copied.versions("friction").await.unwrap().len(), 1);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_that_open_a_new_database_at_once_all_find_it_complete() {
    for _ in 0..5 {
        for place in places().await {
            let mut opening = JoinSet::new();
            for n in 0..8 {
                let url = place.url.clone();
                opening.spawn(async move {
                    let market = Market::open(&url).await?;
                    market.store(&version(n), &[], &[]).await
                });
            }
            let opened = opening.join_all().await;
            assert!(opened.iter().all(Result::is_ok), "{}: {opened:?}", place.name);
            let market = Market::open(&place.url).await.unwrap();
            assert_eq!(market.versions("friction").await.unwrap().len(), 8, "{}", place.name);
        }
    }
}

#[tokio::test]
async fn a_database_of_a_later_release_is_refused_by_name() {
    for subject in subjects().await {
        run(&subject.url, "INSERT INTO schema_migrations (number) VALUES (7)").await.unwrap();
        let refused = Market::open(&subject.url).await.unwrap_err();
        assert!(matches!(refused, Error::Newer { found: 7, .. }), "{}: {refused}", subject.name);
        let said = refused.to_string();
        let place = subject.url.rsplit(['@', ':']).next().unwrap();
        assert!(said.contains(place) && said.contains("schema 7"), "{said}");
        assert!(!said.contains("netcrab-secret"), "{said}");
    }
}

#[tokio::test]
async fn a_url_that_names_no_database_says_what_would() {
    for url in ["", "market.db", "mysql://somewhere/market", "sqlite:", "sqlite::memory:", "sqlite:m.db?mode=ro"] {
        let refused = Market::open(url).await.unwrap_err();
        assert!(matches!(refused, Error::Url { .. }), "{url}: {refused}");
        assert!(refused.to_string().contains("`sqlite:PATH` or `postgres://"), "{refused}");
    }
}

#[tokio::test]
async fn folders_above_a_file_are_made_and_its_name_may_be_any() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["a/b/market.db", "spaces and #%20 ä.db"] {
        let path = folder.path().join(name);
        Market::open(&format!("sqlite:{}", path.display())).await.unwrap();
        assert!(path.is_file(), "{name}");
    }
}

#[tokio::test]
async fn a_file_that_cannot_be_written_is_named() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("text"), "not a database, but a text that is longer than a header").unwrap();
    for name in ["text", "text/market.db"] {
        let path = folder.path().join(name);
        let refused = Market::open(&format!("sqlite:{}", path.display())).await.unwrap_err();
        assert!(matches!(refused, Error::File { .. }), "{refused}");
        assert!(refused.to_string().contains(path.to_str().unwrap()), "{refused}");
    }
}

#[tokio::test]
async fn a_server_that_does_not_answer_is_named_without_its_password() {
    let refused = Market::open("postgres://me:secret@127.0.0.1:1/market?sslmode=disable").await.unwrap_err();
    assert!(matches!(refused, Error::Server { .. }), "{refused}");
    let said = refused.to_string();
    assert!(said.contains("`127.0.0.1:1/market`") && !said.contains("secret"), "{said}");
}
