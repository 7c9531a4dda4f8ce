//! Finds device, operating system and browser of a user agent.
//!
//! ```text
//! agent ─ model masked ─┬─ uap-core.json ─▶ system, browser ─ family_of ─▶ macOS, Chrome
//!                       └─ crawlers.txt  ─▶ bot
//!         agent, system ─ device_of ─▶ desktop, mobile, tablet, unknown
//! ```
//!
//! The rules come from two lists that others keep (`README.md`). Names are those of families, without versions and
//! without the device, because friction is compared by family. The agent is believed: an iPad that asks for the pages
//! of a desktop says that it is a Mac.
//!
//! State   for each thread the agents seen last, at most `AGENTS_MAX`

use std::borrow::Cow;
use std::cell::RefCell;
use std::rc::Rc;
use std::sync::LazyLock;

use hashbrown::HashMap;
use regex::RegexSet;
use serde::Deserialize;
use ua_parser::{os, user_agent};

/// Most agents that a thread remembers. Beyond it, it forgets them all and begins anew.
const AGENTS_MAX: usize = 4096;

/// What is read of an agent, in bytes. Browsers write less than half of it.
const AGENT_BYTES_MAX: usize = 1024;

/// Longest name of a browser or system, in bytes. Programs may put anything there.
const NAME_BYTES_MAX: usize = 48;

/// The browser of a program that nobody looks at.
const BOT: &str = "bot";

/// What a user agent says about itself.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Visitor {
    pub(super) device_type: &'static str,
    pub(super) os: Option<String>,
    pub(super) browser: Option<String>,
}

impl Visitor {
    /// Whether this is a program.
    pub(super) fn is_bot(&self) -> bool {
        self.browser.as_deref() == Some(BOT)
    }
}

thread_local! {
    static SEEN: RefCell<HashMap<String, Rc<Visitor>>> = RefCell::new(HashMap::new());
}

/// Reads a user agent. A program is an unknown device with the browser `bot`.
pub(super) fn read(agent: &str) -> Rc<Visitor> {
    let agent = &agent[..agent.floor_char_boundary(AGENT_BYTES_MAX)];
    SEEN.with_borrow_mut(|seen| {
        if let Some(visitor) = seen.get(agent) {
            return visitor.clone();
        }
        if seen.len() >= AGENTS_MAX {
            seen.clear();
        }
        let visitor = Rc::new(LISTS.read(agent));
        seen.insert(agent.to_owned(), visitor.clone());
        visitor
    })
}

/// The lists, made ready when the first agent is read.
static LISTS: LazyLock<Lists> = LazyLock::new(|| Lists::parse().unwrap_or_default());

/// The rules of both lists.
#[derive(Default)]
struct Lists {
    crawlers: RegexSet,
    browsers: Option<user_agent::Extractor<'static>>,
    systems: Option<os::Extractor<'static>>,
}

#[derive(Deserialize)]
struct UapCore<'a> {
    user_agent_parsers: Vec<user_agent::Parser<'a>>,
    os_parsers: Vec<os::Parser<'a>>,
}

impl Lists {
    /// `None` if a list is broken, which a test excludes.
    fn parse() -> Option<Self> {
        let rules: UapCore<'static> = serde_json::from_str(include_str!("uap-core.json")).ok()?;
        Some(Self {
            crawlers: RegexSet::new(include_str!("crawlers.txt").lines()).ok()?,
            browsers: user_agent::Builder::new().push_all(rules.user_agent_parsers).ok()?.build().ok(),
            systems: os::Builder::new().push_all(rules.os_parsers).ok()?.build().ok(),
        })
    }

    fn read(&self, agent: &str) -> Visitor {
        if agent.is_empty() || agent == "-" {
            return Visitor { device_type: "unknown", ..Visitor::default() };
        }
        let unnamed = without_model(agent);
        let os = self.systems.as_ref().and_then(|systems| systems.extract(agent)).map(|found| found.os);
        let os = os.as_deref().and_then(|os| system_of(os, agent));
        let family = |agent: &str| Some(self.browsers.as_ref()?.extract(agent)?.family.into_owned());
        let browser = family(agent).filter(|name| !is_program(name)).or_else(|| family(&unnamed));
        let program = gives_address(agent) || browser.as_deref().is_some_and(is_program);
        if program || self.crawlers.is_match(&unnamed) {
            return Visitor { device_type: "unknown", os, browser: Some(BOT.to_owned()) };
        }
        let browser = browser.as_deref().and_then(browser_of);
        Visitor { device_type: device_of(agent, os.as_deref()), os, browser }
    }
}

/// Whether an agent says by convention that it is a program: it gives an address, `+http://…`, and any address if it
/// is not the agent of a browser.
fn gives_address(agent: &str) -> bool {
    agent.contains("+http") || (!is_browsers(agent) && (agent.contains("http://") || agent.contains("https://")))
}

/// Whether an agent begins as those of browsers do.
fn is_browsers(agent: &str) -> bool {
    agent.starts_with("Mozilla/") || agent.starts_with("Opera/")
}

/// The agent without the model of an Android device: phones are called CUBOT and M Bot. A program says what it is in
/// other brackets, or gives an address: `(compatible; Googlebot/2.1; +http://…)`.
fn without_model(agent: &str) -> Cow<'_, str> {
    let Some((before, rest)) = agent.split_once("Android") else { return Cow::Borrowed(agent) };
    let end = rest.find(" Build/").or_else(|| rest.find(')')).unwrap_or(rest.len());
    let (described, after) = rest.split_at(end);
    if described.contains("http") || described.contains("compatible") {
        return Cow::Borrowed(agent);
    }
    let version = described.split(';').next().unwrap_or_default();
    Cow::Owned(format!("{before}Android{version}; K{after}"))
}

/// Whether uap-core found a name by the word that programs have in it.
fn is_program(family: &str) -> bool {
    let lower = family.to_ascii_lowercase();
    let words = ["bot", "spider", "crawler", "crawl", "archiver", "indexer", "scraper", "slurp"];
    words.iter().any(|word| lower.ends_with(word)) || lower.contains("headless")
}

/// The family of a browser, whatever device it runs on.
fn browser_of(family: &str) -> Option<String> {
    let name = family.strip_prefix("Mobile ").unwrap_or(family);
    let end = [" Mobile", " iOS", " WebView", " UI/WKWebView", " Tablet", " Large Screen"];
    let name = end.iter().filter_map(|end| name.find(end)).min().map_or(name, |end| &name[..end]);
    let name = match name {
        "IE" => "Internet Explorer",
        "Chromium" => "Chrome",
        name => name,
    };
    named(name)
}

/// The family of a system.
fn system_of(os: &str, agent: &str) -> Option<String> {
    let name = match os {
        "iOS" if agent.contains("iPad") => "iPadOS",
        "Mac OS X" | "Mac OS" => "macOS",
        "Chrome OS" => "ChromeOS",
        "FreeBSD" | "NetBSD" | "OpenBSD" | "DragonFly" => "BSD",
        "Ubuntu" | "Kubuntu" | "Debian" | "Fedora" | "Red Hat" | "CentOS" | "SUSE" | "Gentoo" | "Arch Linux"
        | "Linux Mint" | "Mageia" | "Mandriva" | "Puppy" | "Slackware" | "VectorLinux" | "PCLinuxOS" => "Linux",
        name => name,
    };
    named(name)
}

fn named(name: &str) -> Option<String> {
    (!name.is_empty() && name != "Other" && name.len() <= NAME_BYTES_MAX).then(|| name.to_owned())
}

/// Screens that are neither a desktop's nor a hand's: televisions, consoles, watches.
const OTHER_SCREENS: [&str; 21] = [
    "SmartTV",
    "SMART-TV",
    "Smart TV",
    "Smart-TV",
    "GoogleTV",
    "Google TV",
    "Android TV",
    "AndroidTV",
    "AppleTV",
    "Apple TV",
    "HbbTV",
    "NetCast",
    "BRAVIA",
    "CrKey",
    "Roku",
    "Web0S",
    " AFT",
    "PlayStation",
    "Xbox",
    "Nintendo",
    "Watch",
];

const PHONES: [&str; 12] = [
    "Mobi",
    "iPhone",
    "iPod",
    "Windows Phone",
    "Opera Mini",
    "BlackBerry",
    "BB10",
    "Nokia",
    "SymbianOS",
    "UCWEB",
    "MIDP",
    "KAIOS",
];

/// The device by what agents have in common by convention: a browser on an Android tablet leaves out `Mobile`.
fn device_of(agent: &str, os: Option<&str>) -> &'static str {
    let has = |word: &str| agent.contains(word);
    let browses = is_browsers(agent);
    let windows = has("Windows NT");
    if OTHER_SCREENS.iter().any(|word| has(word)) || (has("Tizen") && has("TV")) {
        return "unknown";
    }
    let android_tablet = (has("Android") || has("Silk/")) && browses && !has("Mobile") && !windows;
    if has("iPad") || has("Kindle") || has("PlayBook") || (has("Tablet") && !windows) || android_tablet {
        return "tablet";
    }
    if PHONES.iter().any(|word| has(word)) {
        return "mobile";
    }
    match os {
        Some("Windows" | "macOS" | "Linux" | "ChromeOS" | "BSD" | "Solaris") if browses => "desktop",
        _ => "unknown",
    }
}

#[cfg(test)]
mod tests;
