//! Query parameters: their declarations, and how they are parsed.
//!
//!     ?productId=crm&limit=7  ─▶  Query, or a problem that names the parameter and the mend
//!
//! Each parameter is declared once, here. The gate refuses a parameter that a route does not take and offers the
//! nearest name; the OpenAPI document is built from the same declarations.

use std::collections::BTreeMap;

use netcrab_schema::events::DEVICE_TYPES;
use netcrab_schema::nearest;

use crate::period::Day;
use crate::problem::{Code, Problem};

/// One query parameter.
#[derive(Debug, PartialEq)]
pub(crate) struct Param {
    /// Its name on the wire.
    pub name: &'static str,
    /// Which values it takes.
    pub kind: Kind,
    /// Whether a request without it is refused.
    pub required: bool,
    /// What it means, with its default.
    pub meaning: &'static str,
    /// A value for the documentation.
    pub example: &'static str,
}

/// Which values a parameter takes.
#[derive(Debug, PartialEq)]
pub(crate) enum Kind {
    /// 1 to 256 bytes of text.
    Text,
    /// A UTC date.
    Day,
    /// A whole number.
    Number {
        /// Least.
        min: usize,
        /// Most; the `rows_max` of the configuration where that is lower.
        max: usize,
        /// Without the parameter.
        default: usize,
    },
    /// One of these.
    Choice(&'static [&'static str]),
    /// Where a page begins.
    Cursor,
}

const TEXT_BYTES_MAX: usize = 256;
const CURSOR_BYTES_MAX: usize = 2048;

const fn optional(name: &'static str, kind: Kind, meaning: &'static str, example: &'static str) -> Param {
    Param { name, kind, required: false, meaning, example }
}

/// `orgId`.
pub(crate) static ORG_ID: Param =
    optional("orgId", Kind::Text, "Organisation; default: the one the key belongs to. Any other is 404.", "acme");
/// `productId`.
pub(crate) static PRODUCT_ID: Param =
    Param { name: "productId", kind: Kind::Text, required: true, meaning: "Product.", example: "crm" };
/// `productId`, where the session key is enough.
pub(crate) static PRODUCT_ID_HINT: Param =
    optional("productId", Kind::Text, "Product; default: whichever has the session.", "crm");
/// `from`.
pub(crate) static FROM: Param =
    optional("from", Kind::Day, "First day, UTC, included; default: 29 days before `to`.", "2026-10-25");
/// `to`.
pub(crate) static TO: Param = optional(
    "to",
    Kind::Day,
    "Last day, UTC, included; default: the newest day with a session that is not after today, or `from` where that is later.",
    "2026-11-23",
);
/// `from`, as a hint.
pub(crate) static FROM_HINT: Param = optional(
    "from",
    Kind::Day,
    "First day to look in; default: the product's first. Knowing the day makes it faster.",
    "2026-11-23",
);
/// `to`, as a hint.
pub(crate) static TO_HINT: Param =
    optional("to", Kind::Day, "Last day to look in; default: the product's last.", "2026-11-23");
/// `segment`.
pub(crate) static SEGMENT: Param = optional("segment", Kind::Text, "Only sessions of this visitor segment.", "trial");
/// `version`.
pub(crate) static VERSION: Param =
    optional("version", Kind::Text, "Only sessions on this release of the product.", "2.3.0");
/// `device`.
pub(crate) static DEVICE: Param =
    optional("device", Kind::Choice(DEVICE_TYPES), "Only sessions on this kind of device.", "mobile");
/// `taskType`.
pub(crate) static TASK_TYPE: Param =
    optional("taskType", Kind::Text, "Only sessions with an event of this task type.", "create_ticket");
/// `limit`.
pub(crate) static LIMIT: Param =
    optional("limit", Kind::Number { min: 1, max: 1000, default: 50 }, "Most items in the answer.", "50");
/// `cursor`.
pub(crate) static CURSOR: Param =
    optional("cursor", Kind::Cursor, "`nextCursor` of the answer before, with the same other parameters.", "");
/// `sort` of hotspots.
pub(crate) static HOTSPOT_SORT: Param = optional(
    "sort",
    Kind::Choice(&["impact", "friction", "sessions"]),
    "Worst first by this: impact (default) = (friction − the product's frictionIndex) × impactSessions.",
    "impact",
);
/// `kind` of incidents.
pub(crate) static INCIDENT_KIND: Param = optional(
    "kind",
    Kind::Choice(&["rage_click", "dead_click", "error_click", "backtrack", "abandoned_task"]),
    "Only incidents of this kind.",
    "rage_click",
);
/// `screenId` of incidents.
pub(crate) static SCREEN_ID: Param =
    optional("screenId", Kind::Text, "Only incidents filed under this screen.", "checkout");
/// `windowDays` of releases.
pub(crate) static WINDOW_DAYS: Param = optional(
    "windowDays",
    Kind::Number { min: 1, max: 90, default: 7 },
    "Days compared on each side of a release's first day.",
    "7",
);

/// The parameters of one request, each checked against its declaration.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Query {
    values: BTreeMap<&'static str, String>,
}

impl Query {
    /// Reads the query string of a route that takes `params`.
    pub(crate) fn read(raw: &str, params: &[&'static Param], rows_max: usize) -> Result<Self, Problem> {
        let mut query = Self::default();
        for (name, value) in url::form_urlencoded::parse(raw.as_bytes()) {
            let Some(param) = params.iter().find(|param| param.name == name) else {
                return Err(unknown(&name, params));
            };
            check(param, &value, rows_max)?;
            if query.values.insert(param.name, value.into_owned()).is_some() {
                return Err(invalid(param.name, "is given twice", "give it once"));
            }
        }
        let missing = params.iter().find(|param| param.required && !query.values.contains_key(param.name));
        match missing {
            Some(param) => {
                let mend = format!("add `{}=…`; GET /v1/insights/products lists what there is", param.name);
                Err(invalid(param.name, "is missing", &mend))
            }
            None => Ok(query),
        }
    }

    /// The value of a parameter.
    pub(crate) fn text(&self, param: &Param) -> Option<&str> {
        self.values.get(param.name).map(String::as_str)
    }

    /// The value of a text parameter, owned.
    pub(crate) fn owned(&self, param: &Param) -> Option<String> {
        self.text(param).map(str::to_owned)
    }

    /// The value of a day.
    pub(crate) fn day(&self, param: &Param) -> Option<Day> {
        self.text(param)?.parse().ok()
    }

    /// The value of a number, or its default.
    pub(crate) fn number(&self, param: &Param) -> usize {
        let default = if let Kind::Number { default, .. } = param.kind { default } else { 0 };
        self.text(param).and_then(|text| text.parse().ok()).unwrap_or(default)
    }

    /// The parameters without those of paging: the same for all pages of one list.
    pub(crate) fn fingerprint(&self) -> String {
        let same = self.values.iter().filter(|(name, _)| ![LIMIT.name, CURSOR.name].contains(name));
        url::form_urlencoded::Serializer::new(String::new()).extend_pairs(same).finish()
    }
}

/// The problem of a parameter that is missing or wrong.
pub(crate) fn invalid(name: &str, wrong: &str, mend: &str) -> Problem {
    Problem::new(Code::InvalidParameter, format!("parameter `{name}` {wrong}"), mend)
}

fn check(param: &Param, value: &str, rows_max: usize) -> Result<(), Problem> {
    let wrong = |expected: String| Err(invalid(param.name, &format!("is {}", quoted(value)), &expected));
    match &param.kind {
        Kind::Text if value.is_empty() || value.len() > TEXT_BYTES_MAX => {
            wrong(format!("give 1 to {TEXT_BYTES_MAX} bytes, or leave it out"))
        }
        Kind::Day if value.parse::<Day>().is_err() => wrong("give a UTC date such as 2026-11-23".to_owned()),
        Kind::Number { min, max, .. } => {
            let max = if param.name == LIMIT.name { rows_max } else { *max };
            match value.parse::<usize>() {
                Ok(number) if (*min..=max).contains(&number) => Ok(()),
                _ => wrong(format!("give a whole number from {min} to {max}")),
            }
        }
        Kind::Choice(choices) if !choices.contains(&value) => wrong(format!("give one of {}", choices.join(", "))),
        Kind::Cursor if value.len() > CURSOR_BYTES_MAX => Err(crate::cursor::refused()),
        _ => Ok(()),
    }
}

fn unknown(name: &str, params: &[&'static Param]) -> Problem {
    let names: Vec<&str> = params.iter().map(|param| param.name).collect();
    let mend = match nearest(name, names.iter().copied()) {
        Some(nearest) => format!("did you mean `{nearest}`?"),
        None if names.is_empty() => "this route takes no parameters".to_owned(),
        None => format!("this route takes {}", names.join(", ")),
    };
    Problem::new(Code::UnknownParameter, format!("there is no parameter {}", quoted(name)), mend)
}

/// Text of a request, in backticks. At most 64 characters, because an answer must not grow with the request.
pub(crate) fn quoted(text: &str) -> String {
    let short = shortened(text);
    let dots = if short.len() < text.len() { "…" } else { "" };
    format!("`{short}{dots}`")
}

fn shortened(text: &str) -> &str {
    let end = text.char_indices().nth(64).map_or(text.len(), |(at, _)| at);
    &text[..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    static TAKEN: &[&Param] = &[&PRODUCT_ID, &FROM, &DEVICE, &LIMIT, &CURSOR];

    fn check(raw: &str, mend: &str) {
        let problem = Query::read(raw, TAKEN, 1000).expect_err(raw);
        assert!(problem.mend.contains(mend), "{raw}: {}", problem.mend);
    }

    #[test]
    fn a_question_is_read() {
        let query = Query::read("productId=crm%20x&limit=7", TAKEN, 1000).expect("well formed");
        assert_eq!(query.text(&PRODUCT_ID), Some("crm x"));
        assert_eq!(query.number(&LIMIT), 7);
        assert_eq!(query.day(&FROM), None);
    }

    #[test]
    fn what_is_wrong_is_named_with_its_mend() {
        check("", "productId=…");
        check("productId=crm&form=2026-01-01", "did you mean `from`?");
        check("productId=crm&productid=crm", "did you mean `productId`?");
        check("productId=crm&zzz=1", "this route takes productId, from");
        check("productId=crm&productId=crm", "give it once");
        check("productId=", "1 to 256 bytes");
        check("productId=crm&from=yesterday", "2026-11-23");
        check("productId=crm&device=watch", "desktop, mobile, tablet");
        for limit in ["0", "1001", "-1", "x", ""] {
            check(&format!("productId=crm&limit={limit}"), "from 1 to 1000");
        }
    }

    #[test]
    fn the_page_is_not_part_of_the_question() {
        let read = |raw| Query::read(raw, TAKEN, 1000).expect("well formed").fingerprint();
        assert_eq!(read("productId=a&limit=1&cursor=00"), read("cursor=11&productId=a"));
        assert_ne!(read("productId=a"), read("productId=b"));
        assert_ne!(read("productId=a%26from%3D2026-01-01"), read("productId=a&from=2026-01-01"));
    }
}
