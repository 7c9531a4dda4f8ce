//! Random and damaged bodies: each gets an answer, none panics, and the bus has as many events as the answer says.

use proptest::prelude::*;

use super::{ACME, Inlet, batch, event};

fn body() -> impl Strategy<Value = Vec<u8>> {
    let good = batch(&[event("e0", r#","extra":{"a":1.5}"#), event("e1", r#","taskType":"t","taskPhase":"start""#)]);
    let edits = prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0..4u8), 0..6);
    edits.prop_map(move |edits| {
        let mut bytes = good.clone().into_bytes();
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

proptest! {
    #[test]
    fn whatever_comes_is_answered(
        body in prop_oneof![body(), prop::collection::vec(any::<u8>(), 0..300)],
        encoding in prop_oneof![Just(""), Just("gzip"), Just("zstd")],
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let inlet = Inlet::new();
            let answer = inlet.send_with(ACME, &[("content-encoding", encoding)], body).await;
            match answer.status {
                200 => {
                    let accepted = answer.body["accepted"].as_u64().expect("a count");
                    assert_eq!(inlet.kept("event_id").await.len() as u64, accepted);
                }
                status => assert!([400, 403, 413].contains(&status), "{answer:?}"),
            }
        });
    }
}
