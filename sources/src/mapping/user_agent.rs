//! Finds device, operating system and browser of a user agent in a small table.
//!
//! The first matching word decides, in the order below. The table tells families apart, not versions, because
//! friction is compared by family. It believes what the agent says.

/// What a user agent says about itself.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Visitor {
    pub(super) device_type: &'static str,
    pub(super) os: Option<&'static str>,
    pub(super) browser: Option<&'static str>,
}

/// Words of programs that nobody looks at.
const BOTS: &[&str] = &[
    "bot",
    "spider",
    "crawl",
    "slurp",
    "feed",
    "fetch",
    "curl/",
    "wget/",
    "python",
    "java/",
    "libwww",
    "ruby",
    "perl",
    "go-http",
    "httpclient",
    "monitor",
    "validator",
    "archiver",
    "baidu",
    "mediapartners",
    "reader",
];

const SYSTEMS: &[(&str, &str)] = &[
    ("Windows Phone", "Windows Phone"),
    ("Windows", "Windows"),
    ("iPad", "iPadOS"),
    ("iPhone", "iOS"),
    ("iPod", "iOS"),
    ("Android", "Android"),
    ("CrOS", "ChromeOS"),
    ("Mac OS X", "macOS"),
    ("Macintosh", "macOS"),
    ("BSD", "BSD"),
    ("Linux", "Linux"),
    ("X11", "Linux"),
];

const BROWSERS: &[(&str, &str)] = &[
    ("Edg", "Edge"),
    ("OPR/", "Opera"),
    ("Opera", "Opera"),
    ("SamsungBrowser", "Samsung Internet"),
    ("Firefox", "Firefox"),
    ("FxiOS", "Firefox"),
    ("Iceweasel", "Firefox"),
    ("SeaMonkey", "Firefox"),
    ("CriOS", "Chrome"),
    ("Chrome", "Chrome"),
    ("Chromium", "Chrome"),
    ("MSIE", "Internet Explorer"),
    ("Trident/", "Internet Explorer"),
    ("Safari", "Safari"),
];

/// Reads a user agent. A program counts as a desktop with the browser `bot`.
pub(super) fn read(agent: &str) -> Visitor {
    let lower = agent.to_ascii_lowercase();
    let os = find(agent, SYSTEMS);
    if BOTS.iter().any(|word| lower.contains(word)) {
        return Visitor { device_type: "desktop", os, browser: Some("bot") };
    }
    let has = |word: &str| agent.contains(word);
    let tablet = has("iPad") || has("Tablet") || has("Kindle") || (has("Android") && !has("Mobile"));
    let mobile = has("Mobi") || has("iPhone") || has("iPod") || has("Windows Phone") || has("Opera Mini");
    let device_type = match (tablet, mobile) {
        (true, _) => "tablet",
        (_, true) => "mobile",
        _ => "desktop",
    };
    Visitor { device_type, os, browser: find(agent, BROWSERS) }
}

fn find(agent: &str, table: &[(&'static str, &'static str)]) -> Option<&'static str> {
    table.iter().find(|(word, _)| agent.contains(word)).map(|(_, name)| *name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(agent: &str, device_type: &'static str, os: &'static str, browser: &'static str) {
        let some = |text: &'static str| Some(text).filter(|text| !text.is_empty());
        assert_eq!(read(agent), Visitor { device_type, os: some(os), browser: some(browser) }, "{agent}");
    }

    #[test]
    fn families_are_told_apart() {
        check(
            "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 Chrome/120.0 Safari/537.36 Edg/120.0",
            "desktop",
            "Windows",
            "Edge",
        );
        check(
            "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_9_1) AppleWebKit/537.36 Chrome/32.0 Safari/537.36",
            "desktop",
            "macOS",
            "Chrome",
        );
        check(
            "Mozilla/5.0 (iPhone; CPU iPhone OS 17_0 like Mac OS X) Version/17.0 Mobile/15E148 Safari/604.1",
            "mobile",
            "iOS",
            "Safari",
        );
        check(
            "Mozilla/5.0 (iPad; CPU OS 6_0 like Mac OS X) Version/6.0 Mobile/10A5355d Safari/8536.25",
            "tablet",
            "iPadOS",
            "Safari",
        );
        check(
            "Mozilla/5.0 (Linux; Android 13; SM-X200) AppleWebKit/537.36 Chrome/120.0 Safari/537.36",
            "tablet",
            "Android",
            "Chrome",
        );
        check("Mozilla/5.0 (X11; Linux x86_64; rv:27.0) Gecko/20100101 Firefox/27.0", "desktop", "Linux", "Firefox");
        check("Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)", "desktop", "", "bot");
        check("", "desktop", "", "");
    }
}
