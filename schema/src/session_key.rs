//! The session key: whose events `sessionize` groups together. The rule stands here once (`docs/rules.md`, section 2).
//!
//! ```text
//! session key = (org_id, product_id, session_id, or user_hash where session_id is empty)
//! ```
//!
//! Not to be confused with the column `session_key`. Over time one session key has many sessions, one after
//! another; the column is a hash of the session key *and* the first event of a session, and names one of them.

use serde::{Deserialize, Serialize};

/// A session key that owns its texts.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct SessionKey {
    /// The organisation.
    pub org_id: String,
    /// The product.
    pub product_id: String,
    /// session_id, or user_hash where that is empty. Manifests of epochs call it `visit`.
    #[serde(rename = "visit")]
    pub session_or_user: String,
}

/// A session key whose texts lie elsewhere, such as in the columns of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionKeyRef<'a> {
    /// The organisation.
    pub org_id: &'a str,
    /// The product.
    pub product_id: &'a str,
    /// session_id, or user_hash where that is empty.
    pub session_or_user: &'a str,
}

impl SessionKey {
    /// The session key of an event.
    pub fn new(org_id: &str, product_id: &str, session_id: &str, user_hash: &str) -> Self {
        SessionKeyRef::new(org_id, product_id, session_id, user_hash).to_owned()
    }

    /// The same key, borrowed.
    pub fn as_ref(&self) -> SessionKeyRef<'_> {
        let Self { org_id, product_id, session_or_user } = self;
        SessionKeyRef { org_id, product_id, session_or_user }
    }
}

impl<'a> SessionKeyRef<'a> {
    /// The session key of an event.
    pub fn new(org_id: &'a str, product_id: &'a str, session_id: &'a str, user_hash: &'a str) -> Self {
        let session_or_user = session_or_user(session_id.is_empty(), session_id, user_hash);
        Self { org_id, product_id, session_or_user }
    }

    /// The parts, in the order in which they are hashed and written.
    pub fn parts(self) -> [&'a str; 3] {
        [self.org_id, self.product_id, self.session_or_user]
    }

    /// Appends the bytes that hashes of the key are made over: each part by [`append_part`].
    pub fn append_to(self, bytes: &mut Vec<u8>) {
        self.parts().into_iter().for_each(|part| append_part(part, bytes));
    }

    /// The same key with texts of its own.
    pub fn to_owned(self) -> SessionKey {
        let [org_id, product_id, session_or_user] = self.parts().map(str::to_owned);
        SessionKey { org_id, product_id, session_or_user }
    }
}

/// Which of the two names the visitor in a session key, for values in any form (texts, packed bytes, hashes).
pub fn session_or_user<T>(session_id_is_empty: bool, session_id: T, user_hash: T) -> T {
    if session_id_is_empty { user_hash } else { session_id }
}

/// The same rule in SQL, over the columns of `relation`.
pub fn session_or_user_sql(relation: &str) -> String {
    format!("CASE WHEN {relation}.session_id = '' THEN {relation}.user_hash ELSE {relation}.session_id END")
}

/// Appends the length of `part` in bytes as u32 little-endian, and its bytes: lengths keep the parts of a hash apart.
pub fn append_part(part: &str, bytes: &mut Vec<u8>) {
    bytes.extend_from_slice(&(part.len() as u32).to_le_bytes());
    bytes.extend_from_slice(part.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_has_the_session_or_without_one_the_user() {
        assert_eq!(SessionKeyRef::new("acme", "crm", "s1", "u1").parts(), ["acme", "crm", "s1"]);
        assert_eq!(SessionKeyRef::new("acme", "crm", "", "u1").parts(), ["acme", "crm", "u1"]);
        assert_eq!(SessionKeyRef::new("acme", "crm", "", "").parts(), ["acme", "crm", ""]);
        assert_eq!(SessionKey::new("acme", "crm", "x", "u1"), SessionKey::new("acme", "crm", "", "x"), "one key");
    }

    /// Stored data is placed and named by hashes of these bytes.
    #[test]
    fn the_hashed_bytes_never_change() {
        let mut bytes = Vec::new();
        SessionKeyRef::new("ab", "ü", "", "u1").append_to(&mut bytes);
        assert_eq!(bytes, b"\x02\0\0\0ab\x02\0\0\0\xc3\xbc\x02\0\0\0u1");
    }

    #[test]
    fn the_written_form_never_changes() {
        let key = SessionKey::new("acme", "crm", "s1", "u1");
        let json = r#"{"org_id":"acme","product_id":"crm","visit":"s1"}"#;
        assert_eq!(serde_json::to_string(&key).expect("texts"), json);
        assert_eq!(serde_json::from_str::<SessionKey>(json).expect("a key"), key);
        assert_eq!(key.as_ref().to_owned(), key);
    }

    #[test]
    fn keys_are_ordered_by_organisation_product_and_session() {
        let [a, b, c] =
            [("a", "b", "z"), ("a", "c", "a"), ("b", "a", "a")].map(|(o, p, s)| SessionKey::new(o, p, s, ""));
        assert!(a < b && b < c);
    }

    #[test]
    fn the_sql_reads_as_the_rule() {
        let sql = "CASE WHEN e.session_id = '' THEN e.user_hash ELSE e.session_id END";
        assert_eq!(session_or_user_sql("e"), sql);
    }
}
