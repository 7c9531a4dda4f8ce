//! Decides whether a retry may help after an error of ClickHouse.

use clickhouse::error::Error as Fault;

/// What to do after an error.
pub(super) enum After {
    /// The cause may pass: retry.
    Again,
    /// A retry does not help until the operator does this.
    Mend(&'static str),
}

/// The text of an error and of its causes, each once.
fn text_of(fault: &Fault) -> String {
    let mut said = fault.to_string();
    let mut cause = std::error::Error::source(fault);
    while let Some(error) = cause {
        let text = error.to_string();
        if !said.contains(&text) {
            said = format!("{said}: {text}");
        }
        cause = error.source();
    }
    said
}

/// The first line of the text of an error, at most 300 characters.
pub(super) fn short(fault: &Fault) -> String {
    let said = text_of(fault);
    let line = said.lines().next().unwrap_or_default();
    let cut = line.char_indices().nth(300).map_or(line.len(), |(at, _)| at);
    line[..cut].to_owned()
}

/// Whether a retry may help after this error.
pub(super) fn after(fault: &Fault) -> After {
    let said = match fault {
        Fault::BadResponse(said) => said,
        Fault::InvalidParams(_) | Fault::Unsupported(_) | Fault::SchemaMismatch(_) => {
            return After::Mend("this is a fault of netcrab; please report it");
        }
        Fault::Network(_) if text_of(fault).contains("invalid peer certificate") => {
            return After::Mend("its certificate is not trusted: SSL_CERT_FILE names a file with those that are");
        }
        _ => return After::Again,
    };
    match code(said) {
        Some(192..=194 | 516) => After::Mend("check `clickhouse.user` and `clickhouse.password`"),
        Some(497) => After::Mend(
            "grant the user of `clickhouse.user` CREATE, ALTER, SELECT, INSERT, DELETE and TRUNCATE on the database",
        ),
        Some(81) => After::Mend("create the database of `clickhouse.database`, or let netcrab create it at its start"),
        Some(60) => After::Mend("start netcrab again: it creates missing tables at its start"),
        Some(164) => After::Mend("the user of `clickhouse.user` may only read; give one that may write"),
        Some(16 | 36 | 43 | 44 | 47 | 53 | 62 | 70 | 349) => {
            After::Mend("the tables are not those of this release; start netcrab again, or restore them")
        }
        _ => After::Again,
    }
}

/// The number in `Code: 60. DB::Exception: …`; `src/Common/ErrorCodes.cpp` of ClickHouse lists them.
fn code(said: &str) -> Option<u32> {
    let rest = said.split_once("Code: ")?.1;
    rest.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_pass_is_tried_again_and_what_may_not_says_what_to_do() {
        let said = |code: u32| Fault::BadResponse(format!("Code: {code}. DB::Exception: something. (NAME)"));
        let mends = |fault: &Fault| match after(fault) {
            After::Again => None,
            After::Mend(mend) => Some(mend),
        };
        for passing in [159, 202, 241, 252, 210, 999, 242] {
            assert_eq!(mends(&said(passing)), None, "{passing}");
        }
        assert_eq!(mends(&Fault::TimedOut), None);
        assert_eq!(mends(&Fault::BadResponse("502 Bad Gateway".to_owned())), None);
        for (lasting, named) in
            [(516, "password"), (497, "grant"), (81, "database"), (60, "missing tables"), (164, "write")]
        {
            assert!(mends(&said(lasting)).is_some_and(|mend| mend.contains(named)), "{lasting}");
        }
    }
}
