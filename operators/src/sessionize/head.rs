//! The head of a session key in the open sessions: what its rows need not repeat.

use super::bytes::Reader;
use super::layout::{CLIENT, Layout};
use super::text;

/// What the rows of one key need not repeat; texts and client are in packed form.
#[derive(Debug, Clone, Copy)]
pub struct Head<'a> {
    /// Codes of org_id and product_id.
    pub owner: [u32; 2],
    /// The client.
    pub client: &'a [u8],
    /// session_id.
    pub session: &'a [u8],
    /// user_hash.
    pub user: &'a [u8],
    /// The ts that the timestamps of the rows are relative to.
    pub base_ts: i64,
}

/// Bits that say which parts of its head a row replaces: this one the client.
pub const OTHER_CLIENT: u8 = 1;

/// See [`OTHER_CLIENT`]: session_id.
pub const OTHER_SESSION: u8 = 2;

/// See [`OTHER_CLIENT`]: user_hash.
pub const OTHER_USER: u8 = 4;

impl<'a> Head<'a> {
    /// The head at the beginning of `bytes`; `None` where the bytes end too early.
    pub fn read(layout: &Layout, bytes: &'a [u8]) -> Option<Self> {
        let mut reader = Reader::new(bytes);
        let mut code = || u32::try_from(reader.varint()?).ok();
        let owner = [code()?, code()?];
        let start = reader.at;
        if reader.varint()? == 0 {
            (0..layout.width(CLIENT)).try_for_each(|_| reader.varint().map(|_| ()))?;
        }
        let client = bytes.get(start..reader.at)?;
        let (session, user) = (text::skip(&mut reader)?, text::skip(&mut reader)?);
        Some(Self { owner, client, session, user, base_ts: reader.signed()? })
    }

    /// Its session_id or, where that is empty, its user_hash.
    pub fn session_or_user(&self) -> &'a [u8] {
        if text::is_empty(self.session) { self.user } else { self.session }
    }

    /// Whether both belong to one session key.
    pub fn same_key(&self, other: &Head<'_>) -> bool {
        self.owner == other.owner && self.session_or_user() == other.session_or_user()
    }

    pub(super) fn differs(&self, own: &Head<'_>) -> u8 {
        let bit = |same: bool, bit: u8| if same { 0 } else { bit };
        bit(self.client == own.client, OTHER_CLIENT)
            | bit(self.session == own.session, OTHER_SESSION)
            | bit(self.user == own.user, OTHER_USER)
    }
}
