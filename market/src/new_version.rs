//! A pack version before it is stored, and the bounds of its values.

use crate::bounds;
use crate::error::Error;

/// A pack version that was built and is to be stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewVersion {
    /// The pack.
    pub pack_id: String,
    /// `major.minor`.
    pub version: String,
    /// Changes with the schema.
    pub major: i64,
    /// Changes with the method, its parameters or the window.
    pub minor: i64,
    /// The kind of pack.
    pub kind: String,
    /// Digest of the definition.
    pub definition: String,
    /// Digest of the schema.
    pub schema: String,
    /// Digest of the method.
    pub method: String,
    /// Digest of all that the result was made from: definition, window, contributors and data.
    pub input: String,
    /// First day of the window, such as `2026-10-01`.
    pub window_from: String,
    /// Last day of the window, included.
    pub window_to: String,
    /// The noisy result, encoded by the builder; at most [`crate::RESULT_BYTES_MAX`] bytes.
    pub result: Vec<u8>,
    /// When it was built, in milliseconds since 1970 UTC.
    pub created_at_ms: i64,
}

/// What an organisation contributed to a version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Contribution {
    /// The organisation.
    pub org_id: String,
    /// How many of its sessions are in the result.
    pub sessions: i64,
}

/// Refuses a version with a value out of its bounds.
pub(crate) fn check(version: &NewVersion) -> Result<(), Error> {
    bounds::text("the pack", &version.pack_id)?;
    bounds::text("the version", &version.version)?;
    bounds::text("the kind of the pack", &version.kind)?;
    bounds::text("the digest of the definition", &version.definition)?;
    bounds::text("the digest of the schema", &version.schema)?;
    bounds::text("the digest of the method", &version.method)?;
    bounds::text("the digest of the input", &version.input)?;
    bounds::text("the first day of the window", &version.window_from)?;
    bounds::text("the last day of the window", &version.window_to)?;
    bounds::bytes("the result", version.result.len(), bounds::RESULT_BYTES_MAX)?;
    let NewVersion { major, minor, .. } = *version;
    if major < 0 || minor < 0 || version.version != format!("{major}.{minor}") {
        return Err(Error::VersionNumbers { version: version.version.clone(), major, minor });
    }
    Ok(())
}

/// Refuses contributions out of their bounds.
pub(crate) fn check_contributions(contributions: &[Contribution]) -> Result<(), Error> {
    bounds::entries("contributions", contributions.len(), bounds::CONTRIBUTIONS_MAX)?;
    for Contribution { org_id, sessions } in contributions {
        bounds::org_id(org_id)?;
        if *sessions < 0 {
            return Err(Error::Sessions { org_id: org_id.clone(), sessions: *sessions });
        }
    }
    Ok(())
}
