//! The visitors: names of organisations, devices, segments, releases and errors, with their weights.

/// Names of organisations. Further organisations are numbered.
pub(super) static ORGS: &[&str] = &[
    "acme",
    "brightline",
    "cobalt",
    "driftwood",
    "evergreen",
    "fjord",
    "granite",
    "harbor",
    "indigo",
    "juniper",
    "kestrel",
    "lumen",
    "meridian",
    "northwind",
    "opal",
    "pinnacle",
    "quarry",
    "ridgeway",
    "sandbar",
    "tidewater",
];

/// Devices: type, system, browsers, weight.
pub(super) static DEVICES: &[(&str, &str, &[&str], u32)] = &[
    ("desktop", "Windows", &["Chrome", "Edge", "Firefox"], 52),
    ("desktop", "macOS", &["Chrome", "Safari", "Firefox"], 20),
    ("desktop", "Linux", &["Firefox", "Chrome"], 4),
    ("mobile", "Android", &["Chrome", "Samsung Internet"], 11),
    ("mobile", "iOS", &["Safari"], 9),
    ("tablet", "iPadOS", &["Safari"], 3),
    ("tablet", "Android", &["Chrome"], 1),
];

/// Visitor segments with weights. The empty one stands for none.
pub(super) static SEGMENTS: &[(&str, u32)] =
    &[("", 30), ("trial", 15), ("smb", 30), ("mid-market", 15), ("enterprise", 10)];

/// Releases, with the part of the period after which they are rolled out.
pub(super) static RELEASES: &[(&str, f64)] = &[("2.1.0", 0.0), ("2.2.0", 0.28), ("2.3.0", 0.55), ("2.3.1", 0.86)];

/// The release that makes the worst screen worse still.
pub(super) const BAD_RELEASE: usize = 2;

/// Errors that visitors meet, with weights.
pub(super) static ERRORS: &[(&str, u32)] =
    &[("500", 30), ("timeout", 20), ("422", 20), ("validation", 15), ("403", 8), ("js_error", 7)];
