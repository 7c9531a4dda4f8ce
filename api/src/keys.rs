//! Bearer keys: who is asking.
//!
//!     Authorization: Bearer nc_…  ─▶ SHA-256 ─▶ organisation
//!
//! Only digests are kept. A key is compared with every digest in full, so the time taken tells
//! nothing about which one, or how much of one, was right.

use sha2::{Digest, Sha256};

use crate::config::{ApiKey, Error};

type Sha256Digest = [u8; 32];

/// The keys that are let in.
#[derive(Debug, Default)]
pub(crate) struct KeyRing {
    keys: Vec<(Sha256Digest, String)>,
}

impl KeyRing {
    /// Takes plain keys and digests alike; see [`ApiKey::key`].
    pub(crate) fn new(keys: &[ApiKey]) -> Result<Self, Error> {
        let mut ring = Self::default();
        for (place, key) in keys.iter().enumerate() {
            let number = place + 1;
            let digest = digest_of_setting(&key.key).ok_or(Error::Key { number })?;
            if ring.keys.iter().any(|(known, _)| *known == digest) {
                return Err(Error::RepeatedKey { number });
            }
            ring.keys.push((digest, key.org_id.clone()));
        }
        Ok(ring)
    }

    /// The organisation of `key`.
    pub(crate) fn org_of(&self, key: &str) -> Option<&str> {
        let asked = digest(key);
        let mut org = None;
        for (known, org_id) in &self.keys {
            if equal_in_constant_time(known, &asked) {
                org = Some(org_id.as_str());
            }
        }
        org
    }
}

fn digest_of_setting(setting: &str) -> Option<Sha256Digest> {
    if let Some(hex) = setting.strip_prefix("sha256:") {
        return crate::cursor::from_hex(hex)?.try_into().ok();
    }
    (setting.starts_with("nc_") && setting.len() > 3).then(|| digest(setting))
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

    fn key(key: &str, org_id: &str) -> ApiKey {
        ApiKey { key: key.into(), org_id: org_id.into() }
    }

    #[test]
    fn a_plain_key_and_its_digest_open_the_same_door() {
        // printf nc_one | sha256sum
        let digest = "sha256:64287c2538081bdf8b94423c46a8ddf5088518506f8ce1eabac61bc07128ce0b";
        let plain = KeyRing::new(&[key("nc_one", "a")]).expect("well formed");
        assert_eq!(plain.org_of("nc_one"), Some("a"));
        assert_eq!(plain.org_of("nc_two"), None);
        assert_eq!(plain.org_of(""), None);
        let hashed = KeyRing::new(&[key(digest, "a")]).expect("well formed");
        assert_eq!(hashed.org_of("nc_one"), Some("a"));
        assert_eq!(hashed.org_of(digest), None, "the digest itself is no key");
    }

    #[test]
    fn keys_that_cannot_be_meant_are_refused() {
        for wrong in ["", "nc_", "secret", "sha256:12", "sha256:zz"] {
            assert!(matches!(KeyRing::new(&[key(wrong, "a")]), Err(Error::Key { number: 1 })), "{wrong}");
        }
        let twice = [key("nc_one", "a"), key("nc_one", "b")];
        assert!(matches!(KeyRing::new(&twice), Err(Error::RepeatedKey { number: 2 })));
    }
}
