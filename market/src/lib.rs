//! Organisations, what they opted into, and what was released and spent: the operational database.
