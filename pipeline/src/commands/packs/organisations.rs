//! `netcrab packs orgs`, `org` and `opt-out`: who contributes.

use anyhow::{Result, ensure};
use netcrab_market::Market;
use netcrab_packs::definition::VERTICALS;
use serde_json::json;

use crate::Context;
use crate::commands::clock::now_ms;

pub(super) async fn set_vertical(market: &Market, org: &str, vertical: &str) -> Result<()> {
    ensure!(VERTICALS.contains(&vertical), "`{vertical}` is none of {}", VERTICALS.join(", "));
    Ok(market.set_vertical(org, vertical, now_ms()).await?)
}

pub(super) async fn opt_out(market: &Market, org: &str, category: &str, product: Option<&str>) -> Result<()> {
    let had_opted_in = market.opt_out(org, category, product).await?;
    ensure!(had_opted_in, "`{org}` had not opted in to `{category}` like this; see netcrab packs orgs");
    Ok(())
}

pub(super) async fn list(context: &Context, market: &Market) -> Result<()> {
    for organisation in market.organisations().await? {
        if context.json {
            let opt_ins = organisation.opt_ins.iter().map(|opt_in| {
                json!({ "category": opt_in.category, "productId": opt_in.product_id,
                    "excludedPaths": opt_in.excluded_paths, "excludedSegments": opt_in.excluded_segments })
            });
            let (org_id, vertical) = (&organisation.org_id, &organisation.vertical);
            println!("{}", json!({ "orgId": org_id, "vertical": vertical, "optIns": opt_ins.collect::<Vec<_>>() }));
            continue;
        }
        let opt_ins = organisation.opt_ins.iter().map(|opt_in| match &opt_in.product_id {
            Some(product) => format!("{} ({product})", opt_in.category),
            None => opt_in.category.clone(),
        });
        println!("{:<24}{:<14}{}", organisation.org_id, organisation.vertical, opt_ins.collect::<Vec<_>>().join(", "));
    }
    Ok(())
}
