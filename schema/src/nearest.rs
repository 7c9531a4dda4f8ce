//! The name that a mistyped one most likely means.
//!
//! ```text
//! given "screan", known ["screen", "route"]  ─▶  "screen"
//! ```
//!
//! Every "did you mean" and "nearest is" of the workspace comes from here.

/// Least Jaro-Winkler similarity of a name that is offered, from 0 (nothing in common) to 1 (the same).
const SIMILARITY_MIN: f64 = 0.75;

/// Most characters of the given name that are compared. It may come from a request, and comparing costs its length
/// times that of a known name.
const CHARACTERS_MAX: usize = 64;

/// The known name most similar to `given`, upper and lower case alike; `None` where none is similar enough.
pub fn nearest<'a>(given: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let given: String = given.chars().take(CHARACTERS_MAX).collect::<String>().to_lowercase();
    let similarity = |name: &str| strsim::jaro_winkler(&given, &name.to_lowercase());
    let scored = known.into_iter().map(|name| (similarity(name), name));
    let similar = scored.filter(|(similarity, _)| *similarity >= SIMILARITY_MIN);
    similar.max_by(|a, b| a.0.total_cmp(&b.0)).map(|(_, name)| name)
}

/// `; nearest is ` and the [`nearest`] name in backticks, to end an error's text with; empty where none is similar
/// enough.
pub fn nearest_clause<'a>(given: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    nearest(given, known).map(|name| format!("; nearest is `{name}`")).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mistyped_name_finds_the_one_it_means() {
        let known = ["screen", "route", "productId"];
        assert_eq!(nearest("screan", known), Some("screen"));
        assert_eq!(nearest("PRODUCTID", known), Some("productId"));
        assert_eq!(nearest_clause("rout", known), "; nearest is `route`");
    }

    #[test]
    fn nothing_is_offered_where_nothing_is_similar() {
        assert_eq!(nearest("zzz", ["screen", "route"]), None);
        assert_eq!(nearest("screen", []), None);
        assert_eq!(nearest_clause("zzz", ["screen"]), "");
    }

    #[test]
    fn only_the_beginning_of_a_long_name_is_compared() {
        assert_eq!(nearest(&"a".repeat(100_000), ["a".repeat(64).as_str()]), Some("a".repeat(64).as_str()));
    }
}
