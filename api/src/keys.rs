//! Keys: who asks questions, and who sends events.
//!
//!     Authorization: Bearer nc_…  ─▶ SHA-256 ─▶ organisation, or sender
//!
//! Only digests are stored. A key is compared with every digest in full, so the time of a comparison does not tell
//! which digest matched, or how much of one did.

use sha2::{Digest, Sha256};

use crate::error::Error;

type Sha256Digest = [u8; 32];

/// A list of keys in the settings.
#[derive(Debug, Clone, Copy)]
pub(crate) struct KeyList {
    /// Its setting.
    pub setting: &'static str,
    /// How its keys begin.
    pub prefix: &'static str,
}

/// `[[api.keys]]`: who may read.
pub(crate) const READERS: KeyList = KeyList { setting: "api.keys", prefix: "nc_" };

/// `[[api.agent_keys]]`: who may send.
pub(crate) const AGENTS: KeyList = KeyList { setting: "api.agent_keys", prefix: "nc_agent_" };

/// The keys of a list, and what each of them gives access to.
#[derive(Debug)]
pub(crate) struct KeyRing<T> {
    keys: Vec<(Sha256Digest, T)>,
}

impl<T> KeyRing<T> {
    /// Takes plain keys and digests alike; see [`crate::ApiKey::key`].
    ///
    /// # Errors
    ///
    /// [`Error::Key`] for a key that is neither, [`Error::RepeatedKey`] for one that is listed twice.
    pub(crate) fn new<'a>(list: KeyList, keys: impl Iterator<Item = (&'a str, T)>) -> Result<Self, Error> {
        let KeyList { setting, prefix } = list;
        let mut ring = Self { keys: Vec::new() };
        for (place, (key, opens)) in keys.enumerate() {
            let number = place + 1;
            let digest = digest_of_setting(key, prefix).ok_or(Error::Key { number, setting, prefix })?;
            if ring.keys.iter().any(|(known, _)| *known == digest) {
                return Err(Error::RepeatedKey { number, setting });
            }
            ring.keys.push((digest, opens));
        }
        Ok(ring)
    }

    /// What `key` gives access to; `None` for a key that is not in the list.
    pub(crate) fn find(&self, key: &str) -> Option<&T> {
        let asked = digest(key);
        let mut found = None;
        for (known, opens) in &self.keys {
            if equal_in_constant_time(known, &asked) {
                found = Some(opens);
            }
        }
        found
    }
}

fn digest_of_setting(setting: &str, prefix: &str) -> Option<Sha256Digest> {
    if let Some(hex) = setting.strip_prefix("sha256:") {
        return crate::cursor::from_hex(hex)?.try_into().ok();
    }
    (setting.starts_with(prefix) && setting.len() > prefix.len()).then(|| digest(setting))
}

fn digest(key: &str) -> Sha256Digest {
    Sha256::digest(key.as_bytes()).into()
}

fn equal_in_constant_time(a: &Sha256Digest, b: &Sha256Digest) -> bool {
    let difference = a.iter().zip(b).fold(0, |seen, (a, b)| seen | (a ^ b));
    std::hint::black_box(difference) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ring<'a>(list: KeyList, keys: &[(&'a str, &'a str)]) -> Result<KeyRing<&'a str>, Error> {
        KeyRing::new(list, keys.iter().copied())
    }

    #[test]
    fn a_plain_key_and_its_digest_open_the_same_door() {
        // printf nc_one | sha256sum
        let digest = "sha256:64287c2538081bdf8b94423c46a8ddf5088518506f8ce1eabac61bc07128ce0b";
        let plain = ring(READERS, &[("nc_one", "a")]).expect("well formed");
        assert_eq!(plain.find("nc_one"), Some(&"a"));
        assert_eq!(plain.find("nc_two"), None);
        assert_eq!(plain.find(""), None);
        let hashed = ring(READERS, &[(digest, "a")]).expect("well formed");
        assert_eq!(hashed.find("nc_one"), Some(&"a"));
        assert_eq!(hashed.find(digest), None, "the digest itself is no key");
    }

    #[test]
    fn keys_that_cannot_be_meant_are_refused() {
        for wrong in ["", "nc_", "secret", "sha256:12", "sha256:zz"] {
            assert!(matches!(ring(READERS, &[(wrong, "a")]), Err(Error::Key { number: 1, .. })), "{wrong}");
        }
        assert!(ring(AGENTS, &[("nc_agent_one", "a")]).is_ok());
        for wrong in ["nc_one", "nc_agent_"] {
            assert!(matches!(ring(AGENTS, &[(wrong, "a")]), Err(Error::Key { number: 1, .. })), "{wrong}");
        }
        let twice = [("nc_one", "a"), ("nc_one", "b")];
        assert!(matches!(ring(READERS, &twice), Err(Error::RepeatedKey { number: 2, .. })));
    }
}
