//! What may leave as a pack, and only how.
