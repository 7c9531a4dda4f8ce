//! Random bytes and damaged input, through the entry points of the fuzz targets.

use netcrab_sources::fuzz;
use proptest::prelude::*;

use super::event;

/// A line with some bytes changed, cut or doubled.
fn mutated(seed: Vec<u8>) -> impl Strategy<Value = Vec<u8>> {
    let edits = prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0..4u8), 1..8);
    edits.prop_map(move |edits| {
        let mut bytes = seed.clone();
        for (index, byte, kind) in edits {
            let at = index.index(bytes.len().max(1));
            match kind {
                0 if at < bytes.len() => bytes[at] = byte,
                1 => bytes.insert(at.min(bytes.len()), byte),
                2 => bytes.truncate(at),
                _ => bytes.extend_from_slice(&bytes.clone()[at.min(bytes.len())..]),
            }
        }
        bytes
    })
}

const LOG: &[u8] = br#"1.2.3.4 - ann [17/May/2015:10:05:03 +0000] "GET /a?b HTTP/1.1" 404 - "-" "Mozilla \"x\" 5""#;
const CSV: &[u8] = b"org_id,product_id,user_hash,ts,event_type,screen_id,route,device_type\nacme,crm,u,2026-10-01T10:00:00Z,click,\"a\"\"b\",/x,desktop\n";
const SHOP: &[u8] = b"user_id,session_id,event,timestamp,platform,acquisition_channel,user_cohort,user_lifecycle\nu,s,home,2024-03-13 10:21:14,desktop,e,c,new\n";

proptest! {
    #[test]
    fn random_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..2000)) {
        fuzz::wire(&bytes);
        fuzz::batch(&bytes);
        fuzz::csv(&bytes);
        fuzz::access_log(&bytes);
        fuzz::route(&bytes);
        fuzz::mapping(&bytes);
        fuzz::compressed(&bytes);
    }

    #[test]
    fn damaged_events_never_panic(bytes in mutated(event(r#","extra":{"a":1.5,"b":"ä\n"},"taskType":"t","taskPhase":"start""#).into_bytes())) {
        fuzz::wire(&bytes);
    }

    #[test]
    fn damaged_logs_never_panic(bytes in mutated(LOG.to_vec())) {
        fuzz::access_log(&bytes);
    }

    #[test]
    fn damaged_csv_never_panics(bytes in mutated(CSV.to_vec()), shop in mutated(SHOP.to_vec())) {
        fuzz::csv(&bytes);
        fuzz::csv(&shop);
    }

    #[test]
    fn templating_a_route_again_changes_nothing(address in "\\PC{0,80}", path in "(/[a-zA-Z0-9:.@%_-]{0,20}){0,8}(\\?x)?") {
        fuzz::route(address.as_bytes());
        fuzz::route(path.as_bytes());
    }
}

#[test]
fn random_parquet_never_panics() {
    for bytes in [&b""[..], b"PAR1", b"PAR1PAR1", b"PAR1\x00\x00\x00\x00PAR1", b"PAR1\xff\xff\xff\xffPAR1", &[0xff; 64]]
    {
        fuzz::parquet(bytes);
    }
}
