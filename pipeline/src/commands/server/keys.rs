//! Keys given on the command line, `KEY=ORG`.

use netcrab_api::{AgentKey, ApiKey};

/// Reads `nc_secret=acme`.
pub(in crate::commands) fn key(text: &str) -> Result<ApiKey, String> {
    let (key, org_id) = key_and_org(text, "expected KEY=ORG, as in nc_secret=acme")?;
    Ok(ApiKey { key, org_id })
}

/// Reads `nc_agent_secret=acme`.
pub(in crate::commands) fn agent_key(text: &str) -> Result<AgentKey, String> {
    let (key, org_id) = key_and_org(text, "expected KEY=ORG, as in nc_agent_secret=acme")?;
    Ok(AgentKey { key, org_id, products: Vec::new() })
}

fn key_and_org(text: &str, expected: &str) -> Result<(String, String), String> {
    let (key, org_id) = text.split_once('=').ok_or(expected)?;
    Ok((key.to_owned(), org_id.to_owned()))
}
