//! What the gate releases of a window: numbers with noise, and nothing exact.
//!
//! A release is stored as JSON in the database. The same rows come of it, to the byte, whenever it is read back.

use serde::{Deserialize, Serialize};

use crate::definition::Kind;

/// The released cells of a window.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PackRelease {
    /// The kind of the pack.
    pub kind: Kind,
    /// The cells, in the order of their keys.
    pub cells: Vec<NoisyCell>,
    /// How many cells were suppressed, with noise.
    #[serde(rename = "left_out")]
    pub suppressed: i64,
    /// How many cells were released as part of an `OTHER` cell, with noise.
    #[serde(rename = "brought_together")]
    pub merged: i64,
}

/// A released cell.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NoisyCell {
    /// Its key, the parts joined by [`crate::bound::SEPARATOR`].
    pub key: String,
    /// Organisations with noise, in parts: `whole_org_units` parts are one organisation.
    pub org_parts: i64,
    /// Sessions with noise, in parts: [`crate::plan::WEIGHT`] parts are one session.
    pub sessions: i64,
    /// The answers with noise, one for each query of the plan, in its order.
    pub answers: Vec<Vec<i64>>,
    /// The scale of the noise on this cell over the scale in the plan: 1, or the plan's `merged_factor`.
    pub factor: f64,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Versions in databases have these names.
    #[test]
    fn the_stored_form_never_changes() {
        let cell = NoisyCell { key: "k".to_owned(), org_parts: 1, sessions: 2, answers: vec![vec![3, 4]], factor: 1.0 };
        let release = PackRelease { kind: Kind::TaskFlows, cells: vec![cell], suppressed: 5, merged: 6 };
        let json = concat!(
            r#"{"kind":"task_flows","cells":[{"key":"k","org_parts":1,"sessions":2,"answers":[[3,4]],"factor":1.0}],"#,
            r#""left_out":5,"brought_together":6}"#
        );
        assert_eq!(serde_json::to_string(&release).unwrap(), json);
        assert_eq!(serde_json::from_str::<PackRelease>(json).unwrap(), release);
    }
}
